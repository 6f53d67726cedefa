/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/feeds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/cleanup.h"
#include "edge/pin.h"

#define CHUNK_BYTES ((size_t)FEED_CHUNK_LINES * FEED_LINE)

static uint32_t chunks_of(const struct edge_feeds *f)
{
	return f->n ? (f->plan.header.lines + FEED_CHUNK_LINES - 1) / FEED_CHUNK_LINES : 0;
}

size_t edge_feeds_bytes(const struct edge_feeds *f)
{
	return chunks_of(f) * CHUNK_BYTES;
}

void edge_feeds_describe(const struct edge_feeds *f, char ret[EDGE_FEEDS_TEXT])
{
	snprintf(ret, EDGE_FEEDS_TEXT, "%zu feed%s, %zu entries, %zu MiB of memory an interface",
		 f->n, f->n == 1 ? "" : "s", f->entries.n, edge_feeds_bytes(f) >> 20);
}

/* Descriptors of the maps that one compiled feed consists of, and where they are mapped, side by side. */
struct chunks {
	int *fds;
	uint32_t n;
	char *memory;
};

static void chunks_fini(struct chunks *c)
{
	if (c->memory)
		munmap(c->memory, c->n * CHUNK_BYTES);
	for (uint32_t i = 0; i < c->n && c->fds; i++)
		if (c->fds[i] >= 0)
			close(c->fds[i]);
	free(c->fds);
}

static int chunk_new(struct chunks *c, uint32_t i)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "feed_chunk", sizeof(uint32_t), FEED_LINE,
				FEED_CHUNK_LINES, &opts);

	if (fd < 0)
		return -errno;
	c->fds[i] = fd;
	if (mmap(c->memory + i * CHUNK_BYTES, CHUNK_BYTES, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
		return -errno;
	return 0;
}

static int chunks_new(struct chunks *c, uint32_t n)
{
	void *memory;
	int rc = 0;

	if (n == 0)
		return 0;
	c->fds = malloc(n * sizeof(*c->fds));
	if (!c->fds)
		return -ENOMEM;
	c->n = n;
	memset(c->fds, -1, n * sizeof(*c->fds));
	memory = mmap(NULL, n * CHUNK_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return -errno;
	c->memory = memory;
	for (uint32_t i = 0; rc == 0 && i < n; i++)
		rc = chunk_new(c, i);
	return rc;
}

static uint32_t chunk_key(uint32_t slot, uint32_t chunk)
{
	return slot * FEED_CHUNKS + chunk;
}

/* Last first. The kernel waits each time until no packet can see it any more. */
static void slot_clear(const struct edge *e, uint32_t slot)
{
	uint32_t end = 0, key, id;

	for (; end < FEED_CHUNKS; end++) {
		key = chunk_key(slot, end);
		if (bpf_map_lookup_elem(e->feeds, &key, &id) < 0)
			break;
	}
	for (; end > 0; end--) {
		key = chunk_key(slot, end - 1);
		bpf_map_delete_elem(e->feeds, &key);
	}
}

/* One call, so that the kernel waits once. */
static int slot_fill(const struct edge *e, uint32_t slot, const struct chunks *c)
{
	_cleanup_free_ uint32_t *keys = calloc(c->n + 1, sizeof(*keys));
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	uint32_t n = c->n;

	if (!keys)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		keys[i] = chunk_key(slot, i);
	if (n && bpf_map_update_batch(e->feeds, keys, c->fds, &n, &opts) < 0)
		return -errno;
	return 0;
}

static int state_read(const struct edge *e, struct feed_state *ret)
{
	uint32_t key = 0;

	return bpf_map_lookup_elem(e->feed_state, &key, ret) < 0 ? -errno : 0;
}

static int state_write(const struct edge *e, const struct feed_state *state)
{
	uint32_t key = 0;

	return bpf_map_update_elem(e->feed_state, &key, state, BPF_ANY) < 0 ? -errno : 0;
}

/* The one that packets look at. */
static uint32_t live_slot(const struct edge *e, const struct feed_state *state)
{
	return state->slot[__atomic_load_n(&e->shared->generation, __ATOMIC_SEQ_CST) & 1] &
	       (FEED_SLOTS - 1);
}

static int sets_read(const struct edge *e, struct set ret[FEED_SETS])
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	uint32_t keys[FEED_SETS], next, n = FEED_SETS;

	return bpf_map_lookup_batch(e->sets, NULL, &next, keys, ret, &n, &opts) < 0 &&
			       errno != ENOENT
		       ? -errno
		       : 0;
}

static int set_write(const struct edge *e, uint32_t number, const struct set *set)
{
	return bpf_map_update_elem(e->sets, &number, set, BPF_ANY) < 0 ? -errno : 0;
}

static int hits_reset(const struct edge *e, uint32_t number)
{
	int cpus = libbpf_num_possible_cpus();
	_cleanup_free_ struct counter *zero = NULL;

	if (cpus < 0)
		return cpus;
	zero = calloc((size_t)cpus, sizeof(*zero));
	if (!zero)
		return -ENOMEM;
	return bpf_map_update_elem(e->set_hits, &number, zero, BPF_ANY) < 0 ? -errno : 0;
}

static void change(struct set *s)
{
	s->entries4 = s->next_entries4;
	s->entries6 = s->next_entries6;
	s->loaded_at = s->next_loaded_at;
	memcpy(s->file, s->next_file, SET_FILE);
}

/* What a set is while feeds of the live slot count; nothing: it is none. */
static void view(struct set *s, uint32_t live)
{
	bool counts = s->slot == live;

	if (s->stage == (counts ? STAGE_REMOVING : STAGE_ADDING))
		*s = (struct set){0};
	if (s->stage == STAGE_CHANGING && counts)
		change(s);
	memset((char *)s + offsetof(struct set, stage), 0,
	       sizeof(*s) - offsetof(struct set, stage));
}

static uint8_t number_of(const struct set *old, const char *name)
{
	for (uint32_t i = 1; i < FEED_SETS; i++)
		if (strncmp(old[i].name, name, SET_NAME) == 0)
			return (uint8_t)i;
	return 0;
}

static void stage_change(struct set *s, const struct set *to)
{
	s->stage = STAGE_CHANGING;
	s->next_entries4 = to->entries4;
	s->next_entries6 = to->entries6;
	s->next_loaded_at = to->loaded_at;
	memcpy(s->next_file, to->file, SET_FILE);
}

/*
 * Stage the sets, for when the slot counts. One that is loaded already keeps its number, and with it what it has counted;
 * others begin at 0.
 */
static int stage_sets(const struct edge *e, const struct edge_feeds *f, uint32_t slot,
		      uint8_t ret_numbers[FEED_SETS])
{
	struct set sets[FEED_SETS];
	int rc = sets_read(e, sets);

	for (size_t i = 0; rc == 0 && i < f->n; i++) {
		uint8_t number = number_of(sets, f->sets[i].name);

		if (number) {
			stage_change(&sets[number], &f->sets[i]);
		} else {
			number = number_of(sets, "");
			if (!number)
				return -ENOSPC;
			sets[number] = f->sets[i];
			sets[number].stage = STAGE_ADDING;
			rc = hits_reset(e, number);
		}
		ret_numbers[i] = number;
	}
	for (uint32_t i = 1; rc == 0 && i < FEED_SETS; i++) {
		if (!sets[i].name[0])
			continue;
		if (sets[i].stage == STAGE_NONE)
			sets[i].stage = STAGE_REMOVING;
		sets[i].slot = (uint8_t)slot;
		rc = set_write(e, i, &sets[i]);
	}
	return rc;
}

/* Compile into the slot that no packet looks at. */
static int fill(const struct edge *e, const struct edge_feeds *f, uint32_t slot)
{
	_cleanup_(chunks_fini) struct chunks chunks = {0};
	uint8_t numbers[FEED_SETS];
	int rc = stage_sets(e, f, slot, numbers);

	if (rc == 0)
		rc = chunks_new(&chunks, chunks_of(f));
	if (rc == 0 && f->n)
		rc = feed_write(&f->plan, &f->entries, numbers, chunks.memory);
	if (rc == 0)
		rc = slot_fill(e, slot, &chunks);
	return rc;
}

int edge_feeds_prepare(const struct edge *e, const struct edge_feeds *f, uint32_t generation,
		       struct error *err)
{
	uint32_t now = e->shared->generation;
	struct feed_state state = {0};
	uint32_t slot;
	int rc;

	edge_feeds_settle(e);
	rc = state_read(e, &state);
	slot = live_slot(e, &state);
	if (rc == 0 && f) {
		slot = !slot;
		rc = fill(e, f, slot);
	}
	if (rc == 0) {
		state.slot[generation & 1] = slot;
		/* For no other policy: the other half is that of one that is over. */
		if (generation == now)
			state.slot[!(now & 1)] = slot;
		rc = state_write(e, &state);
	}
	if (rc == 0)
		return 0;
	edge_feeds_settle(e);
	if (rc == -ENOSPC)
		return error_set(err, ENOSPC, "%s: more than %d feeds", e->name, FEED_SETS - 1);
	return error_sys(err, -rc, "%s: feeds", e->name);
}

static void settle_sets(const struct edge *e, uint32_t live)
{
	struct set sets[FEED_SETS];

	if (sets_read(e, sets) < 0)
		return;
	for (uint32_t i = 1; i < FEED_SETS; i++)
		if (sets[i].stage != STAGE_NONE) {
			view(&sets[i], live);
			set_write(e, i, &sets[i]);
		}
}

void edge_feeds_settle(const struct edge *e)
{
	struct feed_state state;
	uint32_t live, key, id;
	int fd;

	if (state_read(e, &state) < 0)
		return;
	live = live_slot(e, &state);
	settle_sets(e, live);
	/* An update of the map waits for the packets that may still be looking there. */
	key = chunk_key(!live, 0);
	if (bpf_map_lookup_elem(e->feeds, &key, &id) < 0)
		return;
	fd = bpf_map_get_fd_by_id(id);
	if (fd < 0)
		return; /* the next ones take the place */
	bpf_map_update_elem(e->feeds, &key, &fd, BPF_ANY);
	close(fd);
	slot_clear(e, !live);
}

int edge_feeds_replace(const struct edge *e, const struct edge_feeds *f, struct error *err)
{
	int rc = edge_mark(EDGE_DIR_FEEDS, e->name, err);

	if (rc < 0)
		return rc;
	rc = edge_feeds_prepare(e, f, e->shared->generation, err);
	edge_feeds_settle(e);
	edge_remove(EDGE_DIR_FEEDS, e->name);
	return rc;
}

/* Both slots': while they are replaced there are two. */
static size_t chunks_there(const struct edge *e)
{
	size_t n = 0;
	uint32_t id;

	for (uint32_t slot = 0; slot < FEED_SLOTS; slot++)
		for (uint32_t i = 0; i < FEED_CHUNKS; i++) {
			uint32_t key = chunk_key(slot, i);

			if (bpf_map_lookup_elem(e->feeds, &key, &id) < 0)
				break;
			n++;
		}
	return n;
}

/* Packets of a set; 0 or -errno. */
static int hits_read(const struct edge *e, uint32_t number, struct counter *of_cpus, int cpus,
		     struct counter *ret)
{
	if (bpf_map_lookup_elem(e->set_hits, &number, of_cpus) < 0)
		return -errno;
	for (int cpu = 0; cpu < cpus; cpu++) {
		ret->packets += of_cpus[cpu].packets;
		ret->bytes += of_cpus[cpu].bytes;
	}
	return 0;
}

/* Without the lock: again when others have come to count meanwhile. */
static int sets_view(const struct edge *e, struct set ret[FEED_SETS])
{
	struct feed_state state = {0}, now = {0};
	uint32_t live;
	int rc;

	do {
		rc = state_read(e, &state);
		live = live_slot(e, &state);
		if (rc == 0)
			rc = sets_read(e, ret);
		if (rc == 0)
			rc = state_read(e, &now);
	} while (rc == 0 && live_slot(e, &now) != live);
	for (uint32_t i = 0; i < FEED_SETS; i++)
		view(&ret[i], live);
	return rc;
}

int edge_sets_read(const struct edge *e, struct edge_set ret[FEED_SETS], size_t *ret_bytes,
		   struct error *err)
{
	int cpus = libbpf_num_possible_cpus();
	_cleanup_free_ struct counter *hits = NULL;
	struct set sets[FEED_SETS] = {0};
	int rc;

	if (cpus < 0)
		return error_sys(err, -cpus, "number of CPUs");
	hits = calloc((size_t)cpus, sizeof(*hits));
	rc = hits ? sets_view(e, sets) : -ENOMEM;
	for (uint32_t i = 0; rc == 0 && i < FEED_SETS; i++) {
		ret[i] = (struct edge_set){.set = sets[i]};
		if (sets[i].name[0])
			rc = hits_read(e, i, hits, cpus, &ret[i].hits);
	}
	if (rc < 0)
		return error_sys(err, -rc, "%s: sets", e->name);
	*ret_bytes = chunks_there(e) * CHUNK_BYTES;
	return 0;
}
