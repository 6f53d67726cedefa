/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/explain.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "bpf/guard.skel.h"
#include "edge/frame.h"
#include "edge/pin.h"
#include "edge/seed.h"

DEFINE_CLEANUP(struct guard *, guard__destroy)

#define N_PORTS	   65536
#define COPY_BATCH 4096 /* entries a system call */

/* What the program writes and reads again. It writes only these, and per-CPU maps, the ring and the lease of its reader. */
static const char *const copied[] = {"buckets",	  "known",     "verified",
				     "port_sums", "syn_state", "waiting"};

static bool is_copied(const struct bpf_map *map)
{
	for (size_t i = 0; i < sizeof(copied) / sizeof(copied[0]); i++)
		if (strcmp(bpf_map__name(map), copied[i]) == 0)
			return true;
	return false;
}

static bool is_shared(const struct bpf_map *map)
{
	return !bpf_map__is_internal(map) && !is_copied(map) &&
	       bpf_map__type(map) != BPF_MAP_TYPE_PERCPU_ARRAY &&
	       bpf_map__type(map) != BPF_MAP_TYPE_RINGBUF &&
	       strcmp(bpf_map__name(map), "watch") != 0;
}

static int share(struct bpf_object *obj, const char *name, struct error *err)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj)
	{
		_cleanup_close_ int fd = -1;
		int rc;

		if (!is_shared(map))
			continue;
		fd = edge_get_map(name, obj, map, err);
		if (fd < 0)
			return fd;
		rc = bpf_map__reuse_fd(map, fd);
		if (rc < 0)
			return error_sys(err, -rc, "%s: map %s", name, bpf_map__name(map));
	}
	return 0;
}

static int copy(int from, const struct bpf_map *to)
{
	_cleanup_free_ char *values = calloc(COPY_BATCH, bpf_map__value_size(to));
	_cleanup_free_ uint32_t *keys = calloc(COPY_BATCH, sizeof(*keys));
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	uint32_t position = 0;
	bool first = true;
	int rc = 0;

	if (!values || !keys)
		return -ENOMEM;
	while (rc == 0) {
		uint32_t n = COPY_BATCH;

		rc = bpf_map_lookup_batch(from, first ? NULL : &position, &position, keys, values,
					  &n, &opts);
		if (rc < 0 && rc != -ENOENT)
			return rc;
		first = false;
		if (n && bpf_map_update_batch(bpf_map__fd(to), keys, values, &n, &opts) < 0)
			return -errno;
	}
	return 0;
}

static int copy_all(const struct bpf_object *obj, const char *name, struct error *err)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj)
	{
		_cleanup_close_ int fd = -1;
		int rc;

		if (bpf_map__is_internal(map) || !is_copied(map))
			continue;
		fd = edge_get_map(name, obj, map, err);
		if (fd < 0)
			return fd;
		rc = copy(fd, map);
		if (rc < 0)
			return error_sys(err, -rc, "%s: copying map %s", name, bpf_map__name(map));
	}
	return 0;
}

static int load(const struct edge *e, struct guard **ret, struct error *err)
{
	_cleanup_(guard__destroyp) struct guard *g = guard__open();
	uint64_t seed = 0;
	int rc;

	if (!g)
		return error_sys(err, errno, "the packet program can't be opened");
	rc = edge_seed(e->name, &seed); /* buckets are found by it */
	if (rc < 0)
		return error_sys(err, -rc, "%s: program", e->name);
	g->rodata->bucket_seed = seed;
	g->rodata->explain = true;
	g->rodata->test_clock = true;
	rc = share(g->obj, e->name, err);
	if (rc < 0)
		return rc;
	rc = guard__load(g);
	if (rc < 0)
		return error_sys(err, -rc, "the kernel does not take the packet program");
	/* Time stands where the buckets are copied, or they would fill until the packet comes. */
	g->bss->test_now = clock_mono();
	rc = copy_all(g->obj, e->name, err);
	if (rc == 0)
		*ret = take_ptr(g);
	return rc;
}

/* To the interface, whose address the policy has, or the SYN gate would not look at it. */
static void build(const struct edge_question *q, const struct local *local, struct frame *f)
{
	char source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN];
	int family = q->source.family;

	inet_ntop(family, q->source.addr, source, sizeof(source));
	inet_ntop(family, q->destination.addr, destination, sizeof(destination));
	frame_ethernet(f);
	if (local->macs)
		memcpy(f->bytes, local->mac[0].addr, sizeof(local->mac[0].addr));
	if (family == AF_INET)
		frame_ip4(f, source, destination, 0);
	else
		frame_ip6(f, source, destination);
	if (q->protocol == IPPROTO_TCP)
		frame_tcp(f, q->source_port, q->port, q->ack ? F_ACK : F_SYN, 1, q->ack, NULL, 0);
	else if (q->protocol == IPPROTO_UDP)
		frame_udp(f, q->source_port, q->port);
	else
		frame_icmp(f, family == AF_INET ? 8 : 128);
	frame_finish(f);
}

/* As if it had come in by the interface. */
static int meet(const struct guard *g, const struct edge *e, const struct frame *f,
		uint32_t ifindex, struct error *err)
{
	struct xdp_md ctx = {.data_end = (uint32_t)f->len, .ingress_ifindex = ifindex};
	uint8_t out[sizeof(f->bytes)];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = f->bytes, .data_size_in = (uint32_t)f->len,
		    .data_out = out, .data_size_out = sizeof(out), .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .repeat = 1);

	if (bpf_prog_test_run_opts(bpf_program__fd(g->progs.sluice_guard), &opts) == 0)
		return 0;
	return error_sys(err, errno, "%s: the program can't be run", e->name);
}

/* What a per-CPU map of counters has counted: the number of the only one. 0: none, or the first. */
static uint32_t find_counted(const struct bpf_map *map, uint32_t n_keys, uint32_t n_counters)
{
	int cpus = libbpf_num_possible_cpus();
	size_t size = (bpf_map__value_size(map) + 7) / 8 * 8;
	_cleanup_free_ char *values = cpus > 0 ? calloc((size_t)cpus, size) : NULL;

	for (uint32_t key = 0; values && key < n_keys; key++) {
		if (bpf_map_lookup_elem(bpf_map__fd(map), &key, values) < 0)
			continue;
		for (size_t cpu = 0; cpu < (size_t)cpus; cpu++) {
			const struct counter *c = (const void *)(values + cpu * size);

			for (uint32_t i = 0; i < n_counters; i++)
				if (c[i].packets)
					return key + i;
		}
	}
	return 0;
}

/* Units: what is left of a bucket that will be full again at full_at. */
static struct edge_level level_of(uint64_t full_at, uint64_t now, const struct limit *limit)
{
	uint64_t debt = full_at > now ? (full_at - now + limit->interval - 1) / limit->interval : 0;

	return (struct edge_level){
		.met = true,
		.left = debt < limit->burst ? limit->burst - debt : 0,
		.burst = limit->burst,
	};
}

static void read_levels(const struct guard *g, struct edge_answer *ret)
{
	uint64_t now = g->bss->explained_now;

	ret->metered = now != 0;
	ret->verified = g->bss->explained_verified;
	ret->tier = g->bss->explained_tier % TIERS;
	for (int i = 0; i < LIMIT_CLASSES; i++) {
		const struct limit *own = &ret->policy.tier[ret->tier].limit[i];
		const struct limit *port = &ret->policy.port[i];

		if (g->bss->explained_own >> i & 1 && own->interval)
			ret->own[i] = level_of(g->bss->explained_own_full_at[i], now, own);
		if (g->bss->explained_port >> i & 1 && port->interval)
			ret->port[i] = level_of(g->bss->explained_port_full_at[i], now, port);
	}
}

int edge_explain(const struct edge *e, const struct edge_question *q, struct edge_answer *ret,
		 struct error *err)
{
	_cleanup_(guard__destroyp) struct guard *g = NULL;
	struct bpf_prog_info info = {0};
	struct edge_answer answer = {0};
	struct edge_status status;
	uint32_t len = sizeof(info);
	struct frame f;
	int rc = edge_status(e, &status, err);

	if (rc == 0)
		rc = edge_check_here(e, &status, err);
	if (rc == 0)
		rc = load(e, &g, err);
	if (rc < 0)
		return rc;
	if (bpf_obj_get_info_by_fd(bpf_program__fd(g->progs.sluice_guard), &info, &len) < 0)
		return error_sys(err, errno, "%s: program", e->name);
	answer.same_program = memcmp(info.tag, status.program_tag, sizeof(info.tag)) == 0;
	answer.policy = status.policy;
	build(q, &answer.policy.local, &f);
	rc = meet(g, e, &f, status.ifindex, err);
	if (rc < 0)
		return rc;
	answer.reason = (enum reason)find_counted(g->maps.counters, 1, REASON_COUNT);
	answer.set = find_counted(g->maps.set_hits, bpf_map__max_entries(g->maps.set_hits), 1);
	read_levels(g, &answer);
	*ret = answer;
	return 0;
}

uint16_t edge_protected_port(const struct edge *e)
{
	_cleanup_free_ struct port_value *values = calloc(N_PORTS, sizeof(*values));
	_cleanup_free_ uint32_t *keys = calloc(N_PORTS, sizeof(*keys));
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	uint32_t half = e->shared->generation & 1;
	uint32_t n = N_PORTS;
	uint32_t position;

	if (!values || !keys ||
	    (bpf_map_lookup_batch(e->ports, NULL, &position, keys, values, &n, &opts) < 0 &&
	     errno != ENOENT))
		return 0;
	for (uint32_t i = 1; i < n; i++)
		if (values[i].state[half] == PORT_PROTECTED)
			return (uint16_t)i;
	return 0;
}
