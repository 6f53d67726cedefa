/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/proxy.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "filter/jwt_cache.h"
#include "proxy/conn.h"

#define TOKEN_ENTRIES 16384
#define TOKEN_BYTES   (32U << 20)

/*
 * Sticky choices must be the same on every worker, after every restart and on every gateway of a fleet: the key is
 * no secret, and what an attacker gains by choosing a value is a version, which the cookie lets anybody choose.
 */
static const struct hash_key sticky_key = {.k0 = 0x736c756963652031ULL,
					   .k1 = 0x737469636b792031ULL};

static void worker_snapshot_free(struct worker_snapshot *w)
{
	if (!w)
		return;
	if (w->pools)
		for (size_t i = 0; i < w->snap->cfg->n_services; i++)
			free(w->pools[i]);
	free(w->pools);
	free(w->limits);
	free(w->split_turns);
	free(w->endpoint_turns);
	atomic_fetch_sub(&w->snap->refs, 1);
	free(w);
}

/* Rounded up, so that the sum over all workers is the limit or a little more. */
static unsigned int share_of(const struct proxy *p, uint64_t limit)
{
	return (unsigned int)((limit + p->share - 1) / p->share);
}

static struct worker_snapshot *worker_snapshot_new(struct proxy *p, struct snapshot *snap)
{
	const struct config *cfg = snap->cfg;
	struct worker_snapshot *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->snap = snap;
	atomic_fetch_add(&snap->refs, 1);
	w->pools = calloc(cfg->n_services + 1, sizeof(*w->pools));
	w->limits = calloc(cfg->n_services + 1, sizeof(*w->limits));
	w->split_turns = calloc(cfg->n_routes + 1, sizeof(*w->split_turns));
	w->endpoint_turns = calloc(cfg->n_services + 1, sizeof(*w->endpoint_turns));
	if (!w->pools || !w->limits || !w->split_turns || !w->endpoint_turns) {
		worker_snapshot_free(w);
		return NULL;
	}
	for (size_t i = 0; i < cfg->n_services; i++) {
		const struct conf_service *s = &cfg->services[i];
		w->pools[i] = calloc(s->n_endpoints, sizeof(**w->pools));
		if (!w->pools[i]) {
			worker_snapshot_free(w);
			return NULL;
		}
		pool_limit_init(&w->limits[i], p->ring, share_of(p, s->limits.connections),
				share_of(p, s->limits.pending));
		for (size_t e = 0; e < s->n_endpoints; e++)
			pool_init(&w->pools[i][e], &w->limits[i], &s->endpoints[e],
				  s->timeouts.idle);
	}
	return w;
}

/* Connections still closing hold their pool: it goes once the last of them has. */
struct retired {
	struct list node;
	struct timer timer;
	uint64_t pause; /* ns until the next look; most are free soon, some only in hours */
	struct proxy *proxy;
	struct worker_snapshot *snapshot;
};

static bool pools_empty(const struct worker_snapshot *w)
{
	for (size_t i = 0; i < w->snap->cfg->n_services; i++) {
		if (w->limits[i].waking)
			return false;
		for (size_t e = 0; e < w->snap->cfg->services[i].n_endpoints; e++)
			if (w->pools[i][e].alive)
				return false;
	}
	return true;
}

static void close_pools(struct worker_snapshot *w)
{
	for (size_t i = 0; i < w->snap->cfg->n_services; i++)
		for (size_t e = 0; e < w->snap->cfg->services[i].n_endpoints; e++)
			pool_close(&w->pools[i][e]);
}

static void retired_fire(struct timer *t, uint64_t now)
{
	struct retired *r = container_of(t, struct retired, timer);

	if (r->snapshot->requests || !pools_empty(r->snapshot)) {
		timer_set(&r->proxy->ring->timers, t, now + r->pause);
		r->pause = r->pause < NSEC_PER_SEC ? r->pause * 2 : r->pause;
		return;
	}
	list_del(&r->node);
	worker_snapshot_free(r->snapshot);
	free(r);
}

int proxy_init(struct proxy *p, struct ring *ring, struct snapshot *snap, unsigned int index,
	       unsigned int share, struct error *err)
{
	struct hash_key seed = hash_key_random();

	*p = (struct proxy){
		.ring = ring,
		.index = index,
		.count = metrics_thread(snap->metrics, index),
		.log = log_writer_source(snap->logs, index),
		.share = share,
		.rng = seed.k0,
		.sticky_key = sticky_key,
	};
	list_init(&p->conns);
	list_init(&p->retired);
	p->tokens = jwt_cache_new(TOKEN_ENTRIES, TOKEN_BYTES);
	p->current = worker_snapshot_new(p, snap);
	if (p->current && p->tokens)
		return 0;
	proxy_fini(p);
	return error_set(err, ENOMEM, "out of memory for a worker");
}

void proxy_fini(struct proxy *p)
{
	struct list *node;

	while ((node = list_pop(&p->retired))) {
		struct retired *r = container_of(node, struct retired, node);

		worker_snapshot_free(r->snapshot);
		free(r);
	}
	worker_snapshot_free(p->current);
	p->current = NULL;
	jwt_cache_free(p->tokens);
	p->tokens = NULL;
}

int proxy_reload(struct proxy *p, struct snapshot *snap)
{
	struct worker_snapshot *w = worker_snapshot_new(p, snap);
	struct retired *r = calloc(1, sizeof(*r));

	if (!w || !r) {
		worker_snapshot_free(w);
		free(r);
		return -ENOMEM;
	}
	r->proxy = p;
	r->snapshot = p->current;
	r->pause = 4 * NSEC_PER_MSEC;
	timer_init(&r->timer, retired_fire);
	timer_set(&p->ring->timers, &r->timer, p->ring->now + 1);
	list_add(&p->retired, &r->node);
	close_pools(p->current);
	p->current = w;
	return 0;
}

struct proxy_listener *proxy_listener_new(void)
{
	struct proxy_listener *l = calloc(1, sizeof(*l));

	if (l)
		l->refs = 1;
	return l;
}

void proxy_listener_unref(struct proxy_listener *l)
{
	if (--l->refs == 0)
		free(l);
}

void proxy_listener_set(const struct proxy *p, struct proxy_listener *l,
			const struct conf_listener *conf)
{
	l->address = conf->address.ss;
	l->limits.headers = conf->timeouts.headers;
	l->limits.idle = conf->timeouts.idle;
	l->limits.max_head = conf->limits.headers;
	l->limits.max_requests = conf->limits.requests;
	l->limits.max_conns = share_of(p, conf->limits.connections);
}

struct worker_snapshot *proxy_snapshot_ref(struct proxy *p)
{
	p->current->requests++;
	return p->current;
}

void proxy_snapshot_unref(struct proxy *p, struct worker_snapshot *w)
{
	(void)p;
	w->requests--;
}

void proxy_drain(struct proxy *p)
{
	struct list *node, *tmp;

	p->draining = true;
	close_pools(p->current);
	list_for_each (node, tmp, &p->conns) {
		struct conn *c = container_of(node, struct conn, node);

		if (c->state != CONN_HEAD || buf_len(&c->in))
			continue;
		/* A new one's first request may be on its way. */
		if (c->n_requests)
			conn_close(c);
		else
			timer_set(&p->ring->timers, &c->timer, p->ring->now + NSEC_PER_SEC);
	}
}

void proxy_abort(struct proxy *p)
{
	struct list *node, *tmp;

	close_pools(p->current);
	list_for_each (node, tmp, &p->conns) {
		struct conn *c = container_of(node, struct conn, node);

		c->verdict = "drain_timeout";
		conn_close(c);
	}
}

bool proxy_busy(const struct proxy *p)
{
	if (p->n_conns || !pools_empty(p->current))
		return true;
	for (const struct list *node = p->retired.next; node != &p->retired; node = node->next)
		if (!pools_empty(container_of(node, struct retired, node)->snapshot))
			return true;
	return false;
}

uint64_t proxy_random(struct proxy *p)
{
	uint64_t z = p->rng += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}
