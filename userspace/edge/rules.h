/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules with a port and a protocol: whom the guard lets speak to it. Of the rules for a packet's port the longest prefix decides. A
 * change is staged by edge_rule_add and _del, made whole by edge_rules_prepare, and counts from edge_batch_commit. Under the lock.
 */
#ifndef EDGE_RULES_H
#define EDGE_RULES_H

#include <stdlib.h>

#include "edge/batch.h"

struct edge_rule {
	struct conf_cidr cidr; /* family 0: everybody whom no rule of this port names */
	struct conf_port to;
	enum rule_action action;
	enum origin origin;
	uint32_t until; /* seconds of CLOCK_MONOTONIC; 0: no end */
	uint32_t held;	/* as struct edge_entry has it */
	uint16_t note;	/* for edge_note_read, 0: none */
};

struct edge_rules {
	struct edge_rule *items;
	size_t n;
};

/* For _cleanup_, too. */
static inline void edge_rules_fini(struct edge_rules *r)
{
	free(r->items);
}

/*
 * Replaces the rule of the same prefix and port. 1: that one says the same without end, and one with an end does not take its
 * place; nothing has changed. -EEXIST: it says something else without end. -ENOSPC: there are too many.
 */
int edge_rule_add(struct edge_batch *b, const struct edge_rule *rule, struct error *err);

/* -ENOENT: there is no rule of this prefix and port. */
int edge_rule_del(struct edge_batch *b, const struct edge_rule *rule, struct error *err);

/* All, whatever their keys are. */
int edge_rules_del_all(struct edge_batch *b, struct error *err);

/*
 * Make the file's rules those of conf; the operator's stay, but for one with an end that allows what the file's denies. One with an
 * end that says the same as the file's has none while the file says so, and its own again afterwards.
 */
int edge_rules_follow_file(struct edge_batch *b, const struct conf_edge *conf, struct error *err);

/* Stage what "only" says to all others, and let the guard look. -ENOSPC: prefixes of too many lengths. */
int edge_rules_prepare(struct edge_batch *b, struct error *err);

/* Let the guard look for the prefix lengths and at the ports that rules have, staged ones too, and for no others. */
int edge_rules_index(const struct edge *e, struct error *err);

/* The rules that count, by port and prefix; what stands for "only" is left out. Needs no lock. */
int edge_rules_read(const struct edge *e, struct edge_rules *ret, struct error *err);

/*
 * The rule by which the guard goes for a packet from an address to a port, found as the guard finds it; what stands for "only" is
 * family 0 and RULE_ONLY. False: there is none. Needs no lock.
 */
bool edge_rule_find(const struct edge *e, const struct conf_cidr *address, struct conf_port to,
		    struct edge_rule *ret);

/* "10.0.0.0/8 to tcp/22" */
#define EDGE_RULE_TEXT 80 /* bytes */
void edge_rule_format(const struct edge_rule *rule, char ret[EDGE_RULE_TEXT]);

#endif
