/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/sweep.h"

#include <bpf/bpf.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "edge/bans.h"
#include "edge/batch.h"
#include "edge/pin.h"
#include "edge/rules.h"

static bool due(uint32_t when)
{
	return when && when <= clock_seconds();
}

bool edge_sweep_due(const char *name)
{
	_cleanup_close_ int fd = edge_get(name, "state");
	struct state state;
	uint32_t key = 0;

	return fd >= 0 && bpf_map_lookup_elem(fd, &key, &state) == 0 &&
	       (due(state.expires) || due(state.bans_due));
}

struct sweep {
	uint32_t now;
	uint32_t next; /* the earliest end of those that stay; 0: none has one */
	int removed;
	bool rules; /* some of them were */
};

static void sweep_one(const struct edge *e, int map, const union edge_key *key, void *arg)
{
	struct sweep *s = arg;
	union edge_value v;

	if (bpf_map_lookup_elem(map, key, &v) < 0 || !v.list.until)
		return;
	if (v.list.until > s->now) {
		if (!s->next || v.list.until < s->next)
			s->next = v.list.until;
	} else if (bpf_map_delete_elem(map, key) == 0) {
		s->removed++;
		s->rules |= map == e->rules;
	}
}

static int sweep_entries(const struct edge *e, struct error *err)
{
	struct sweep s = {.now = clock_seconds()};
	int rc = edge_entries_each(e, sweep_one, &s);

	if (rc < 0)
		return error_sys(err, -rc, "%s: entries that have ended can't be removed", e->name);
	if (s.rules)
		rc = edge_rules_index(e, err);
	e->shared->expires = s.next;
	return rc < 0 ? rc : s.removed;
}

int edge_sweep(const struct edge *e, struct error *err)
{
	bool entries = due(e->shared->expires), bans = due(e->shared->bans_due);
	struct edge_batch b = {0};
	int rc, n = 0;

	if (!entries && !bans)
		return 0;
	rc = edge_batch_begin(&b, e, err);
	if (rc < 0)
		return rc;
	edge_batch_abort(&b);
	if (entries)
		n = sweep_entries(e, err);
	if (n >= 0 && bans)
		rc = edge_bans_sweep(e, err);
	return n < 0 ? n : rc < 0 ? rc : n + rc;
}
