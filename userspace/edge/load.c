/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/load.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <xdp/libxdp.h>

#include "base/cleanup.h"
#include "bpf/guard.skel.h"
#include "edge/migrate.h"
#include "edge/seed.h"
#include "edge/share.h"

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

/* What the kernel answered to the program. */
static int explain(int rc, struct error *err)
{
	if ((rc == -EPERM || rc == -EACCES) && geteuid() != 0)
		return error_set(err, EPERM,
				 "loading packet programs needs root (CAP_BPF and CAP_NET_ADMIN)");
	if (rc == -EPERM)
		return error_set(err, EPERM,
				 "this kernel refuses packet programs here (a container without "
				 "CAP_BPF and CAP_NET_ADMIN?): %s",
				 warning);
	if (rc == -ENOSYS)
		return error_set(err, ENOSYS, "this kernel has no bpf(2)");
	if (rc < 0)
		return error_sys(err, -rc, "the kernel does not take the packet program (%s)",
				 warning);
	return 0;
}

static int open_guard(const char *name, const struct config *cfg, struct guard **ret,
		      struct error *err)
{
	struct guard *g = *ret = guard__open();
	uint64_t seed;

	if (!g)
		return error_sys(err, errno, "the packet program can't be opened");
	/* What is in maps that are there already is found by the seed of who put it there. */
	if ((!name || edge_seed(name, &seed) < 0) &&
	    getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		return error_sys(err, errno, "random numbers");
	g->rodata->bucket_seed = seed;
	if (cfg)
		bpf_map__set_max_entries(g->maps.bans, (uint32_t)cfg->edge.bans.capacity);
	return name ? edge_reuse_maps(g->obj, name, cfg != NULL, err) : 0;
}

int edge_program_load(const char *name, const struct config *cfg, bool share,
		      struct edge_program *ret, struct error *err)
{
	struct edge_program p = {NULL, NULL};
	libbpf_print_fn_t before = libbpf_set_print(keep_warning);
	int rc;

	warning[0] = '\0';
	rc = open_guard(name, cfg, &p.guard, err);
	if (rc == 0)
		rc = share ? share_load(p.guard->obj, &p.shared, err)
			   : explain(guard__load(p.guard), err);
	libbpf_set_print(before);
	if (rc == 0)
		*ret = p;
	else
		edge_program_fini(&p);
	return rc;
}

void edge_program_fini(struct edge_program *p)
{
	xdp_program__close(p->shared);
	guard__destroy(p->guard);
}

int edge_program_fd(const struct edge_program *p)
{
	return bpf_program__fd(p->guard->progs.sluice_guard);
}
