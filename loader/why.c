/* SPDX-License-Identifier: Apache-2.0 */
/* sluice why: what the guard would do with a packet, and which entry decides. */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <jansson.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "base/clock.h"
#include "conf/cidr.h"
#include "edge/bans.h"
#include "edge/explain.h"
#include "edge/feeds.h"
#include "edge/limits.h"
#include "edge/lists.h"
#include "edge/reason.h"
#include "edge/talkers.h"
#include "loader/command.h"
#include "loader/entry.h"
#include "loader/inventory.h"

#define SOURCE_PORT	 40000 /* unless given: one that clients have */
#define DESTINATION_PORT 80    /* unless given, and none is protected */

/* All that is known of one packet at one interface. */
struct finding {
	const struct edge *edge;
	struct edge_question question;
	struct edge_answer answer;
	struct edge_entries lists[2];	   /* by enum edge_list */
	const struct edge_entry *entry[2]; /* of each that holds the source; NULL: none */
	struct edge_banned_list bans;
	const struct edge_banned *ban; /* the longest that holds the source; NULL: none */
	struct edge_banned_list past;  /* those that held the source, the longest first */
	uint32_t remembered;	       /* seconds, from their end on */
	struct edge_rule rule;	       /* of the port, by which the guard goes */
	bool ruled;		       /* there is one */
	struct edge_talkers talkers;
	const struct edge_talker *talker; /* NULL: not among the heaviest sources */
	struct edge_set sets[FEED_SETS];
	bool protected;
};

static const char *const list_names[] = {"allow", "deny"};

/* "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]:80"; ret_port is left alone when there is none. */
static bool parse_end(const char *text, struct conf_cidr *ret, uint16_t *ret_port)
{
	struct slice address = slice_str(text);
	const char *colon = strrchr(text, ':');
	unsigned long port = *ret_port;
	char *end;

	if (colon && (*text == '[' ? colon[-1] == ']' : strchr(text, ':') == colon)) {
		port = strtoul(colon + 1, &end, 10);
		if (colon[1] < '0' || colon[1] > '9' || *end || port > UINT16_MAX)
			return false;
		address = slice_make(text, (size_t)(colon - text));
	}
	if (address.len > 2 && address.ptr[0] == '[' && address.ptr[address.len - 1] == ']')
		address = slice_make(address.ptr + 1, address.len - 2);
	if (conf_cidr_parse(address, ret) || ret->prefixlen != (ret->family == AF_INET ? 32 : 128))
		return false;
	*ret_port = (uint16_t)port;
	return true;
}

/* How well an address does for the destination: the interface's own does best, and one of the host's where it has none, as in a bridge. */
static int rank(const struct ifaddrs *a, const char *interface, bool link_local)
{
	if (strcmp(a->ifa_name, interface) == 0)
		return link_local ? 2 : 3;
	return link_local || a->ifa_flags & IFF_LOOPBACK ? 0 : 1;
}

/* An address of this host's of the family; one of documentation's when it has none. */
static void own_address(const struct edge *e, struct conf_cidr *ret)
{
	const char *fallback = ret->family == AF_INET ? "192.0.2.1" : "2001:db8::1";
	struct ifaddrs *all = NULL;
	int best = 0;

	inet_pton(ret->family, fallback, ret->addr);
	if (getifaddrs(&all) < 0)
		return;
	for (const struct ifaddrs *a = all; a; a = a->ifa_next) {
		const void *addr;
		size_t size = ret->family == AF_INET ? 4 : 16;
		int here;

		if (!a->ifa_addr || a->ifa_addr->sa_family != ret->family)
			continue;
		addr = ret->family == AF_INET
			       ? (const void *)&((struct sockaddr_in *)(void *)a->ifa_addr)
					 ->sin_addr
			       : &((struct sockaddr_in6 *)(void *)a->ifa_addr)->sin6_addr;
		here = rank(a, e->name, size == 16 && *(const uint8_t *)addr == 0xfe);
		if (here <= best)
			continue;
		memcpy(ret->addr, addr, size);
		best = here;
	}
	freeifaddrs(all);
}

static int ask_of(const struct options *o, const struct edge *e, struct edge_question *ret,
		  struct error *err)
{
	struct edge_question q = {.source_port = SOURCE_PORT, .ack = o->ack};
	uint16_t protected = edge_protected_port(e);

	q.protocol = !o->protocol || strcmp(o->protocol, "tcp") == 0 ? IPPROTO_TCP
		     : strcmp(o->protocol, "udp") == 0		     ? IPPROTO_UDP
								     : IPPROTO_ICMP;
	if (o->ack && q.protocol != IPPROTO_TCP)
		return error_set(err, EINVAL, "--ack is for TCP");
	if (!parse_end(o->args[0], &q.source, &q.source_port))
		return error_set(err, EINVAL, "'%s' is not an address, or one with a port",
				 o->args[0]);
	q.port = protected ? protected : DESTINATION_PORT;
	q.destination = (struct conf_cidr){.family = q.source.family,
					   .prefixlen = q.source.prefixlen};
	if (!o->to)
		own_address(e, &q.destination);
	else if (!parse_end(o->to, &q.destination, &q.port))
		return error_set(err, EINVAL, "'%s' is not an address, or one with a port", o->to);
	if (q.destination.family != q.source.family)
		return error_set(err, EINVAL, "'%s' and '%s' are of different families", o->args[0],
				 o->to);
	*ret = q;
	return 0;
}

static int by_length(const void *a, const void *b)
{
	const struct edge_banned *x = a, *y = b;

	return y->cidr.prefixlen - x->cidr.prefixlen;
}

static int find_past(struct finding *f, struct error *err)
{
	struct edge_banned_list *past = &f->past;
	int rc = edge_bans_past(f->edge, past, &f->remembered, err);
	size_t n = 0;

	for (size_t i = 0; i < past->n; i++)
		if (conf_cidr_holds(&past->items[i].cidr, &f->question.source))
			past->items[n++] = past->items[i];
	past->n = n;
	if (n)
		qsort(past->items, n, sizeof(*past->items), by_length);
	return rc;
}

static bool port_protected(const struct finding *f)
{
	uint32_t key = f->question.port;
	struct port_value value;

	if (f->question.protocol == IPPROTO_ICMP)
		return true;
	return bpf_map_lookup_elem(f->edge->ports, &key, &value) == 0 &&
	       value.state[f->edge->shared->generation & 1] == PORT_PROTECTED;
}

static void finding_fini(struct finding *f)
{
	for (int i = 0; i < 2; i++)
		edge_entries_fini(&f->lists[i]);
	edge_banned_list_fini(&f->bans);
	edge_banned_list_fini(&f->past);
	edge_talkers_fini(&f->talkers);
}

static int find(const struct options *o, const struct edge *e, struct finding *f, struct error *err)
{
	size_t bytes;
	int rc;

	f->edge = e;
	rc = ask_of(o, e, &f->question, err);
	if (rc == 0)
		rc = edge_explain(e, &f->question, &f->answer, err);
	for (int i = 0; rc == 0 && i < 2; i++) {
		rc = edge_list_read(e, (enum edge_list)i, &f->lists[i], err);
		if (rc == 0)
			f->entry[i] = edge_entries_match(&f->lists[i], &f->question.source);
	}
	if (rc == 0)
		rc = edge_bans_read(e, &f->bans, err);
	if (rc == 0)
		rc = find_past(f, err);
	if (rc == 0)
		rc = edge_talkers_read(e, &f->talkers, err);
	if (rc == 0)
		rc = edge_sets_read(e, f->sets, &bytes, err);
	if (rc < 0)
		return rc;
	f->ban = entry_find_ban(&f->bans, &f->question.source);
	f->ruled = edge_rule_find(e, &f->question.source,
				  (struct conf_port){f->question.protocol, f->question.port},
				  &f->rule);
	f->talker = edge_talkers_find(&f->talkers, edge_source_of(&f->question.source));
	f->protected = port_protected(f);
	return 0;
}

static void end_text(const struct conf_cidr *address, uint16_t port, uint8_t protocol,
		     char ret[CONF_CIDR_TEXT + 8])
{
	char text[CONF_CIDR_TEXT];

	conf_cidr_format(address, text);
	if (protocol == IPPROTO_ICMP)
		snprintf(ret, CONF_CIDR_TEXT + 8, "%s", text);
	else
		snprintf(ret, CONF_CIDR_TEXT + 8, address->family == AF_INET ? "%s:%u" : "[%s]:%u",
			 text, port);
}

static const char *packet_text(const struct edge_question *q)
{
	if (q->protocol == IPPROTO_UDP)
		return "UDP";
	if (q->protocol == IPPROTO_ICMP)
		return "ping";
	return q->ack ? "TCP ACK" : "TCP SYN";
}

static void print_entry(const struct finding *f, int list)
{
	char prefix[CONF_CIDR_TEXT];

	printf("  %-9s ", list_names[list]);
	if (!f->entry[list]) {
		printf("no entry\n");
		return;
	}
	conf_cidr_format(&f->entry[list]->cidr, prefix);
	printf("%s, %s", prefix, entry_origin(f->entry[list]));
	entry_print_note(f->edge, f->entry[list]);
}

/* Only what there is. */
static void print_ban_and_rule(const struct finding *f)
{
	if (f->ban) {
		printf("  ban       ");
		entry_print_ban(f->ban);
	}
	for (size_t i = 0; i < f->past.n; i++) {
		printf("  past ban  ");
		entry_print_past_ban(&f->past.items[i], f->remembered);
	}
	if (f->ruled) {
		printf("  rule      ");
		entry_print_rule(f->edge, &f->rule);
	}
}

static void print_levels(const char *whose, const struct edge_level levels[LIMIT_CLASSES])
{
	const char *before = "";

	for (unsigned int i = 0; i < LIMIT_CLASSES; i++) {
		if (!levels[i].met)
			continue;
		printf("%s%s %" PRIu64 " of %" PRIu64 "%s left", *before ? before : whose,
		       edge_limit_name(i), levels[i].left, levels[i].burst,
		       i == LIMIT_BYTES ? " KiB" : "");
		before = ", ";
	}
	if (*before)
		putchar('\n');
}

static void print_limits(const struct finding *f)
{
	const struct edge_answer *a = &f->answer;

	if (!a->metered)
		return;
	printf("  source    %s", a->verified ? "verified, has buckets of its own\n"
					     : "not verified, shares a table\n");
	if (a->tier != TIER_EVERYBODY)
		printf("  tier      %.*s\n", (int)sizeof(a->policy.tier[0].name),
		       a->policy.tier[a->tier].name);
	print_levels("  limits    ", a->own);
	print_levels("  the port  ", a->port);
}

static void print_seen(const struct finding *f)
{
	const struct edge_talker *t = f->talker;
	uint32_t now = (uint32_t)(clock_mono() / NSEC_PER_SEC);
	char age[16];

	printf("  seen      ");
	if (!t) {
		printf("not among the heaviest sources\n");
		return;
	}
	inventory_age((now - t->seen) * NSEC_PER_SEC, age);
	printf("about %" PRIu64 " packets, the last %s ago", t->packets, age);
	if (t->dropped) {
		inventory_age((now - t->dropped_at) * NSEC_PER_SEC, age);
		printf("; about %" PRIu64 " dropped, the last as %s %s ago", t->dropped,
		       edge_reasons[t->reason].name, age);
	}
	putchar('\n');
}

/* A shadow mode lets pass what would end here. */
static bool only_counts(const struct edge_answer *a)
{
	return strcmp(edge_verdict(a->reason, &a->policy), edge_reasons[a->reason].verdict) != 0;
}

static void print(const struct finding *f)
{
	const struct edge_question *q = &f->question;
	const struct edge_reason *reason = &edge_reasons[f->answer.reason];
	char source[CONF_CIDR_TEXT + 8], destination[CONF_CIDR_TEXT + 8];

	end_text(&q->source, q->source_port, q->protocol, source);
	end_text(&q->destination, q->port, q->protocol, destination);
	printf("%s: %s from %s to %s: %s, %s. %s.\n", f->edge->name, packet_text(q), source,
	       destination, reason->name, edge_verdict(f->answer.reason, &f->answer.policy),
	       reason->help);
	if (only_counts(&f->answer))
		printf("  shadow    %s if it were enforced: %s only count%s\n", reason->verdict,
		       f->answer.policy.mode == GUARD_SHADOW ? "the guard" : "bans",
		       f->answer.policy.mode == GUARD_SHADOW ? "s" : "");
	if (!f->answer.same_program)
		printf("  program   the attached one is another version's: this is what this build "
		       "would do\n");
	for (int i = 0; i < 2; i++)
		print_entry(f, i);
	print_ban_and_rule(f);
	if (f->answer.set)
		printf("  feed      %s\n", f->sets[f->answer.set % FEED_SETS].set.name);
	if (q->protocol != IPPROTO_ICMP)
		printf("  port      %u is %sprotected\n", q->port, f->protected ? "" : "not ");
	print_limits(f);
	print_seen(f);
}

static json_t *json_levels(const struct edge_level levels[LIMIT_CLASSES])
{
	json_t *all = json_object();

	for (unsigned int i = 0; i < LIMIT_CLASSES; i++)
		if (levels[i].met)
			json_object_set_new(all, edge_limit_name(i),
					    json_pack("{s:I, s:I}", "left",
						      (json_int_t)levels[i].left, "burst",
						      (json_int_t)levels[i].burst));
	return all;
}

static json_t *json_seen(const struct edge_talker *t)
{
	uint32_t now = (uint32_t)(clock_mono() / NSEC_PER_SEC);
	json_t *all;

	if (!t)
		return json_null();
	all = json_pack("{s:I, s:I, s:I, s:I}", "packets", (json_int_t)t->packets, "bytes",
			(json_int_t)t->bytes, "dropped", (json_int_t)t->dropped, "seconds_ago",
			(json_int_t)(now - t->seen));
	if (t->dropped) {
		json_object_set_new(all, "last_drop", json_string(edge_reasons[t->reason].name));
		json_object_set_new(all, "last_drop_seconds_ago",
				    json_integer(now - t->dropped_at));
	}
	return all;
}

static json_t *json_limits(const struct edge_answer *a)
{
	if (!a->metered)
		return json_null();
	return json_pack("{s:b, s:s, s:o, s:o}", "verified", a->verified, "tier",
			 a->policy.tier[a->tier].name, "source", json_levels(a->own), "port",
			 json_levels(a->port));
}

static json_t *json_past(const struct finding *f)
{
	json_t *all = json_array();

	for (size_t i = 0; i < f->past.n; i++)
		json_array_append_new(all, entry_past_ban_json(&f->past.items[i], f->remembered));
	return all;
}

static json_t *to_json(const struct finding *f)
{
	const struct edge_question *q = &f->question;
	const struct edge_reason *reason = &edge_reasons[f->answer.reason];
	char source[CONF_CIDR_TEXT + 8], destination[CONF_CIDR_TEXT + 8];
	json_t *all;

	end_text(&q->source, q->source_port, q->protocol, source);
	end_text(&q->destination, q->port, q->protocol, destination);
	all = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:b}", "interface", f->edge->name,
			"packet", packet_text(q), "source", source, "destination", destination,
			"reason", reason->name, "verdict",
			edge_verdict(f->answer.reason, &f->answer.policy), "shadow",
			only_counts(&f->answer), "same_program", f->answer.same_program,
			"protected", f->protected);
	for (int i = 0; i < 2; i++)
		json_object_set_new(all, list_names[i],
				    f->entry[i] ? entry_json(f->edge, f->entry[i]) : json_null());
	json_object_set_new(all, "ban", entry_ban_json(f->ban));
	json_object_set_new(all, "past_bans", json_past(f));
	json_object_set_new(all, "rule",
			    f->ruled ? entry_rule_json(f->edge, &f->rule) : json_null());
	json_object_set_new(all, "feed",
			    f->answer.set ? json_string(f->sets[f->answer.set % FEED_SETS].set.name)
					  : json_null());
	json_object_set_new(all, "limits", json_limits(&f->answer));
	json_object_set_new(all, "seen", json_seen(f->talker));
	return all;
}

enum status cmd_why(const struct options *o)
{
	json_t *all = o->json ? json_array() : NULL;
	struct error err = {0};
	struct edges edges;
	int rc = command_open(o, NULL, &edges, &err);

	for (size_t i = 0; rc == 0 && i < edges.n; i++) {
		struct finding *f = calloc(1, sizeof(*f));

		rc = f ? find(o, &edges.items[i], f, &err) : error_sys(&err, ENOMEM, "why");
		if (rc == 0 && all)
			json_array_append_new(all, to_json(f));
		else if (rc == 0)
			print(f);
		if (f)
			finding_fini(f);
		free(f);
	}
	if (rc == 0 && all) {
		command_print(all);
	}
	json_decref(all);
	edges_fini(&edges);
	if (rc == 0)
		return command_shown(STATUS_DONE);
	command_fail(&err);
	return rc == -EINVAL ? STATUS_USAGE : command_status(&err);
}
