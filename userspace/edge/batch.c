/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/batch.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "base/clock.h"
#include "edge/pin.h"
#include "edge/rules.h"

struct edge_staged {
	int map;
	bool was_there;
	union edge_key key;
	union edge_value before;
};

#define SAME_PLACE(value, member)                                                                  \
	static_assert(offsetof(struct value, member) == offsetof(struct list_value, member),       \
		      #value "." #member)
#define BEGINS_LIKE_A_LIST_VALUE(value)                                                            \
	SAME_PLACE(value, origin);                                                                 \
	SAME_PLACE(value, stage);                                                                  \
	SAME_PLACE(value, next_origin);                                                            \
	SAME_PLACE(value, until);                                                                  \
	SAME_PLACE(value, next_until)

BEGINS_LIKE_A_LIST_VALUE(ban_value);
BEGINS_LIKE_A_LIST_VALUE(rule_value);
SAME_PLACE(rule_value, note);
SAME_PLACE(rule_value, next_note);

/* The first eight bytes of struct state, which change in one store. */
union head {
	struct {
		uint32_t generation;
		enum batch batch;
	};
	uint64_t word;
};

static union head head_read(const struct edge *e)
{
	return (union head){.word = __atomic_load_n((uint64_t *)e->shared, __ATOMIC_SEQ_CST)};
}

static void head_write(const struct edge *e, uint32_t generation, enum batch batch)
{
	union head head = {.generation = generation, .batch = batch};

	__atomic_store_n((uint64_t *)e->shared, head.word, __ATOMIC_SEQ_CST);
}

/*
 * The operator's entry with an end that the file names too is the file's, without one, for as long as the file says so.
 * next_until then keeps the operator's end; while the file's entry changes it has the same value or gives it up.
 */
static uint32_t held(const union edge_value *v, bool committed)
{
	if (v->list.stage == STAGE_CHANGING && committed)
		return v->list.origin == ORIGIN_OPERATOR && v->list.next_origin == ORIGIN_FILE &&
				       !v->list.next_until
			       ? v->list.until
			       : 0;
	return v->list.origin == ORIGIN_FILE && !v->list.until ? v->list.next_until : 0;
}

/* next_* take the places of the others. */
static void change(const struct edge *e, int map, union edge_value *v)
{
	v->list.origin = v->list.next_origin;
	v->list.until = v->list.next_until;
	if (map == e->bans) {
		v->ban.offences = v->ban.next_offences;
		return;
	}
	v->list.note = v->list.next_note;
	if (map == e->rules)
		v->rule.action = v->rule.next_action;
}

static void clear_next(const struct edge *e, int map, union edge_value *v, uint32_t until)
{
	v->list.stage = STAGE_NONE;
	v->list.next_origin = 0;
	v->list.next_until = until;
	if (map == e->bans) {
		v->ban.next_offences = 0;
		return;
	}
	v->list.next_note = 0;
	if (map == e->rules)
		v->rule.next_action = 0;
}

/* What an entry is once the batch has been committed or taken back; false: it goes. */
static bool settled(const struct edge *e, int map, union edge_value *v, bool committed)
{
	uint32_t until = held(v, committed);

	if (v->list.stage == (committed ? STAGE_REMOVING : STAGE_ADDING))
		return false;
	if (v->list.stage == STAGE_CHANGING && committed)
		change(e, map, v);
	clear_next(e, map, v, until);
	return true;
}

bool edge_entry_view(const struct edge *e, int map, union edge_value *value)
{
	if (!settled(e, map, value, head_read(e).batch == BATCH_COMMITTED))
		return false;
	return !value->list.until || clock_seconds() < value->list.until;
}

bool edge_entry_next(const struct edge *e, int map, union edge_value *value)
{
	return settled(e, map, value, true);
}

/* Entries that others have removed meanwhile stay away. */
static bool settle_entry(const struct edge *e, int map, const union edge_key *key, bool committed)
{
	union edge_value v;
	int rc;

	if (bpf_map_lookup_elem(map, key, &v) < 0)
		return errno == ENOENT;
	if (v.list.stage == STAGE_NONE)
		return true;
	if (settled(e, map, &v, committed))
		rc = bpf_map_update_elem(map, key, &v, BPF_EXIST);
	else
		rc = bpf_map_delete_elem(map, key);
	return rc == 0 || errno == ENOENT;
}

static int each_of(const struct edge *e, int map, edge_entry_fn *fn, void *arg)
{
	union edge_key next = {0};
	int rc = bpf_map_get_next_key(map, NULL, &next);

	while (rc == 0) {
		union edge_key key = next;

		rc = bpf_map_get_next_key(map, &key, &next);
		fn(e, map, &key, arg);
	}
	return rc == -ENOENT ? 0 : rc;
}

int edge_entries_each(const struct edge *e, edge_entry_fn *fn, void *arg)
{
#define EDGE_MAP(map) e->map,
	const int maps[] = {EDGE_LISTS(EDGE_MAP) e->rules};
#undef EDGE_MAP
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(maps) / sizeof(maps[0]); i++)
		rc = each_of(e, maps[i], fn, arg);
	return rc;
}

struct settling {
	bool committed;
	bool failed; /* of one entry at least */
};

static void settle_one(const struct edge *e, int map, const union edge_key *key, void *arg)
{
	struct settling *s = arg;

	s->failed |= !settle_entry(e, map, key, s->committed);
}

static int settle_all(const struct edge *e, bool committed)
{
	struct settling s = {.committed = committed};
	int rc = edge_entries_each(e, settle_one, &s);

	if (rc == 0)
		rc = each_of(e, e->bans, settle_one, &s);
	return rc == 0 && s.failed ? -ENOMEM : rc;
}

int edge_batch_begin(struct edge_batch *b, const struct edge *e, struct error *err)
{
	union head head = head_read(e);
	int rc = head.batch == BATCH_NONE ? 0 : settle_all(e, head.batch == BATCH_COMMITTED);

	if (rc < 0)
		return error_sys(err, -rc, "%s: what a killed command left can't be cleared",
				 e->name);
	*b = (struct edge_batch){.edge = e};
	head_write(e, head.generation, BATCH_OPEN);
	return 0;
}

static struct edge_staged *stage(struct edge_batch *b)
{
	/* Grows at powers of two. */
	if ((b->n & (b->n - 1)) == 0) {
		void *grown = reallocarray(b->items, b->n ? b->n * 2 : 1, sizeof(*b->items));

		if (!grown)
			return NULL;
		b->items = grown;
	}
	return &b->items[b->n];
}

static void note_end(const struct edge *e, uint32_t until)
{
	if (until && (!e->shared->expires || until < e->shared->expires))
		e->shared->expires = until;
}

/*
 * The entry of this very key. A look-up in a trie gives that of a shorter prefix, too, where there is none; but then the key
 * after this one is the map's first, which comes after no key that is there.
 */
static bool find(const struct edge *e, int map, const union edge_key *key, union edge_value *ret)
{
	union edge_key first = {0}, next = {0};

	if (bpf_map_lookup_elem(map, key, ret) < 0)
		return false;
	if (map == e->bans || map == e->rules)
		return true;
	if (bpf_map_get_next_key(map, NULL, &first) < 0)
		return false;
	return bpf_map_get_next_key(map, key, &next) < 0 ||
	       memcmp(first.bytes, next.bytes, sizeof(next.bytes)) != 0;
}

bool edge_batch_look(const struct edge_batch *b, int map, const union edge_key *key,
		     union edge_value *ret)
{
	return find(b->edge, map, key, ret) && settled(b->edge, map, ret, true);
}

/* Write an entry as it is staged, and remember what was there. */
static int put_staged(struct edge_batch *b, int map, const union edge_key *key,
		      const union edge_value *before, const union edge_value *v)
{
	struct edge_staged *s = stage(b);

	if (!s)
		return -ENOMEM;
	if (bpf_map_update_elem(map, key, v, before ? BPF_EXIST : BPF_NOEXIST) < 0)
		return errno == E2BIG ? -ENOSPC : -errno; /* as a hash says it */
	*s = (struct edge_staged){.map = map, .was_there = before, .key = *key};
	if (before)
		s->before = *before;
	b->n++;
	b->rules |= map == b->edge->rules;
	return 0;
}

static void set_next(const struct edge *e, int map, union edge_value *v,
		     const union edge_value *value)
{
	v->list.stage = STAGE_CHANGING;
	v->list.next_origin = value->list.origin;
	v->list.next_until = value->list.until;
	if (map == e->bans) {
		v->ban.next_offences = value->ban.offences;
		memcpy(v->ban.by, value->ban.by, sizeof(v->ban.by));
		memcpy(v->ban.why, value->ban.why, sizeof(v->ban.why));
		return;
	}
	v->list.next_note = value->list.note;
	if (map == e->rules)
		v->rule.next_action = value->rule.action;
	else
		v->list.prefixlen = value->list.prefixlen;
}

int edge_batch_put(struct edge_batch *b, int map, const union edge_key *key,
		   const union edge_value *value)
{
	union edge_value before, v = *value;
	bool there = find(b->edge, map, key, &before);

	if (map != b->edge->bans)
		note_end(b->edge, value->list.until);
	if (!there || before.list.stage == STAGE_ADDING) { /* new, or named twice */
		v.list.stage = STAGE_ADDING;
	} else {
		v = before;
		set_next(b->edge, map, &v, value);
	}
	return put_staged(b, map, key, there ? &before : NULL, &v);
}

int edge_batch_del(struct edge_batch *b, int map, const union edge_key *key)
{
	union edge_value before, v;

	if (!find(b->edge, map, key, &before))
		return -ENOENT;
	v = before;
	v.list.stage = STAGE_REMOVING;
	return put_staged(b, map, key, &before, &v);
}

static void end(struct edge_batch *b)
{
	/* A failure leaves the guard looking where nothing is any more. */
	if (b->rules)
		edge_rules_index(b->edge, NULL);
	free(b->items);
	*b = (struct edge_batch){0};
}

/* From here on it counts. */
static void commit(const struct edge *e, bool policy)
{
	head_write(e, head_read(e).generation + policy, BATCH_COMMITTED);
}

static void clear_stages(struct edge_batch *b)
{
	bool all = true;

	for (size_t i = 0; i < b->n; i++)
		all &= settle_entry(b->edge, b->items[i].map, &b->items[i].key, true);
	if (all) /* else they count as they are, and the next batch clears them */
		head_write(b->edge, head_read(b->edge).generation, BATCH_NONE);
	end(b);
}

void edge_batch_commit(struct edge_batch *b, bool policy)
{
	commit(b->edge, policy);
	clear_stages(b);
}

int edge_batch_commit_all(struct edge_batch *batches, size_t n, bool policy, struct error *err)
{
	enum edge_dir mark = policy ? EDGE_DIR_POLICY : EDGE_DIR_LISTS;
	size_t marked = 0;
	int rc = 0;

	for (; rc == 0 && n > 1 && marked < n; marked++)
		rc = edge_mark(mark, batches[marked].edge->name, err);
	if (rc == 0 && n > 1)
		rc = edge_decide(err);
	for (size_t i = 0; rc == 0 && i < n; i++)
		commit(batches[i].edge, policy);
	if (rc == 0 && n > 1)
		edge_done();
	for (size_t i = 0; i < marked; i++)
		edge_remove(mark, batches[i].edge->name);
	for (size_t i = 0; i < n; i++)
		if (rc == 0)
			clear_stages(&batches[i]);
		else
			edge_batch_abort(&batches[i]);
	return rc;
}

void edge_batch_resume(const struct edge *e, bool policy)
{
	if (head_read(e).batch == BATCH_OPEN)
		commit(e, policy); /* the next batch clears the stages */
}

void edge_batch_abort(struct edge_batch *b)
{
	bool all = true;

	if (!b->edge)
		return;

	/* From the last, so that an entry that was staged twice becomes what it was. */
	while (b->n) {
		const struct edge_staged *s = &b->items[--b->n];

		int rc = s->was_there ? bpf_map_update_elem(s->map, &s->key, &s->before, BPF_EXIST)
				      : bpf_map_delete_elem(s->map, &s->key);

		all &= rc == 0 || errno == ENOENT;
	}
	if (all) /* else the next batch does it */
		head_write(b->edge, head_read(b->edge).generation, BATCH_NONE);
	end(b);
}
