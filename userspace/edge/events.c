/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/events.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define LEASE_NSEC (3 * NSEC_PER_SEC)

struct edge_events {
	const struct edge *edge;
	struct watch *shared; /* the map watch, mapped */
	struct ring_buffer *ring;
	struct watch_counts before; /* what was counted before this began */
	void (*fn)(const struct event *event, void *arg);
	void *arg;
};

static int receive(void *arg, void *data, size_t size)
{
	struct edge_events *w = arg;

	if (w->fn && size >= sizeof(struct event))
		w->fn(data, w->arg);
	return 0;
}

static int sum_counts(const struct edge *e, struct watch_counts *ret, struct error *err)
{
	int n = libbpf_num_possible_cpus();
	_cleanup_free_ struct watch_counts *per_cpu = NULL;
	struct watch_counts sum = {0};
	uint32_t key = 0;

	if (n < 0)
		return error_sys(err, -n, "number of CPUs");
	per_cpu = calloc((size_t)n, sizeof(*per_cpu));
	if (!per_cpu)
		return error_sys(err, ENOMEM, "%s: watch", e->name);
	if (bpf_map_lookup_elem(e->watch_counts, &key, per_cpu) < 0)
		return error_sys(err, errno, "%s: watch", e->name);
	for (int cpu = 0; cpu < n; cpu++) {
		sum.sent += per_cpu[cpu].sent;
		sum.suppressed += per_cpu[cpu].suppressed;
		sum.lost += per_cpu[cpu].lost;
	}
	*ret = sum;
	return 0;
}

void edge_events_close(struct edge_events *w)
{
	if (!w)
		return;
	if (w->ring) {
		__atomic_store_n(&w->shared->until, 0, __ATOMIC_RELEASE);
		ring_buffer__free(w->ring);
	}
	if (w->shared)
		munmap(w->shared, sizeof(*w->shared));
	free(w);
}

DEFINE_CLEANUP(struct edge_events *, edge_events_close)

void edge_events_renew(struct edge_events *w)
{
	__atomic_store_n(&w->shared->until, clock_mono() + LEASE_NSEC, __ATOMIC_RELEASE);
}

static int map_watch(struct edge_events *w, struct error *err)
{
	void *shared = mmap(NULL, sizeof(*w->shared), PROT_READ | PROT_WRITE, MAP_SHARED,
			    w->edge->watch, 0);

	if (shared == MAP_FAILED)
		return error_sys(err, errno, "%s: watch", w->edge->name);
	w->shared = shared;
	if (__atomic_load_n(&w->shared->until, __ATOMIC_ACQUIRE) > clock_mono())
		return error_set(err, EBUSY, "%s: somebody else is watching", w->edge->name);
	return 0;
}

int edge_events_open(const struct edge *e, uint64_t reasons, uint32_t rate,
		     void (*fn)(const struct event *event, void *arg), void *arg,
		     struct edge_events **ret, struct error *err)
{
	_cleanup_(edge_events_closep) struct edge_events *w = calloc(1, sizeof(*w));
	int rc;

	if (!w)
		return error_sys(err, ENOMEM, "%s: watch", e->name);
	w->edge = e;
	rc = map_watch(w, err);
	if (rc == 0)
		rc = sum_counts(e, &w->before, err);
	if (rc < 0)
		return rc;
	w->ring = ring_buffer__new(e->events, receive, w, NULL);
	if (!w->ring)
		return error_sys(err, errno, "%s: events", e->name);
	ring_buffer__consume(w->ring); /* what somebody has left there */
	w->fn = fn;
	w->arg = arg;
	w->shared->reasons = reasons;
	w->shared->interval = NSEC_PER_SEC / rate;
	w->shared->burst = rate > 10 ? rate / 10 : 1;
	w->shared->full_at = 0;
	edge_events_renew(w);
	*ret = take_ptr(w);
	return 0;
}

int edge_events_fd(const struct edge_events *w)
{
	return ring_buffer__epoll_fd(w->ring);
}

void edge_events_read(struct edge_events *w)
{
	ring_buffer__poll(w->ring, 0);
}

int edge_events_counts(const struct edge_events *w, struct watch_counts *ret, struct error *err)
{
	struct watch_counts now = {0};
	int rc = sum_counts(w->edge, &now, err);

	if (rc < 0)
		return rc;
	ret->sent = now.sent - w->before.sent;
	ret->suppressed = now.suppressed - w->before.suppressed;
	ret->lost = now.lost - w->before.lost;
	return 0;
}

bool edge_event_addresses(const struct event *event, char ret_source[INET6_ADDRSTRLEN],
			  char ret_destination[INET6_ADDRSTRLEN])
{
	size_t size = event->head.family == 4 ? 4 : 16;
	size_t at = event->head.ip + (event->head.family == 4 ? 12U : 8U);
	int family = event->head.family == 4 ? AF_INET : AF_INET6;
	const uint8_t *frame = event->frame;

	*ret_source = '\0';
	*ret_destination = '\0';
	if (!event->head.family || event->captured > EVENT_FRAME || at + 2 * size > event->captured)
		return false;
	inet_ntop(family, frame + at, ret_source, INET6_ADDRSTRLEN);
	inet_ntop(family, frame + at + size, ret_destination, INET6_ADDRSTRLEN);
	return true;
}

/* Past the extension headers of IPv6 (RFC 8200, 4); 0: there is no such header, or it was not captured. */
static size_t skip_extensions(const struct event *event, size_t at, uint8_t next, uint8_t *ret)
{
	while (at + 8 <= event->captured) {
		const uint8_t *ext = event->frame + at;

		switch (next) {
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
			at += (ext[1] + 1U) * 8;
			break;
		case IPPROTO_AH:
			at += (ext[1] + 2U) * 4;
			break;
		case IPPROTO_FRAGMENT:
			if (ext[2] || ext[3] & 0xf8)
				return 0;
			at += 8;
			break;
		default:
			*ret = next;
			return at;
		}
		next = ext[0];
	}
	return 0;
}

/* Where the packet's last header begins, and whose it is. */
static size_t find_l4(const struct event *event, uint8_t *ret_protocol)
{
	const uint8_t *ip = event->frame + event->head.ip;
	size_t at = event->head.ip;

	if (event->captured > EVENT_FRAME || at + 20 > event->captured)
		return 0;
	if (event->head.family == 4) {
		*ret_protocol = ip[9];
		return ip[6] & 0x1f || ip[7] ? 0 : at + (ip[0] & 15) * 4U;
	}
	if (event->head.family != 6 || at + 40 > event->captured)
		return 0;
	return skip_extensions(event, at + 40, ip[6], ret_protocol);
}

bool edge_event_ports(const struct event *event, struct edge_ports *ret)
{
	uint8_t protocol = 0;
	size_t l4 = find_l4(event, &protocol);
	size_t size = protocol == IPPROTO_TCP ? 14 : 4;
	const uint8_t *at = event->frame + l4;

	if (!l4 || l4 + size > event->captured ||
	    (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP))
		return false;
	*ret = (struct edge_ports){
		.source = (uint16_t)(at[0] << 8 | at[1]),
		.destination = (uint16_t)(at[2] << 8 | at[3]),
		.flags = size == 14 ? at[13] : 0,
	};
	return true;
}
