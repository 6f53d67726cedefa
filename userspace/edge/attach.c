/* SPDX-License-Identifier: Apache-2.0 */
/* Attach and detach: everything is built aside and gets its name by one rename. */
#include <errno.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/cleanup.h"
#include "bpf/guard.skel.h"
#include "edge/device.h"
#include "edge/edge.h"
#include "edge/migrate.h"
#include "edge/pin.h"

DEFINE_CLEANUP(struct guard *, guard__destroy)

/* libbpf's last warning: it knows more than errno. */
static _Thread_local char warning[256];

static int keep_warning(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	if (level == LIBBPF_WARN) {
		vsnprintf(warning, sizeof(warning), fmt, ap);
		warning[strcspn(warning, "\n")] = '\0';
	}
	return 0;
}

/* With the pinned maps of an attached interface, or with new ones as cfg wants them when name is NULL. */
static int load(const char *name, const struct config *cfg, struct guard **ret, struct error *err)
{
	_cleanup_(guard__destroyp) struct guard *g = NULL;
	libbpf_print_fn_t before = libbpf_set_print(keep_warning);
	uint64_t seed;
	int rc;

	warning[0] = '\0';
	g = guard__open();
	if (!g || getrandom(&seed, sizeof(seed), 0) != sizeof(seed)) {
		libbpf_set_print(before);
		return error_sys(err, errno, "the packet program can't be opened");
	}
	g->rodata->bucket_seed = seed;
	if (cfg)
		bpf_map__set_max_entries(g->maps.bans, (uint32_t)cfg->edge.bans.capacity);
	rc = name ? edge_reuse_maps(g->obj, name, err) : 0;
	if (rc < 0) {
		libbpf_set_print(before);
		return rc;
	}
	rc = guard__load(g);
	libbpf_set_print(before);
	if (rc == -EPERM || rc == -EACCES) {
		if (geteuid() != 0)
			return error_set(
				err, EPERM,
				"loading packet programs needs root (CAP_BPF and CAP_NET_ADMIN)");
		return error_set(err, EPERM,
				 "this kernel refuses packet programs here (a container without "
				 "CAP_BPF and CAP_NET_ADMIN?): %s",
				 warning);
	}
	if (rc == -ENOSYS)
		return error_set(err, ENOSYS, "this kernel has no bpf(2)");
	if (rc < 0)
		return error_sys(err, -rc, "the kernel does not take the packet program (%s)",
				 warning);
	*ret = take_ptr(g);
	return 0;
}

/* The guard reads Ethernet headers; tunnels for instance have none. */
static int check_ethernet(const struct device *d, struct error *err)
{
	return d->ethernet ? 0
			   : error_set(err, EOPNOTSUPP, "%s is not an Ethernet interface", d->name);
}

static int check_foreign(const char *name, unsigned int ifindex, struct error *err)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);
	_cleanup_close_ int fd = -1;

	if (bpf_xdp_query((int)ifindex, 0, &query) < 0 || query.attach_mode == XDP_ATTACHED_NONE)
		return 0;
	fd = bpf_prog_get_fd_by_id(query.prog_id);
	if (fd >= 0)
		bpf_obj_get_info_by_fd(fd, &info, &len);
	if (strcmp(info.name, "xdp_dispatcher") == 0)
		return error_set(
			err, EBUSY,
			"%s is shared by libxdp's dispatcher (program %u), and sluice needs "
			"it for itself: detach those programs first, 'xdp-loader unload %s "
			"--all'",
			name, query.prog_id, name);
	return error_set(err, EBUSY,
			 "%s has an XDP program of somebody else (id %u, '%s'): detach it first, "
			 "'ip link set dev %s xdp off' for instance",
			 name, query.prog_id, info.name, name);
}

static int link_create(int program, unsigned int ifindex, uint32_t flags)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = flags);
	int fd = bpf_link_create(program, (int)ifindex, BPF_XDP, &opts);

	return fd < 0 ? -errno : fd;
}

/* The link's descriptor, in the best mode that was asked for. */
static int attach_link(int program, const struct device *d, unsigned int ifindex,
		       struct edge_attachment *a, struct error *err)
{
	int native = 0, fd = -EOPNOTSUPP;

	if (a->mode != CONF_XDP_GENERIC)
		fd = native = link_create(program, ifindex, XDP_FLAGS_DRV_MODE);
	if (fd < 0 && a->mode != CONF_XDP_NATIVE && fd != -EBUSY && fd != -EPERM)
		fd = link_create(program, ifindex, XDP_FLAGS_SKB_MODE);
	if (fd == -EBUSY || fd == -EEXIST)
		return error_set(err, EBUSY, "%s has an XDP program of somebody else", a->name);
	if (native < 0)
		device_explain(d, a->mode, fd < 0 ? CONF_XDP_AUTO : CONF_XDP_GENERIC, -native,
			       a->note);
	if (fd >= 0)
		return fd;
	if (fd == native && fd != -EPERM && fd != -ENOMEM)
		return error_set(err, EOPNOTSUPP, "%s", a->note);
	return error_sys(err, -fd, "%s: attach", a->name);
}

static int pin(const char *name, const char *object, int fd, struct error *err)
{
	char path[EDGE_PATH];

	edge_path(path, EDGE_DIR_NEW, name, object);
	return bpf_obj_pin(fd, path) < 0 ? error_sys(err, errno, "%s", path) : 0;
}

static int pin_maps(const struct guard *g, const char *name, struct error *err)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, g->obj)
	{
		int rc;

		if (bpf_map__is_internal(map))
			continue; /* .rodata and the like: not to be edited */
		rc = pin(name, bpf_map__name(map), bpf_map__fd(map), err);
		if (rc < 0)
			return rc;
	}
	return pin(name, "program", bpf_program__fd(g->progs.sluice_guard), err);
}

/* Before anything is pinned. */
static int apply(const struct guard *g, const struct edge_attachment *a, const struct config *cfg,
		 const struct edge_feeds *feeds, struct error *err)
{
	struct edge e;
	int rc = edge_open_object(a->name, g->obj, &e, err);

	if (rc < 0)
		return rc;
	e.shared->asked = a->mode;
	rc = edge_apply(&e, 1, cfg, feeds, NULL, err);
	edge_close(&e);
	return rc;
}

static int build(const struct guard *g, const struct device *d, struct edge_attachment *a,
		 unsigned int ifindex, const struct config *cfg, const struct edge_feeds *feeds,
		 struct error *err)
{
	_cleanup_close_ int link = -1;
	const char *name = a->name;
	char path[EDGE_PATH];
	int rc = cfg ? apply(g, a, cfg, feeds, err) : 0;

	if (rc < 0)
		return rc;
	edge_path(path, EDGE_DIR_NEW, name, NULL);
	if (mkdir(path, 0700) < 0)
		return error_sys(err, errno, "%s", path);
	rc = pin_maps(g, name, err);
	if (rc < 0)
		return rc;
	link = attach_link(bpf_program__fd(g->progs.sluice_guard), d, ifindex, a, err);
	if (link < 0)
		return link;
	return pin(name, "link", link, err);
}

/* 0 when the interface is free of the guard; 1 when its pins are there, but it had gone meanwhile. */
static int check_free(const char *name, struct error *err)
{
	struct edge_status status;
	struct edge e;
	int rc = edge_open(name, &e, err);

	if (rc == -ENOENT)
		return 0;
	if (rc < 0)
		return rc;
	rc = edge_status(&e, &status, err);
	edge_close(&e);
	if (rc < 0)
		return rc;
	if (status.attached)
		return error_set(err, EEXIST,
				 "%s is already attached (program %u): detach it first", name,
				 status.program_id);
	return 1;
}

/* All of it but the name. */
static int attach_aside(struct edge_attachment *a, const struct config *cfg,
			const struct edge_feeds *feeds, struct error *err)
{
	_cleanup_(guard__destroyp) struct guard *g = NULL;
	const char *name = a->name;
	unsigned int ifindex = if_nametoindex(name);
	struct device d;
	bool returned;
	int rc;

	if (!ifindex)
		return error_set(err, ENODEV, "there is no interface '%s'", name);
	a->note[0] = '\0';
	rc = check_free(name, err);
	if (rc < 0)
		return rc;
	returned = rc == 1;
	rc = device_read(name, &d, err);
	if (rc == 0)
		rc = check_ethernet(&d, err);
	if (rc == 0)
		rc = check_foreign(name, ifindex, err);
	if (rc == 0)
		rc = load(returned ? name : NULL, cfg, &g, err);
	if (rc == 0 && returned)
		rc = edge_copy_maps(g->obj, name, err);
	if (rc >= 0)
		rc = build(g, &d, a, ifindex, cfg, feeds, err);
	return rc;
}

int edge_attach(struct edge_attachment *a, size_t n, const struct config *cfg,
		const struct edge_feeds *feeds, struct error *err)
{
	size_t put = 0;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = attach_aside(&a[i], cfg, feeds, err);
	if (rc == 0 && n > 1)
		rc = edge_decide(err);
	while (rc == 0 && put < n) {
		rc = edge_put(a[put].name);
		if (rc < 0)
			error_sys(err, -rc, "%s: pins", a[put].name);
		else
			put++;
	}
	while (rc < 0 && put > 0)
		edge_put(a[--put].name);
	if (n > 1)
		edge_done();
	/* What failed, or the pins of an interface that had gone. */
	for (size_t i = 0; i < n; i++)
		edge_remove(EDGE_DIR_NEW, a[i].name);
	return rc;
}

/* Programs of the same instructions have the same tag. */
static int program_info(int fd, struct bpf_prog_info *ret)
{
	uint32_t len = sizeof(*ret);

	memset(ret, 0, sizeof(*ret));
	return bpf_obj_get_info_by_fd(fd, ret, &len) < 0 ? -errno : 0;
}

/* The link of an attached interface, and the program that it runs. */
static int open_running(const char *name, int *ret_link, int *ret_program, struct error *err)
{
	_cleanup_close_ int link = edge_get(name, "link");
	struct bpf_link_info info = {0};
	uint32_t len = sizeof(info);
	int program;

	if (link == -ENOENT)
		return error_set(err, ENOENT, "%s is not attached", name);
	if (link < 0 || bpf_obj_get_info_by_fd(link, &info, &len) < 0)
		return error_sys(err, link < 0 ? -link : errno, "%s: link", name);
	if (info.xdp.ifindex == 0)
		return error_set(err, ENODEV,
				 "%s has gone: detach it, or attach it when it is back", name);
	program = bpf_prog_get_fd_by_id(info.prog_id);
	if (program < 0)
		return error_sys(err, errno, "%s: program %u", name, info.prog_id);
	*ret_link = take_fd(link);
	*ret_program = program;
	return 0;
}

struct upgrade {
	struct guard *guard;
	int link;
	int old;
	bool changes; /* it is not the same program already */
};

static int upgrade_program(const struct upgrade *u)
{
	return bpf_program__fd(u->guard->progs.sluice_guard);
}

static int prepare_upgrade(struct upgrade *u, const char *name, struct error *err)
{
	struct bpf_prog_info old, new;
	int rc = open_running(name, &u->link, &u->old, err);
	int n;

	if (rc == 0)
		rc = load(name, NULL, &u->guard, err);
	if (rc < 0)
		return rc;
	n = edge_copy_maps(u->guard->obj, name, err);
	if (n < 0)
		return n;
	rc = program_info(u->old, &old);
	if (rc == 0)
		rc = program_info(upgrade_program(u), &new);
	if (rc < 0)
		return error_sys(err, -rc, "%s: program", name);
	if (n == 0 && memcmp(old.tag, new.tag, sizeof(old.tag)) == 0)
		return 0;
	u->changes = true;
	return edge_prepare(u->guard->obj, name, upgrade_program(u), err);
}

/* Only while the link runs the program that is to go. */
static int switch_program(const struct upgrade *u, int from, int to)
{
	LIBBPF_OPTS(bpf_link_update_opts, opts, .flags = BPF_F_REPLACE,
		    .old_prog_fd = (uint32_t)from);

	if (!u->changes)
		return 0;
	return bpf_link_update(u->link, to, &opts) < 0 ? -errno : 0;
}

static int switch_all(const struct upgrade *u, const char (*names)[IF_NAMESIZE], size_t n,
		      struct error *err)
{
	size_t changing = 0, i;
	int rc = 0;

	for (i = 0; i < n; i++)
		changing += u[i].changes;
	if (changing > 1)
		rc = edge_decide(err);
	if (rc < 0)
		return rc;
	for (i = 0; i < n; i++) {
		rc = switch_program(&u[i], u[i].old, upgrade_program(&u[i]));
		if (rc < 0)
			break;
	}
	if (rc < 0)
		error_sys(err, -rc, "%s: link", names[i]);
	while (rc < 0 && i-- > 0)
		switch_program(&u[i], upgrade_program(&u[i]), u[i].old);
	if (changing > 1)
		edge_done();
	return rc;
}

int edge_upgrade(const char (*names)[IF_NAMESIZE], size_t n, bool *ret_changed, struct error *err)
{
	_cleanup_free_ struct upgrade *u = calloc(n + 1, sizeof(*u));
	int rc = u ? 0 : error_sys(err, ENOMEM, "upgrade");
	size_t begun = 0;

	while (rc == 0 && begun < n) {
		u[begun].link = u[begun].old = -1;
		rc = prepare_upgrade(&u[begun], names[begun], err);
		begun++;
	}
	if (rc == 0)
		rc = switch_all(u, names, n, err);
	for (size_t i = 0; i < begun; i++) {
		if (u[i].changes)
			edge_finish(names[i]);
		if (rc == 0 && ret_changed)
			ret_changed[i] = u[i].changes;
		guard__destroy(u[i].guard);
		closep(&u[i].link);
		closep(&u[i].old);
	}
	return rc;
}

static int set_aside(const char *name, struct error *err)
{
	int rc = edge_rename(name, EDGE_DIR, EDGE_DIR_OLD);

	if (rc == -ENOENT)
		return error_set(err, ENOENT, "%s is not attached", name);
	return rc < 0 ? error_sys(err, -rc, "%s: pins", name) : 0;
}

int edge_detach(const char (*names)[IF_NAMESIZE], size_t n, struct error *err)
{
	size_t marked = 0, aside = 0;
	int rc = 0;

	for (; rc == 0 && n > 1 && marked < n; marked++)
		rc = edge_mark(EDGE_DIR_GONE, names[marked], err);
	if (rc == 0 && n > 1)
		rc = edge_decide(err);
	while (rc == 0 && aside < n) {
		rc = set_aside(names[aside], err);
		aside += rc == 0;
	}
	while (rc < 0 && aside > 0)
		edge_rename(names[--aside], EDGE_DIR_OLD, EDGE_DIR);
	if (n > 1)
		edge_done();
	for (size_t i = 0; i < marked; i++)
		edge_remove(EDGE_DIR_GONE, names[i]);
	for (size_t i = 0; i < aside; i++)
		edge_remove(EDGE_DIR_OLD, names[i]);
	return rc;
}
