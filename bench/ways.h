/* SPDX-License-Identifier: Apache-2.0 */
/* The ways through the guard that are measured: what packet from where, under which policy, for which reason. */
#ifndef BENCH_WAYS_H
#define BENCH_WAYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/entries.h"
#include "bpf/abi.h"
#include "edge/frame.h"

enum way_port {
	WAY_OPEN,      /* no limits, no gate */
	WAY_PROTECTED, /* a protected one, no socket on it */
	WAY_LISTENER,  /* protected, and the namespace's own listener is there */
};

enum way_kind {
	WAY_PLAIN,
	WAY_FLOOD,   /* as many sources as the command line says */
	WAY_BESIDES, /* with bans and rules where the guard has no entries; sources are theirs */
};

struct way {
	const char *name;
	enum source_kind source;
	uint8_t family;
	uint8_t flags; /* of TCP; 0: UDP */
	enum way_port port;
	enum way_kind kind;
	enum reason reason;
	uint32_t others; /* bits of the filters that have this way, too */
	struct policy policy;
};

extern const struct way ways[];
extern const size_t n_ways;

/* Enter a network namespace with a listener of each family and connections to it. Errors end the process. */
void ways_init(void);

/* The template, its source 0 where a table gives it. */
void ways_frame(const struct way *w, struct frame *f);

/* Fill out[] with the sources, at most n, that are on the list or are not. Returns how many; 0: there are none of the kind. */
size_t ways_sources(const struct way *w, const struct entries *e, size_t n, uint32_t *out);

/* Give the guard bans and rules for the ways that are about them. */
void ways_add_besides(const struct entries *bans, const struct entries *rules);

/* Tell the guard what it should do on this way. */
void ways_prepare(const struct way *w);

#endif
