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

/* From a chunk on, last first. The kernel waits each time until no packet can see it any more. */
static void slot_clear(const struct edge *e, uint32_t slot, uint32_t from)
{
	uint32_t end = from, key, id;

	for (; end < FEED_CHUNKS; end++) {
		key = chunk_key(slot, end);
		if (bpf_map_lookup_elem(e->feeds, &key, &id) < 0)
			break;
	}
	for (; end > from; end--) {
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

static int set_read(const struct edge *e, uint32_t number, struct set *ret)
{
	return bpf_map_lookup_elem(e->sets, &number, ret) < 0 ? -errno : 0;
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

static uint8_t number_of(const struct set *old, const char *name)
{
	for (uint32_t i = 1; i < FEED_SETS; i++)
		if (strncmp(old[i].name, name, SET_NAME) == 0)
			return (uint8_t)i;
	return 0;
}

/* A set that is loaded already keeps its number, and with it what it has counted; others begin at 0. */
static int take_numbers(const struct edge *e, const struct edge_feeds *f,
			struct edge_feeds_ready *ready)
{
	struct set sets[FEED_SETS];
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < FEED_SETS; i++)
		rc = set_read(e, i, &sets[i]);
	for (size_t i = 0; rc == 0 && i < f->n; i++) {
		uint8_t number = number_of(sets, f->sets[i].name);

		if (!number) {
			number = number_of(sets, "");
			if (!number)
				return -ENOSPC;
			ready->fresh[number] = true;
			sets[number] = (struct set){.loaded_at = f->sets[i].loaded_at};
			memcpy(sets[number].name, f->sets[i].name, SET_NAME);
			rc = hits_reset(e, number);
			if (rc == 0)
				rc = set_write(e, number, &sets[number]);
		}
		ready->numbers[i] = number;
	}
	return rc;
}

/* Compile into the slot that no packet looks at. */
static int fill(const struct edge *e, const struct edge_feeds *f, struct edge_feeds_ready *ready)
{
	_cleanup_(chunks_fini) struct chunks chunks = {0};
	int rc = take_numbers(e, f, ready);

	if (rc == 0)
		rc = chunks_new(&chunks, chunks_of(f));
	if (rc == 0 && f->n)
		rc = feed_write(&f->plan, &f->entries, ready->numbers, chunks.memory);
	if (rc == 0)
		rc = slot_fill(e, ready->slot, &chunks);
	if (rc == 0)
		slot_clear(e, ready->slot, chunks.n);
	return rc;
}

int edge_feeds_prepare(const struct edge *e, const struct edge_feeds *f, uint32_t generation,
		       struct edge_feeds_ready *ret, struct error *err)
{
	struct edge_feeds_ready ready = {0};
	uint32_t now = e->shared->generation;
	struct feed_state state = {0};
	int rc = state_read(e, &state);

	if (rc < 0)
		return error_sys(err, -rc, "%s: feed_state", e->name);
	ready.slot = !(state.slot[now & 1] & 1);
	if (!f) {
		state.slot[generation & 1] = state.slot[now & 1];
		rc = state_write(e, &state);
		*ret = ready;
		return rc < 0 ? error_sys(err, -rc, "%s: feed_state", e->name) : 0;
	}
	rc = fill(e, f, &ready);
	if (rc == 0) {
		state.slot[generation & 1] = ready.slot;
		/* For no other policy: the other half is that of one that is over. */
		if (generation == now)
			state.slot[!(now & 1)] = ready.slot;
		rc = state_write(e, &state);
	}
	if (rc == 0) {
		*ret = ready;
		return 0;
	}
	edge_feeds_abort(e, &ready);
	if (rc == -ENOSPC)
		return error_set(err, ENOSPC, "%s: more than %d feeds", e->name, FEED_SETS - 1);
	return error_sys(err, -rc, "%s: feeds", e->name);
}

void edge_feeds_settle(const struct edge *e, const struct edge_feeds *f,
		       const struct edge_feeds_ready *ready)
{
	const struct set *sets[FEED_SETS] = {0};
	uint32_t old = !ready->slot, key = chunk_key(old, 0);
	struct set none = {0}, set;
	uint32_t id;
	int fd;

	if (!f)
		return;
	for (size_t i = 0; i < f->n; i++)
		sets[ready->numbers[i]] = &f->sets[i];
	for (uint32_t i = 1; i < FEED_SETS; i++)
		if (sets[i])
			set_write(e, i, sets[i]);
		else if (set_read(e, i, &set) == 0 && set.name[0])
			set_write(e, i, &none);
	/* An update of the map waits for the packets that may still be looking there. */
	if (bpf_map_lookup_elem(e->feeds, &key, &id) < 0)
		return;
	fd = bpf_map_get_fd_by_id(id);
	if (fd < 0)
		return; /* the next ones take the place */
	bpf_map_update_elem(e->feeds, &key, &fd, BPF_ANY);
	close(fd);
	slot_clear(e, old, 0);
}

void edge_feeds_abort(const struct edge *e, const struct edge_feeds_ready *ready)
{
	const struct set none = {0};

	for (uint32_t i = 1; i < FEED_SETS; i++)
		if (ready->fresh[i])
			set_write(e, i, &none);
	slot_clear(e, ready->slot, 0);
}

int edge_feeds_replace(const struct edge *e, const struct edge_feeds *f, struct error *err)
{
	struct edge_feeds_ready ready = {0};
	int rc = edge_feeds_prepare(e, f, e->shared->generation, &ready, err);

	if (rc == 0)
		edge_feeds_settle(e, f, &ready);
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

int edge_sets_read(const struct edge *e, struct edge_set ret[FEED_SETS], size_t *ret_bytes,
		   struct error *err)
{
	int cpus = libbpf_num_possible_cpus();
	_cleanup_free_ struct counter *hits = NULL;

	if (cpus < 0)
		return error_sys(err, -cpus, "number of CPUs");
	hits = calloc((size_t)cpus, sizeof(*hits));
	if (!hits)
		return error_sys(err, ENOMEM, "%s: sets", e->name);
	for (uint32_t i = 0; i < FEED_SETS; i++) {
		struct edge_set s = {0};

		if (set_read(e, i, &s.set) < 0 || bpf_map_lookup_elem(e->set_hits, &i, hits) < 0)
			return error_sys(err, errno, "%s: sets", e->name);
		for (int cpu = 0; cpu < cpus; cpu++) {
			s.hits.packets += hits[cpu].packets;
			s.hits.bytes += hits[cpu].bytes;
		}
		ret[i] = s;
	}
	*ret_bytes = chunks_there(e) * CHUNK_BYTES;
	return 0;
}
