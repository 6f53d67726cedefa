/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/batch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "edge/pin.h"

struct edge_staged {
	int map;
	bool was_there;
	struct list_value before;
	union edge_key key;
};

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

static uint32_t now_seconds(void)
{
	return (uint32_t)(clock_mono() / NSEC_PER_SEC);
}

/* What an entry is once the batch has been committed or taken back; false: it goes. */
static bool settled(struct list_value *v, bool committed)
{
	if (v->stage == (committed ? STAGE_REMOVING : STAGE_ADDING))
		return false;
	if (v->stage == STAGE_CHANGING && committed) {
		v->origin = v->next_origin;
		v->until = v->next_until;
		v->note = v->next_note;
	}
	v->stage = STAGE_NONE;
	v->next_origin = 0;
	v->next_until = 0;
	v->next_note = 0;
	return true;
}

bool edge_entry_view(const struct edge *e, struct list_value *value)
{
	if (!settled(value, head_read(e).batch == BATCH_COMMITTED))
		return false;
	return !value->until || now_seconds() < value->until;
}

/* Entries that others have removed meanwhile stay away. */
static void settle_entry(int map, const union edge_key *key, struct list_value *v, bool committed)
{
	if (settled(v, committed))
		bpf_map_update_elem(map, key, v, BPF_EXIST);
	else
		bpf_map_delete_elem(map, key);
}

/* Call fn for every entry of a map; it may remove that one. */
static int each_entry(int map, void (*fn)(int map, const union edge_key *key, void *arg), void *arg)
{
	union edge_key next = {0};
	int rc = bpf_map_get_next_key(map, NULL, &next);

	while (rc == 0) {
		union edge_key key = next;

		rc = bpf_map_get_next_key(map, &key, &next);
		fn(map, &key, arg);
	}
	return rc == -ENOENT ? 0 : rc;
}

static int each_list(const struct edge *e,
		     void (*fn)(int map, const union edge_key *key, void *arg), void *arg)
{
#define EDGE_MAP(map) e->map,
	const int maps[] = {EDGE_LISTS(EDGE_MAP)};
#undef EDGE_MAP
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(maps) / sizeof(maps[0]); i++)
		rc = each_entry(maps[i], fn, arg);
	return rc;
}

static void settle_one(int map, const union edge_key *key, void *arg)
{
	const bool *committed = arg;
	struct list_value v;

	if (bpf_map_lookup_elem(map, key, &v) == 0 && v.stage != STAGE_NONE)
		settle_entry(map, key, &v, *committed);
}

int edge_batch_begin(struct edge_batch *b, const struct edge *e, struct error *err)
{
	union head head = head_read(e);
	bool committed = head.batch == BATCH_COMMITTED;
	int rc = head.batch == BATCH_NONE ? 0 : each_list(e, settle_one, &committed);

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
static bool find(int map, const union edge_key *key, struct list_value *ret)
{
	union edge_key first = {0}, next = {0};

	if (bpf_map_lookup_elem(map, key, ret) < 0 || bpf_map_get_next_key(map, NULL, &first) < 0)
		return false;
	return bpf_map_get_next_key(map, key, &next) < 0 ||
	       memcmp(&first, &next, sizeof(next)) != 0;
}

/* Write an entry as it is staged, and remember what was there. */
static int put_staged(struct edge_batch *b, int map, const union edge_key *key,
		      const struct list_value *before, const struct list_value *v)
{
	struct edge_staged *s = stage(b);

	if (!s)
		return -ENOMEM;
	if (bpf_map_update_elem(map, key, v, before ? BPF_EXIST : BPF_NOEXIST) < 0)
		return -errno;
	*s = (struct edge_staged){.map = map, .was_there = before, .key = *key};
	if (before)
		s->before = *before;
	b->n++;
	return 0;
}

int edge_batch_put(struct edge_batch *b, int map, const union edge_key *key,
		   const struct list_value *value)
{
	struct list_value before, v;

	note_end(b->edge, value->until);
	if (!find(map, key, &before)) {
		v = *value;
		v.stage = STAGE_ADDING;
		return put_staged(b, map, key, NULL, &v);
	}
	v = before;
	v.prefixlen = value->prefixlen;
	if (before.stage == STAGE_ADDING) { /* named twice */
		v.origin = value->origin;
		v.until = value->until;
		v.note = value->note;
	} else {
		v.stage = STAGE_CHANGING;
		v.next_origin = value->origin;
		v.next_until = value->until;
		v.next_note = value->note;
	}
	return put_staged(b, map, key, &before, &v);
}

int edge_batch_del(struct edge_batch *b, int map, const union edge_key *key)
{
	struct list_value before, v;

	if (!find(map, key, &before))
		return -ENOENT;
	v = before;
	v.stage = STAGE_REMOVING;
	return put_staged(b, map, key, &before, &v);
}

static void end(struct edge_batch *b)
{
	free(b->items);
	*b = (struct edge_batch){0};
}

void edge_batch_commit(struct edge_batch *b, bool policy)
{
	uint32_t generation = head_read(b->edge).generation + policy;

	head_write(b->edge, generation, BATCH_COMMITTED);
	for (size_t i = 0; i < b->n; i++) {
		struct edge_staged *s = &b->items[i];
		struct list_value v;

		if (bpf_map_lookup_elem(s->map, &s->key, &v) == 0)
			settle_entry(s->map, &s->key, &v, true);
	}
	head_write(b->edge, generation, BATCH_NONE);
	end(b);
}

void edge_batch_abort(struct edge_batch *b)
{
	if (!b->edge)
		return;
	/* From the last, so that an entry that was staged twice becomes what it was. */
	while (b->n) {
		const struct edge_staged *s = &b->items[--b->n];

		if (s->was_there)
			bpf_map_update_elem(s->map, &s->key, &s->before, BPF_EXIST);
		else
			bpf_map_delete_elem(s->map, &s->key);
	}
	head_write(b->edge, head_read(b->edge).generation, BATCH_NONE);
	end(b);
}

struct sweep {
	uint32_t now;
	uint32_t next; /* the earliest end of those that stay; 0: none has one */
	int removed;
};

static void sweep_one(int map, const union edge_key *key, void *arg)
{
	struct sweep *s = arg;
	struct list_value v;

	if (bpf_map_lookup_elem(map, key, &v) < 0 || !v.until)
		return;
	if (v.until <= s->now) {
		s->removed += bpf_map_delete_elem(map, key) == 0;
	} else if (!s->next || v.until < s->next) {
		s->next = v.until;
	}
}

bool edge_sweep_due(const char *name)
{
	_cleanup_close_ int fd = edge_get(name, "state");
	struct state state;
	uint32_t key = 0;

	return fd >= 0 && bpf_map_lookup_elem(fd, &key, &state) == 0 && state.expires &&
	       state.expires <= now_seconds();
}

int edge_sweep(const struct edge *e, struct error *err)
{
	struct sweep s = {.now = now_seconds()};
	struct edge_batch b;
	int rc;

	if (!e->shared->expires || s.now < e->shared->expires)
		return 0;
	rc = edge_batch_begin(&b, e, err);
	if (rc < 0)
		return rc;
	rc = each_list(e, sweep_one, &s);
	edge_batch_abort(&b);
	if (rc < 0)
		return error_sys(err, -rc, "%s: entries that have ended can't be removed", e->name);
	e->shared->expires = s.next;
	return s.removed;
}
