/* SPDX-License-Identifier: Apache-2.0 */
/* Attach and detach: everything is built aside and gets its name by one rename. */
#include <errno.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/cleanup.h"
#include "bpf/guard.skel.h"
#include "edge/device.h"
#include "edge/edge.h"
#include "edge/hook.h"
#include "edge/load.h"
#include "edge/migrate.h"
#include "edge/pin.h"
#include "edge/share.h"

/* The guard reads Ethernet headers; tunnels for instance have none. */
static int check_ethernet(const struct device *d, struct error *err)
{
	return d->ethernet ? 0
			   : error_set(err, EOPNOTSUPP, "%s is not an Ethernet interface", d->name);
}

struct search {
	uint32_t program_id;
	char name[IF_NAMESIZE];
};

static int compare_program(const char *name, void *arg)
{
	struct search *s = arg;
	struct hook_state state = {.program_id = 0};
	struct hook hook;
	int rc = hook_open(EDGE_DIR, name, &hook);

	if (rc < 0)
		return 0;
	rc = hook_read(&hook, &state);
	hook_close(&hook);
	if (rc < 0 || state.program_id != s->program_id)
		return 0;
	snprintf(s->name, sizeof(s->name), "%s", name);
	return 1;
}

/* The name by which a guard is pinned that runs this program: an interface may have another name since. */
static bool is_guard(uint32_t program_id, char ret_name[IF_NAMESIZE])
{
	struct search s = {.program_id = program_id};

	if (edge_each(compare_program, &s, NULL) <= 0)
		return false;
	memcpy(ret_name, s.name, IF_NAMESIZE);
	return true;
}

static int refuse_foreign(const char *name, uint32_t program_id, bool share, struct error *err)
{
	_cleanup_close_ int fd = bpf_prog_get_fd_by_id(program_id);
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);
	char pinned[IF_NAMESIZE];
	bool dispatcher;

	if (is_guard(program_id, pinned))
		return error_set(err, EBUSY,
				 "%s has the guard that was attached to it as %s: 'sluice detach "
				 "--interface %s' first",
				 name, pinned, pinned);
	if (fd >= 0)
		bpf_obj_get_info_by_fd(fd, &info, &len);
	dispatcher = strcmp(info.name, "xdp_dispatcher") == 0;
	if (dispatcher && share)
		return error_set(err, EBUSY,
				 "%s has a dispatcher (program %u) of another version of libxdp, "
				 "or one whose pins are not in this mount namespace: "
				 "'xdp-loader status %s' where it was attached",
				 name, program_id, name);
	if (dispatcher)
		return error_set(
			err, EBUSY,
			"%s is shared by libxdp's dispatcher (program %u): 'share: true' in "
			"edge.interfaces, or --share, attaches beside its programs; or "
			"detach those first, 'xdp-loader unload %s --all'",
			name, program_id, name);
	return error_set(err, EBUSY,
			 "%s has an XDP program of somebody else (id %u, '%s')%s: detach it first, "
			 "'ip link set dev %s xdp off' for instance",
			 name, program_id, info.name, share ? ", which does not share" : "", name);
}

/* What is there that is not the guard's; share: beside whom it would be. */
static int check_foreign(const struct edge_attachment *a, unsigned int ifindex, struct error *err)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	static const char *const names[] = {"auto", "native", "generic"};
	struct share there = {.dispatcher = 0};

	if (bpf_xdp_query((int)ifindex, 0, &query) < 0 || query.attach_mode == XDP_ATTACHED_NONE)
		return 0;
	if (a->share)
		there = share_read(ifindex);
	if (!there.dispatcher)
		return refuse_foreign(a->name, query.prog_id, a->share, err);
	if (a->mode != CONF_XDP_AUTO && a->mode != there.mode)
		return error_set(err, EOPNOTSUPP,
				 "%s is shared in %s mode by the programs that are there, so it "
				 "can't be in %s mode",
				 a->name, names[there.mode], names[a->mode]);
	return 0;
}

/* A link's descriptor, or 0 for a shared guard; -errno. mode: not auto. */
static int hold(const struct edge_program *p, unsigned int ifindex, enum conf_xdp_mode mode)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts,
		    .flags = mode == CONF_XDP_NATIVE ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE);
	int fd;

	if (p->shared)
		return share_join(p->shared, ifindex, mode);
	fd = bpf_link_create(edge_program_fd(p), (int)ifindex, BPF_XDP, &opts);
	return fd < 0 ? -errno : fd;
}

/* The mode that those who share the interface have chosen, if any. */
static enum conf_xdp_mode mode_to_try(const struct edge_attachment *a, unsigned int ifindex)
{
	struct share there = {.dispatcher = 0};

	if (a->share)
		there = share_read(ifindex);
	return there.dispatcher ? there.mode : a->mode;
}

/* In the best mode that was asked for; as hold. */
static int hold_best(const struct edge_program *p, const struct device *d, unsigned int ifindex,
		     struct edge_attachment *a, struct error *err)
{
	enum conf_xdp_mode mode = mode_to_try(a, ifindex);
	int native = 0, fd = -EOPNOTSUPP;

	if (mode != CONF_XDP_GENERIC)
		fd = native = hold(p, ifindex, CONF_XDP_NATIVE);
	if (fd < 0 && mode != CONF_XDP_NATIVE && fd != -EBUSY && fd != -EPERM)
		fd = hold(p, ifindex, CONF_XDP_GENERIC);
	if (fd == -EBUSY || fd == -EEXIST)
		return error_set(err, EBUSY, "%s has an XDP program of somebody else", a->name);
	if (native < 0)
		device_explain(d, a->mode, fd < 0 ? CONF_XDP_AUTO : CONF_XDP_GENERIC, -native,
			       a->note);
	if (fd >= 0)
		return fd;
	if (p->shared && *share_said())
		return error_sys(err, -fd, "%s: attach (libxdp: %s)", a->name, share_said());
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
static int apply(const struct guard *g, const struct edge_attachment *a, unsigned int ifindex,
		 const struct config *cfg, const struct edge_feeds *feeds, struct error *err)
{
	struct edge e;
	int rc = edge_open_object(a->name, g->obj, &e, err);

	if (rc < 0)
		return rc;
	e.shared->asked = a->mode;
	if (a->share) {
		e.shared->ifindex = ifindex;
		e.shared->netns = hook_netns();
	}
	rc = cfg ? edge_apply(&e, 1, cfg, feeds, NULL, err) : 0;
	edge_close(&e);
	return rc;
}

static int build(const struct edge_program *p, const struct device *d, struct edge_attachment *a,
		 unsigned int ifindex, const struct config *cfg, const struct edge_feeds *feeds,
		 struct error *err)
{
	const char *name = a->name;
	char path[EDGE_PATH];
	int rc = apply(p->guard, a, ifindex, cfg, feeds, err);
	int link;

	if (rc < 0)
		return rc;
	edge_path(path, EDGE_DIR_NEW, name, NULL);
	if (mkdir(path, 0700) < 0)
		return error_sys(err, errno, "%s", path);
	rc = pin_maps(p->guard, name, err);
	if (rc < 0)
		return rc;
	link = hold_best(p, d, ifindex, a, err);
	if (link < 0 || p->shared)
		return link;
	rc = pin(name, "link", link, err);
	close(link);
	return rc;
}

/* The guard that is pinned under this name is another interface's: of another namespace, or one that has another name now. */
static int refuse_other(const struct edge *e, const struct edge_status *status, struct error *err)
{
	int rc = edge_check_here(e, status, err);
	char now[IF_NAMESIZE] = "";

	if (rc < 0)
		return rc;
	if_indextoname(status->ifindex, now);
	return error_set(err, EEXIST,
			 "%s has the guard that was attached to %s: 'sluice detach --interface %s' "
			 "first",
			 now, e->name, e->name);
}

/* 0 when the interface is free of the guard; 1 when its pins are there, but it had gone meanwhile. */
static int check_free(const char *name, unsigned int ifindex, struct error *err)
{
	struct edge_status status;
	struct edge e;
	int rc = edge_open(name, &e, err);

	if (rc == -ENOENT)
		return 0;
	if (rc < 0)
		return rc;
	rc = edge_status(&e, &status, err);
	if (rc == 0 && !status.attached)
		rc = 1;
	else if (rc == 0 && status.ifindex != ifindex)
		rc = refuse_other(&e, &status, err);
	else if (rc == 0)
		rc = error_set(err, EEXIST, "%s is already attached (program %u): detach it first",
			       name, status.program_id);
	edge_close(&e);
	return rc;
}

/* Nothing has been touched yet. */
static int check(const struct edge_attachment *a, unsigned int ifindex, struct device *ret_device,
		 struct error *err)
{
	int rc = device_read(a->name, ret_device, err);

	if (rc == 0)
		rc = check_ethernet(ret_device, err);
	if (rc == 0 && a->share && share_check(err) < 0)
		rc = error_prefix(err, "%s can't be shared", a->name);
	if (rc == 0)
		rc = check_foreign(a, ifindex, err);
	return rc;
}

/* All of it but the name. */
static int attach_aside(struct edge_attachment *a, const struct config *cfg,
			const struct edge_feeds *feeds, struct error *err)
{
	_cleanup_(edge_program_fini) struct edge_program p = {NULL, NULL};
	const char *name = a->name;
	unsigned int ifindex = if_nametoindex(name);
	struct device d;
	bool returned;
	int rc;

	if (!ifindex)
		return error_set(err, ENODEV, "there is no interface '%s'", name);
	a->note[0] = '\0';
	rc = check_free(name, ifindex, err);
	if (rc < 0)
		return rc;
	returned = rc == 1;
	rc = check(a, ifindex, &d, err);
	if (rc == 0)
		rc = edge_program_load(returned ? name : NULL, cfg, a->share, &p, err);
	if (rc == 0 && returned)
		rc = edge_copy_maps(p.guard->obj, name, err);
	if (rc >= 0)
		rc = build(&p, &d, a, ifindex, cfg, feeds, err);
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

/* Of one interface that is being detached. */
struct leaver {
	struct hook hook;
	struct share_left left;
};

static int open_leaver(struct leaver *l, const char *name, struct error *err)
{
	int rc = hook_open(EDGE_DIR, name, &l->hook);

	if (rc == -ENOENT)
		return error_set(err, ENOENT, "%s is not attached", name);
	return rc < 0 ? error_sys(err, -rc, "%s: pins", name)
		      : hook_check_here(&l->hook, name, err);
}

/* A shared one leaves its dispatcher by this, which may fail; edge_remove does the rest. */
static int set_aside(struct leaver *l, const char *name, struct error *err)
{
	int rc = edge_rename(name, EDGE_DIR, EDGE_DIR_OLD);

	if (rc < 0)
		return error_sys(err, -rc, "%s: pins", name);
	rc = hook_is_shared(&l->hook) ? hook_leave(&l->hook, &l->left) : 0;
	if (rc < 0) {
		edge_rename(name, EDGE_DIR_OLD, EDGE_DIR);
		return error_sys(err, -rc, "%s: detach (libxdp: %s)", name, share_said());
	}
	return 0;
}

int edge_detach(const char (*names)[IF_NAMESIZE], size_t n, struct error *err)
{
	_cleanup_free_ struct leaver *l = calloc(n + 1, sizeof(*l));
	size_t opened = 0, marked = 0, aside = 0;
	int rc = l ? 0 : error_sys(err, ENOMEM, "detach");

	for (; rc == 0 && opened < n; opened++) {
		l[opened].hook = HOOK_NONE;
		rc = open_leaver(&l[opened], names[opened], err);
	}
	for (; rc == 0 && n > 1 && marked < n; marked++)
		rc = edge_mark(EDGE_DIR_GONE, names[marked], err);
	if (rc == 0 && n > 1)
		rc = edge_decide(err);
	while (rc == 0 && aside < n) {
		rc = set_aside(&l[aside], names[aside], err);
		aside += rc == 0;
	}
	while (rc < 0 && aside > 0) {
		share_return(&l[--aside].left);
		edge_rename(names[aside], EDGE_DIR_OLD, EDGE_DIR);
	}
	if (n > 1)
		edge_done();
	for (size_t i = 0; i < marked; i++)
		edge_remove(EDGE_DIR_GONE, names[i]);
	for (size_t i = 0; i < aside; i++)
		edge_remove(EDGE_DIR_OLD, names[i]);
	for (size_t i = 0; i < opened; i++) {
		share_left_fini(&l[i].left);
		hook_close(&l[i].hook);
	}
	return rc;
}
