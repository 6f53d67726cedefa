/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/edge.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "bpf/guard.skel.h"
#include "edge/batch.h"
#include "edge/feeds.h"
#include "edge/limits.h"
#include "edge/lists.h"
#include "edge/local.h"
#include "edge/never.h"
#include "edge/pin.h"
#include "edge/rules.h"
#include "edge/sysctl.h"

#define N_PORTS 65536

DEFINE_CLEANUP(struct guard *, guard__destroy)

static const struct {
	const char *name;
	size_t offset;
} maps[] = {
#define EDGE_MAP(map) {#map, offsetof(struct edge, map)},
	EDGE_MAPS(EDGE_MAP)
#undef EDGE_MAP
};

#define N_MAPS (sizeof(maps) / sizeof(maps[0]))

static int *map_of(struct edge *e, size_t i)
{
	return (int *)((char *)e + maps[i].offset);
}

static void start(struct edge *e, const char *name)
{
	*e = (struct edge){.hook = HOOK_NONE};
	snprintf(e->name, sizeof(e->name), "%s", name);
	for (size_t i = 0; i < N_MAPS; i++)
		*map_of(e, i) = -1;
}

void edge_close(struct edge *e)
{
	if (e->shared)
		munmap(e->shared, sizeof(*e->shared));
	if (e->in_use)
		munmap(e->in_use, sizeof(*e->in_use));
	if (e->ban_filter_words)
		munmap(e->ban_filter_words, BAN_FILTER_WORDS * sizeof(uint64_t));
	hook_close(&e->hook);
	for (size_t i = 0; i < N_MAPS; i++)
		if (*map_of(e, i) >= 0)
			close(*map_of(e, i));
}

static void *map_memory(int map, size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);

	return at == MAP_FAILED ? NULL : at;
}

/* Take each map of the object's that the pins, or the object itself, have; map state and lengths. */
static int open_maps(struct edge *e, const struct bpf_object *obj, bool pinned, struct error *err)
{
	for (size_t i = 0; i < N_MAPS; i++) {
		const struct bpf_map *model = bpf_object__find_map_by_name(obj, maps[i].name);
		int fd = pinned ? edge_get_map(e->name, obj, model, err)
				: fcntl(bpf_map__fd(model), F_DUPFD_CLOEXEC, 0);

		if (fd < 0)
			return pinned ? fd : error_sys(err, errno, "%s: %s", e->name, maps[i].name);
		*map_of(e, i) = fd;
	}
	e->shared = map_memory(e->state, sizeof(*e->shared));
	e->in_use = map_memory(e->lengths, sizeof(*e->in_use));
	e->ban_filter_words = map_memory(e->ban_filter, BAN_FILTER_WORDS * sizeof(uint64_t));
	return e->shared && e->in_use && e->ban_filter_words
		       ? 0
		       : error_sys(err, errno, "%s: state, lengths", e->name);
}

int edge_open_object(const char *name, const struct bpf_object *obj, struct edge *ret,
		     struct error *err)
{
	struct edge e;
	int rc;

	start(&e, name);
	rc = open_maps(&e, obj, false, err);
	if (rc < 0)
		edge_close(&e);
	else
		*ret = e;
	return rc;
}

/* Whether another link, or program, has taken the place of the one that was opened, or none: readers hold no lock. */
static bool has_moved(const struct edge *e)
{
	struct hook now;
	int rc = hook_open(EDGE_DIR, e->name, &now);
	bool moved;

	if (rc < 0)
		return rc == -ENOENT;
	moved = hook_id(&now) != hook_id(&e->hook);
	hook_close(&now);
	return moved;
}

static uint32_t map_id(int fd)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);

	return fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) < 0 ? 0 : info.id;
}

bool edge_is_current(const struct edge *e)
{
	bool same = true;

	for (size_t i = 0; same && i < N_MAPS; i++) {
		_cleanup_close_ int now = edge_get(e->name, maps[i].name);

		same = now < 0 ? now != -ENOENT
			       : map_id(now) == map_id(*map_of((struct edge *)e, i));
	}
	return same;
}

static int open_pins(struct edge *e, const char *name, struct error *err)
{
	_cleanup_(guard__destroyp) struct guard *g = NULL;

	int rc;

	start(e, name);
	rc = hook_open(EDGE_DIR, name, &e->hook);
	if (rc == -ENOENT)
		return error_set(err, ENOENT, "%s is not attached", name);
	if (rc == -EPERM || rc == -EACCES)
		return error_set(err, EPERM, "the packet plane needs root");
	if (rc < 0)
		return error_sys(err, -rc, "%s: pinned link", name);
	g = guard__open();
	return g ? open_maps(e, g->obj, true, err)
		 : error_sys(err, errno, "the packet program can't be opened");
}

int edge_open(const char *name, struct edge *ret, struct error *err)
{
	struct edge e;
	bool moved;
	int rc;

	do {
		rc = open_pins(&e, name, err);
		moved = hook_id(&e.hook) && has_moved(&e);
		if (rc < 0 || moved)
			edge_close(&e);
	} while (moved);
	if (rc == 0)
		*ret = e;
	return rc;
}

/* The ports of the generation to come; those of the one in use stay. */
static int prepare_ports(const struct edge *e, const struct conf_edge *conf, uint32_t generation,
			 struct error *err)
{
	_cleanup_free_ uint32_t *keys = calloc(N_PORTS, sizeof(*keys));
	_cleanup_free_ struct port_value *values = calloc(N_PORTS, sizeof(*values));
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	uint32_t n = N_PORTS;
	uint32_t next;

	if (!keys || !values)
		return error_sys(err, ENOMEM, "%s: ports", e->name);
	if (bpf_map_lookup_batch(e->ports, NULL, &next, keys, values, &n, &opts) < 0 &&
	    errno != ENOENT)
		return error_sys(err, errno, "%s: ports", e->name);
	for (uint32_t i = 0; i < n; i++)
		values[i].state[generation & 1] = PORT_OPEN;
	for (size_t i = 0; i < conf->n_ports; i++)
		values[conf->ports[i]].state[generation & 1] = PORT_PROTECTED;
	if (bpf_map_update_batch(e->ports, keys, values, &n, &opts) < 0)
		return error_sys(err, errno, "%s: ports", e->name);
	return 0;
}

/* Begun ones count. */
static uint32_t seconds(uint64_t ns)
{
	return (uint32_t)((ns + NSEC_PER_SEC - 1) / NSEC_PER_SEC);
}

static struct policy policy_of(const struct conf_edge *conf)
{
	static const enum syn_mode modes[] = {
		[CONF_SYN_OFF] = SYN_OFF,
		[CONF_SYN_AUTO] = SYN_AUTO,
		[CONF_SYN_ALWAYS] = SYN_ALWAYS,
	};
	struct policy p = {
		.syn_mode = modes[conf->syn_flood.mode],
		.syn_threshold = (uint32_t)conf->syn_flood.threshold,
		.cookies = {conf->syn_flood.cookies ? NSEC_PER_SEC / conf->syn_flood.cookies : 0,
			    conf->syn_flood.cookies},
		.mode = conf->mode == CONF_GUARD_SHADOW ? GUARD_SHADOW : GUARD_ENFORCE,
		.ban_mode = conf->bans.mode == CONF_BANS_SHADOW ? BAN_SHADOW : BAN_ENFORCE,
		.ban_ttl = seconds(conf->bans.ttl),
		.ban_factor = (uint32_t)conf->bans.escalate,
		.ban_max_ttl = seconds(conf->bans.max_ttl),
	};

	edge_sysctl_cookies(&p);
	edge_limits_fill(&p, conf);
	return p;
}

/* The guarded interface's number; 0: it is in another network namespace, or has gone. */
static unsigned int index_here(const struct edge *e)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	struct hook_state hook = {.ifindex = 0};

	if (!hook_id(&e->hook)) /* it is being attached */
		return if_nametoindex(e->name);
	if (hook_read(&e->hook, &hook) < 0 || !hook.ifindex || hook_is_elsewhere(&e->hook))
		return 0;
	if (hook_is_shared(&e->hook))
		return hook.ifindex;
	return bpf_xdp_query((int)hook.ifindex, 0, &query) == 0 && query.prog_id == hook.program_id
		       ? hook.ifindex
		       : 0;
}

/* From another network namespace what is this host's can't be seen, and stays as it is. */
static int fill_local(const struct edge *e, struct policy *policy, struct error *err)
{
	unsigned int index = index_here(e);
	struct policy now;
	int rc;

	if (policy->syn_mode == SYN_OFF)
		return 0;
	if (index)
		return local_read(e->name, (int)index, &policy->local, err);
	rc = edge_policy(e, &now, err);
	if (rc == 0)
		policy->local = now.local;
	return rc;
}

static int lift_bans(struct edge_batch *b, const struct conf_edge *conf,
		     void (*warn)(const char *text), struct error *err)
{
	int n = edge_never_lift(b, &conf->bans.never, warn, err);
	char text[96];

	if (n > 0 && warn) {
		snprintf(text, sizeof(text), "%s: %d ban%s lifted: bans.never names %s",
			 b->edge->name, n, n == 1 ? " is" : "s are", n == 1 ? "it" : "them");
		warn(text);
	}
	return n < 0 ? n : 0;
}

static int prepare(struct edge_batch *b, const struct config *cfg, void (*warn)(const char *text),
		   struct error *err)
{
	const struct conf_edge *conf = &cfg->edge;
	const struct edge *e = b->edge;
	struct policy policy = policy_of(conf);
	uint32_t generation = e->shared->generation + 1;
	uint32_t key = generation & 1;
	int rc = fill_local(e, &policy, err);

	if (rc == 0)
		rc = edge_list_follow_file(b, EDGE_ALLOW, &conf->allow, err);
	if (rc == 0)
		rc = edge_list_follow_file(b, EDGE_DENY, &conf->deny, err);
	if (rc == 0)
		rc = edge_list_follow_file(b, EDGE_NEVER, &conf->bans.never, err);
	if (rc == 0)
		rc = lift_bans(b, conf, warn, err);
	if (rc == 0)
		rc = edge_tiers_follow_file(b, conf, err);
	if (rc == 0)
		rc = prepare_ports(e, conf, generation, err);
	if (rc == 0)
		rc = edge_rules_follow_file(b, conf, err);
	if (rc == 0)
		rc = edge_rules_prepare(b, err);
	if (rc == 0 && bpf_map_update_elem(e->policy, &key, &policy, BPF_ANY) < 0)
		rc = error_sys(err, errno, "%s: policy", e->name);
	return rc;
}

/* The kernel's settings of another namespace would be promised to clients, and not kept. One that has gone meets none. */
static int check_settings(const struct edge *e, const struct conf_edge *conf, struct error *err)
{
	struct edge_status status = {0};
	int rc;

	if (conf->syn_flood.mode == CONF_SYN_OFF || !hook_is_open(&e->hook))
		return 0;
	rc = edge_status(e, &status, err);
	if (rc < 0 || !status.attached)
		return rc;
	rc = edge_check_here(e, &status, err);
	return rc < 0 ? error_prefix(err, "syn_flood") : 0;
}

int edge_apply(const struct edge *edges, size_t n, const struct config *cfg,
	       const struct edge_feeds *feeds, void (*warn)(const char *text), struct error *err)
{
	_cleanup_free_ struct edge_batch *batches = calloc(n + 1, sizeof(*batches));
	int rc = batches ? 0 : error_sys(err, ENOMEM, "policy");
	size_t marked = 0;

	for (; rc == 0 && feeds && marked < n; marked++)
		rc = edge_mark(EDGE_DIR_FEEDS, edges[marked].name, err);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		rc = check_settings(&edges[i], &cfg->edge, err);
		if (rc == 0)
			rc = edge_batch_begin(&batches[i], &edges[i], err);
		if (rc == 0)
			rc = prepare(&batches[i], cfg, warn, err);
		if (rc == 0)
			rc = edge_feeds_prepare(&edges[i], feeds, edges[i].shared->generation + 1,
						err);
	}
	if (rc == 0)
		rc = edge_batch_commit_all(batches, n, true, err);
	else if (batches)
		for (size_t i = 0; i < n; i++)
			edge_batch_abort(&batches[i]);
	for (size_t i = 0; i < marked; i++) {
		edge_feeds_settle(&edges[i]);
		edge_remove(EDGE_DIR_FEEDS, edges[i].name);
	}
	return rc;
}

int edge_policy(const struct edge *e, struct policy *ret, struct error *err)
{
	uint32_t key = e->shared->generation & 1;

	return bpf_map_lookup_elem(e->policy, &key, ret) < 0
		       ? error_sys(err, errno, "%s: policy", e->name)
		       : 0;
}

/* Programs note when they were loaded on CLOCK_BOOTTIME. */
static uint64_t wall_of_boot(uint64_t boot)
{
	return clock_wall() - (clock_read(CLOCK_BOOTTIME) - boot);
}

/* Native or generic; auto: it can't be seen from this network namespace. */
static enum conf_xdp_mode mode_of(const struct edge_status *s)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);

	if (s->is_shared)
		return s->share.mode;
	if (!s->attached || bpf_xdp_query((int)s->ifindex, 0, &query) < 0 ||
	    query.prog_id != s->program_id)
		return CONF_XDP_AUTO;
	return query.attach_mode == XDP_ATTACHED_DRV ? CONF_XDP_NATIVE : CONF_XDP_GENERIC;
}

int edge_status(const struct edge *e, struct edge_status *ret, struct error *err)
{
	struct edge_status s = {.generation = e->shared->generation};
	struct bpf_prog_info prog = {0};
	uint32_t len = sizeof(prog);
	_cleanup_close_ int fd = -1;
	struct hook_state hook;
	int rc = hook_read(&e->hook, &hook);

	if (rc < 0)
		return error_sys(err, -rc, "%s: link", e->name);
	rc = edge_policy(e, &s.policy, err);
	if (rc < 0)
		return rc;
	s.asked = (enum conf_xdp_mode)(e->shared->asked % 3);
	s.link_id = hook.link_id;
	s.program_id = hook.program_id;
	s.ifindex = hook.ifindex;
	s.attached = s.ifindex != 0;
	s.is_shared = hook_is_shared(&e->hook);
	if (s.is_shared && s.attached && !hook_is_elsewhere(&e->hook))
		s.share = share_read(s.ifindex);
	fd = bpf_prog_get_fd_by_id(s.program_id);
	if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &prog, &len) == 0) {
		s.loaded_at = wall_of_boot(prog.load_time);
		s.program_bytes = prog.jited_prog_len;
		memcpy(s.program_tag, prog.tag, sizeof(s.program_tag));
	}
	s.mode = mode_of(&s);
	*ret = s;
	return 0;
}

int edge_check_here(const struct edge *e, const struct edge_status *status, struct error *err)
{
	if (!status->attached)
		return error_set(err, ENODEV, "%s has gone", e->name);
	if (status->is_shared ? hook_is_elsewhere(&e->hook) : status->mode == CONF_XDP_AUTO)
		return error_set(err, ENODEV,
				 "%s is not in this network namespace: run this in its own "
				 "(nsenter --net=/run/netns/NAME)",
				 e->name);
	return 0;
}

/* The value of a per-CPU array of one on every CPU, to be freed. The number of CPUs, or -errno. */
static int read_cpus(const struct edge *e, int map, const char *what, size_t size, void **ret,
		     struct error *err)
{
	int n = libbpf_num_possible_cpus();
	_cleanup_free_ void *values = NULL;
	uint32_t key = 0;

	if (n < 0)
		return error_sys(err, -n, "number of CPUs");
	values = calloc((size_t)n, size);
	if (!values || bpf_map_lookup_elem(map, &key, values) < 0)
		return error_sys(err, values ? errno : ENOMEM, "%s: %s", e->name, what);
	*ret = take_ptr(values);
	return n;
}

int edge_stats(const struct edge *e, struct counter ret[REASON_COUNT], struct error *err)
{
	_cleanup_free_ void *values = NULL;
	int n = read_cpus(e, e->counters, "counters", sizeof(struct counters), &values, err);

	if (n < 0)
		return n;
	memset(ret, 0, sizeof(*ret) * REASON_COUNT);
	for (int cpu = 0; cpu < n; cpu++) {
		const struct counter *c = (const void *)((struct counters *)values + cpu);

		for (int i = 0; i < REASON_COUNT; i++) {
			ret[i].packets += c[i].packets;
			ret[i].bytes += c[i].bytes;
		}
	}
	return 0;
}

int edge_tallies(const struct edge *e, uint64_t ret[TALLY_COUNT], struct error *err)
{
	_cleanup_free_ void *values = NULL;
	int n = read_cpus(e, e->tallies, "tallies", sizeof(struct tallies), &values, err);

	if (n < 0)
		return n;
	memset(ret, 0, sizeof(*ret) * TALLY_COUNT);
	for (int cpu = 0; cpu < n; cpu++) {
		const __u64 *t = (const void *)((struct tallies *)values + cpu);

		for (int i = 0; i < TALLY_COUNT; i++)
			ret[i] += t[i];
	}
	return 0;
}

static int is_interface(const struct dirent *e)
{
	return e->d_name[0] != '.' && e->d_name[0] != ':';
}

int edge_each(int (*fn)(const char *name, void *arg), void *arg, struct error *err)
{
	struct dirent **found;
	int n = scandir(EDGE_ROOT, &found, is_interface, alphasort);
	int rc = 0;

	if (n < 0 && errno == ENOENT)
		return 0;
	if (n < 0)
		return errno == EACCES ? error_set(err, EACCES, "the packet plane needs root")
				       : error_sys(err, errno, "%s", EDGE_ROOT);
	for (int i = 0; i < n; i++) {
		char name[IF_NAMESIZE];

		snprintf(name, sizeof(name), "%.*s", IF_NAMESIZE - 1, found[i]->d_name);
		for (char *c = name; *c; c++)
			if (*c == ':')
				*c = '.';
		if (rc == 0)
			rc = fn(name, arg);
		free(found[i]);
	}
	free(found);
	return rc;
}
