/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/edge.h"

#include <dirent.h>
#include <errno.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "bpf/guard.skel.h"
#include "edge/lists.h"
#include "edge/pin.h"

#define N_PORTS 65536

DEFINE_CLEANUP(struct guard *, guard__destroy)

void edge_close(struct edge *e)
{
	const int fds[] = {e->link,  e->allow4, e->allow6, e->deny4,
			   e->deny6, e->policy, e->ports,  e->counters};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static int open_maps(struct edge *e, const struct guard *g, struct error *err)
{
	const struct {
		const struct bpf_map *model;
		int *fd;
	} maps[] = {
		{g->maps.allow4, &e->allow4},	  {g->maps.allow6, &e->allow6},
		{g->maps.deny4, &e->deny4},	  {g->maps.deny6, &e->deny6},
		{g->maps.policy, &e->policy},	  {g->maps.ports, &e->ports},
		{g->maps.counters, &e->counters},
	};

	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
		int fd = edge_get_map(e->name, g->obj, maps[i].model, err);

		if (fd < 0)
			return fd;
		*maps[i].fd = fd;
	}
	return 0;
}

int edge_open(const char *name, struct edge *ret, struct error *err)
{
	_cleanup_(guard__destroyp) struct guard *g = NULL;
	struct edge e = {{0}, -1, -1, -1, -1, -1, -1, -1, -1};
	int rc;

	e.link = edge_get(name, "link");
	if (e.link == -ENOENT)
		return error_set(err, ENOENT, "%s is not attached", name);
	if (e.link == -EPERM || e.link == -EACCES)
		return error_set(err, EPERM, "the packet plane needs root");
	if (e.link < 0)
		return error_sys(err, -e.link, "%s: pinned link", name);
	snprintf(e.name, sizeof(e.name), "%s", name);
	g = guard__open();
	rc = g ? open_maps(&e, g, err)
	       : error_sys(err, errno, "the packet program can't be opened");
	if (rc < 0)
		edge_close(&e);
	else
		*ret = e;
	return rc;
}

static int apply_ports(const struct edge *e, const struct conf_edge *conf, struct error *err)
{
	_cleanup_free_ uint32_t *keys = calloc(N_PORTS, sizeof(*keys));
	_cleanup_free_ struct port_value *values = calloc(N_PORTS, sizeof(*values));
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	uint32_t n = N_PORTS;

	if (!keys || !values)
		return error_sys(err, ENOMEM, "%s: ports", e->name);
	for (uint32_t i = 0; i < N_PORTS; i++)
		keys[i] = i;
	for (size_t i = 0; i < conf->n_ports; i++)
		values[conf->ports[i]].state = PORT_PROTECTED;
	if (bpf_map_update_batch(e->ports, keys, values, &n, &opts) < 0)
		return error_sys(err, errno, "%s: ports", e->name);
	return 0;
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
		.burst = conf->rate_limit.burst,
	};

	if (conf->rate_limit.rate)
		p.interval = NSEC_PER_SEC / conf->rate_limit.rate;
	return p;
}

int edge_apply(const struct edge *e, const struct config *cfg, struct error *err)
{
	const struct conf_edge *conf = &cfg->edge;
	_cleanup_free_ bool *allowed = calloc(conf->allow.n + 1, sizeof(*allowed));
	_cleanup_free_ bool *denied = calloc(conf->deny.n + 1, sizeof(*denied));
	struct policy policy = policy_of(conf);
	uint32_t key = 0;
	int rc;

	if (!allowed || !denied)
		return error_sys(err, ENOMEM, "%s: lists", e->name);
	/* What may fail for want of room comes first, and is undone. */
	rc = edge_list_add_file(e, EDGE_ALLOW, &conf->allow, allowed, err);
	if (rc < 0)
		return rc;
	rc = edge_list_add_file(e, EDGE_DENY, &conf->deny, denied, err);
	if (rc < 0) {
		edge_list_undo_file(e, EDGE_ALLOW, &conf->allow, allowed, conf->allow.n);
		return rc;
	}
	rc = apply_ports(e, conf, err);
	if (rc == 0 && bpf_map_update_elem(e->policy, &key, &policy, BPF_ANY) < 0)
		rc = error_sys(err, errno, "%s: policy", e->name);
	if (rc == 0)
		rc = edge_list_keep_file(e, EDGE_ALLOW, &conf->allow, err);
	if (rc == 0)
		rc = edge_list_keep_file(e, EDGE_DENY, &conf->deny, err);
	return rc;
}

/* Programs note when they were loaded on CLOCK_BOOTTIME. */
static uint64_t wall_of_boot(uint64_t boot)
{
	return clock_wall() - (clock_read(CLOCK_BOOTTIME) - boot);
}

int edge_status(const struct edge *e, struct edge_status *ret, struct error *err)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	struct edge_status s = {.mode = CONF_XDP_AUTO};
	struct bpf_link_info link = {0};
	struct bpf_prog_info prog = {0};
	uint32_t len = sizeof(link);
	_cleanup_close_ int fd = -1;
	char name[IF_NAMESIZE];
	uint32_t key = 0;

	if (bpf_obj_get_info_by_fd(e->link, &link, &len) < 0)
		return error_sys(err, errno, "%s: link", e->name);
	if (bpf_map_lookup_elem(e->policy, &key, &s.policy) < 0)
		return error_sys(err, errno, "%s: policy", e->name);
	s.link_id = link.id;
	s.program_id = link.prog_id;
	s.ifindex = link.xdp.ifindex;
	s.attached = s.ifindex != 0;
	fd = bpf_prog_get_fd_by_id(link.prog_id);
	len = sizeof(prog);
	if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &prog, &len) == 0)
		s.loaded_at = wall_of_boot(prog.load_time);
	if (s.attached && if_indextoname(s.ifindex, name) && strcmp(name, e->name) == 0 &&
	    bpf_xdp_query((int)s.ifindex, 0, &query) == 0 && query.prog_id == s.program_id)
		s.mode = query.attach_mode == XDP_ATTACHED_DRV ? CONF_XDP_NATIVE : CONF_XDP_GENERIC;
	*ret = s;
	return 0;
}

int edge_stats(const struct edge *e, struct counter ret[REASON_COUNT], struct error *err)
{
	int n = libbpf_num_possible_cpus();
	_cleanup_free_ struct counters *per_cpu = NULL;
	uint32_t key = 0;

	if (n < 0)
		return error_sys(err, -n, "number of CPUs");
	per_cpu = calloc((size_t)n, sizeof(*per_cpu));
	if (!per_cpu)
		return error_sys(err, ENOMEM, "%s: counters", e->name);
	if (bpf_map_lookup_elem(e->counters, &key, per_cpu) < 0)
		return error_sys(err, errno, "%s: counters", e->name);
	memset(ret, 0, sizeof(*ret) * REASON_COUNT);
	for (int cpu = 0; cpu < n; cpu++) {
		const struct counter *c = (const struct counter *)&per_cpu[cpu];

		for (int i = 0; i < REASON_COUNT; i++) {
			ret[i].packets += c[i].packets;
			ret[i].bytes += c[i].bytes;
		}
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
