/* SPDX-License-Identifier: Apache-2.0 */
/* Another program in place of the attached ones. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "base/cleanup.h"
#include "bpf/guard.skel.h"
#include "edge/edge.h"
#include "edge/hook.h"
#include "edge/load.h"
#include "edge/migrate.h"
#include "edge/pin.h"

struct upgrade {
	struct edge_program new;
	struct hook hook;
	int old;
	bool changes; /* it is not the same program already */
	struct share_left left;
};

/* What holds the guard of an attached interface, and the program that it runs. */
static int open_running(struct upgrade *u, const char *name, struct error *err)
{
	struct hook_state state = {.ifindex = 0};
	int rc = hook_open(EDGE_DIR, name, &u->hook);

	if (rc == -ENOENT)
		return error_set(err, ENOENT, "%s is not attached", name);
	if (rc == 0)
		rc = hook_check_here(&u->hook, name, err);
	if (rc == -EXDEV)
		return rc;
	if (rc == 0)
		rc = hook_read(&u->hook, &state);
	if (rc < 0)
		return error_sys(err, -rc, "%s: link", name);
	if (!state.ifindex)
		return error_set(err, ENODEV,
				 "%s has gone: detach it, or attach it when it is back", name);
	u->old = bpf_prog_get_fd_by_id(state.program_id);
	return u->old < 0 ? error_sys(err, errno, "%s: program %u", name, state.program_id) : 0;
}

/* Beside the old one, which goes when it is decided: for a moment packets meet both. */
static int join(const struct upgrade *u, const char *name, struct error *err)
{
	int rc = share_join(u->new.shared, u->hook.ifindex, share_read(u->hook.ifindex).mode);

	return rc < 0 ? error_sys(err, -rc, "%s: upgrade (libxdp: %s)", name, share_said()) : 0;
}

static int prepare(struct upgrade *u, const char *name, const struct config *cfg, struct error *err)
{
	struct bpf_prog_info old = {0}, new = {0};
	int rc = open_running(u, name, err);
	int n;

	if (rc == 0)
		rc = edge_program_load(name, cfg, hook_is_shared(&u->hook), &u->new, err);
	if (rc < 0)
		return rc;
	n = edge_copy_maps(u->new.guard->obj, name, err);
	if (n < 0)
		return n;
	rc = edge_program_info(u->old, &old);
	if (rc == 0)
		rc = edge_program_info(edge_program_fd(&u->new), &new);
	if (rc < 0)
		return error_sys(err, -rc, "%s: program", name);
	/* Programs of the same instructions have the same tag. */
	if (n == 0 && memcmp(old.tag, new.tag, sizeof(old.tag)) == 0)
		return 0;
	u->changes = true;
	rc = edge_prepare(u->new.guard->obj, name, edge_program_fd(&u->new), err);
	return rc == 0 && hook_is_shared(&u->hook) ? join(u, name, err) : rc;
}

static int switch_program(struct upgrade *u, bool may_return)
{
	if (!u->changes)
		return 0;
	if (hook_is_shared(&u->hook))
		return hook_leave(&u->hook, may_return ? &u->left : NULL);
	return hook_update(&u->hook, u->old, edge_program_fd(&u->new));
}

static void switch_back(const struct upgrade *u)
{
	if (!u->changes)
		return;
	if (hook_is_shared(&u->hook))
		share_return(&u->left);
	else
		hook_update(&u->hook, edge_program_fd(&u->new), u->old);
}

static int switch_all(struct upgrade *u, const char (*names)[IF_NAMESIZE], size_t n,
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
		rc = switch_program(&u[i], n > 1);
		if (rc < 0)
			break;
	}
	if (rc < 0)
		error_sys(err, -rc, "%s: link", names[i]);
	while (rc < 0 && i-- > 0)
		switch_back(&u[i]);
	if (changing > 1)
		edge_done();
	return rc;
}

static void end(struct upgrade *u, const char *name)
{
	if (u->changes)
		edge_finish(name);
	share_left_fini(&u->left);
	edge_program_fini(&u->new);
	hook_close(&u->hook);
	closep(&u->old);
}

int edge_upgrade(const char (*names)[IF_NAMESIZE], size_t n, const struct config *cfg,
		 bool *ret_changed, struct error *err)
{
	_cleanup_free_ struct upgrade *u = calloc(n + 1, sizeof(*u));
	int rc = u ? 0 : error_sys(err, ENOMEM, "upgrade");
	size_t begun = 0;

	while (rc == 0 && begun < n) {
		u[begun].hook = HOOK_NONE;
		u[begun].old = -1;
		rc = prepare(&u[begun], names[begun], cfg, err);
		begun++;
	}
	if (rc == 0)
		rc = switch_all(u, names, n, err);
	for (size_t i = 0; i < begun; i++) {
		if (rc == 0 && ret_changed)
			ret_changed[i] = u[i].changes;
		end(&u[i], names[i]);
	}
	return rc;
}
