/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/talkers.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/cleanup.h"

#define N_SETS (1U << TALK_SET_BITS)

static int by_source(const void *a, const void *b)
{
	const struct edge_talker *x = a;
	const struct edge_talker *y = b;

	return (x->source > y->source) - (x->source < y->source);
}

static int by_packets(const void *a, const void *b)
{
	const struct edge_talker *x = a;
	const struct edge_talker *y = b;

	if (x->packets != y->packets)
		return x->packets < y->packets ? 1 : -1;
	return by_source(a, b);
}

static void add(struct edge_talker *sum, const struct edge_talker *t)
{
	sum->packets += t->packets;
	sum->dropped += t->dropped;
	sum->bytes += t->bytes;
	if (t->seen > sum->seen)
		sum->seen = t->seen;
	if (t->dropped && (!sum->reason || t->dropped_at > sum->dropped_at)) {
		sum->dropped_at = t->dropped_at;
		sum->reason = t->reason;
	}
}

int edge_talkers_merge(const struct talker_set *sets, size_t n, struct edge_talkers *ret)
{
	struct edge_talkers out = {calloc(n * TALK_WAYS + 1, sizeof(*out.items)), 0};
	size_t merged = 0;

	if (!out.items)
		return -ENOMEM;
	for (size_t i = 0; i < n * TALK_WAYS; i++) {
		const struct talker *t = &sets[i / TALK_WAYS].way[i % TALK_WAYS];

		if (!t->source)
			continue;
		out.items[out.n++] = (struct edge_talker){
			.source = t->source,
			.packets = (uint64_t)t->packets * TALK_SAMPLE,
			.dropped = (uint64_t)t->dropped * TALK_SAMPLE,
			.bytes = (uint64_t)t->bytes * TALK_SAMPLE,
			.seen = t->seen,
			.dropped_at = t->dropped_at,
			.reason = t->reason < REASON_COUNT ? t->reason : REASON_PASSED,
		};
	}
	qsort(out.items, out.n, sizeof(*out.items), by_source);
	for (size_t i = 1; i < out.n; i++) {
		if (out.items[i].source == out.items[merged].source)
			add(&out.items[merged], &out.items[i]);
		else
			out.items[++merged] = out.items[i];
	}
	out.n = out.n ? merged + 1 : 0;
	*ret = out;
	return 0;
}

int edge_talkers_read(const struct edge *e, struct edge_talkers *ret, struct error *err)
{
	int cpus = libbpf_num_possible_cpus();
	_cleanup_free_ struct talker_set *sets = NULL;
	_cleanup_free_ uint32_t *keys = NULL;
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	uint32_t n = N_SETS;
	uint32_t position;

	if (cpus < 0)
		return error_sys(err, -cpus, "number of CPUs");
	sets = calloc((size_t)cpus * N_SETS, sizeof(*sets));
	keys = calloc(N_SETS, sizeof(*keys));
	if (!sets || !keys)
		return error_sys(err, ENOMEM, "%s: talkers", e->name);
	if (bpf_map_lookup_batch(e->talkers, NULL, &position, keys, sets, &n, &opts) < 0 &&
	    errno != ENOENT)
		return error_sys(err, errno, "%s: talkers", e->name);
	if (edge_talkers_merge(sets, (size_t)cpus * n, ret) < 0)
		return error_sys(err, ENOMEM, "%s: talkers", e->name);
	return 0;
}

const struct edge_talker *edge_talkers_find(const struct edge_talkers *t, uint64_t source)
{
	const struct edge_talker key = {.source = source};

	return t->n ? bsearch(&key, t->items, t->n, sizeof(key), by_source) : NULL;
}

void edge_talkers_since(struct edge_talkers *now, const struct edge_talkers *before)
{
	size_t n = 0;

	for (size_t i = 0; i < now->n; i++) {
		struct edge_talker t = now->items[i];
		const struct edge_talker *old = edge_talkers_find(before, t.source);

		if (old && old->packets <= t.packets && old->dropped <= t.dropped) {
			t.packets -= old->packets;
			t.dropped -= old->dropped;
			t.bytes = t.bytes > old->bytes ? t.bytes - old->bytes : 0;
		}
		if (t.packets)
			now->items[n++] = t;
	}
	now->n = n;
	qsort(now->items, n, sizeof(*now->items), by_packets);
}

void edge_source_format(uint64_t source, char ret[CONF_CIDR_TEXT])
{
	struct conf_cidr cidr = {.family = AF_INET6, .prefixlen = 64};
	uint64_t network = htobe64(source);
	uint32_t address = htonl((uint32_t)source);

	if ((source & ~(uint64_t)UINT32_MAX) == SOURCE4_MARK) {
		cidr.family = AF_INET;
		cidr.prefixlen = 32;
		memcpy(cidr.addr, &address, sizeof(address));
	} else {
		memcpy(cidr.addr, &network, sizeof(network));
	}
	conf_cidr_format(&cidr, ret);
}

uint64_t edge_source_of(const struct conf_cidr *address)
{
	uint64_t network;
	uint32_t four;

	if (address->family == AF_INET) {
		memcpy(&four, address->addr, sizeof(four));
		return SOURCE4_MARK | ntohl(four);
	}
	memcpy(&network, address->addr, sizeof(network));
	return be64toh(network);
}
