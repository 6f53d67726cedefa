/* SPDX-License-Identifier: Apache-2.0 */
/* sluice stats: what became of the packets. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "edge/edge.h"
#include "edge/reason.h"
#include "loader/visit.h"

static const struct {
	const char *name;
	const char *help;
} events[] = {
#define GUARD_TALLY(id, name, help) {#name, help},
	GUARD_TALLIES(GUARD_TALLY)
#undef GUARD_TALLY
};

static void print(const char *name, const struct policy *p, const struct counter *c,
		  const uint64_t *tallies)
{
	printf("%s\n  %-16s %-5s %14s %18s\n", name, "reason", "", "packets", "bytes");
	for (int i = 0; i < REASON_COUNT; i++)
		printf("  %-16s %-5s %14" PRIu64 " %18" PRIu64 "  %s\n", edge_reasons[i].name,
		       edge_verdict(i, p), (uint64_t)c[i].packets, (uint64_t)c[i].bytes,
		       edge_reasons[i].help);
	printf("  %-16s %-5s %14s\n", "event", "", "times");
	for (int i = 0; i < TALLY_COUNT; i++)
		printf("  %-16s %-5s %14" PRIu64 " %18s  %s\n", events[i].name, "", tallies[i], "",
		       events[i].help);
}

static json_t *to_json(const char *name, const struct policy *p, const struct counter *c,
		       const uint64_t *tallies)
{
	json_t *all = json_object(), *happened = json_object();

	for (int i = 0; i < REASON_COUNT; i++)
		json_object_set_new(all, edge_reasons[i].name,
				    json_pack("{s:s, s:I, s:I}", "verdict", edge_verdict(i, p),
					      "packets", (json_int_t)c[i].packets, "bytes",
					      (json_int_t)c[i].bytes));
	for (int i = 0; i < TALLY_COUNT; i++)
		json_object_set_new(happened, events[i].name, json_integer((json_int_t)tallies[i]));
	return json_pack("{s:s, s:o, s:o}", "interface", name, "reasons", all, "events", happened);
}

static int show(struct visit *v, const struct edge *e)
{
	struct counter c[REASON_COUNT];
	uint64_t tallies[TALLY_COUNT];
	struct policy p;
	int rc = edge_policy(e, &p, &v->err);

	if (rc == 0)
		rc = edge_stats(e, c, &v->err);
	if (rc == 0)
		rc = edge_tallies(e, tallies, &v->err);
	if (rc == 0 && v->json)
		json_array_append_new(v->json, to_json(e->name, &p, c, tallies));
	else if (rc == 0)
		print(e->name, &p, c, tallies);
	return rc;
}

enum status cmd_stats(const struct options *o)
{
	struct visit v = {.o = o};

	return visit_run(&v, NULL, show);
}
