/* SPDX-License-Identifier: Apache-2.0 */
/* The guard in the kernel, not attached yet. */
#ifndef EDGE_LOAD_H
#define EDGE_LOAD_H

#include <stdbool.h>

#include "base/error.h"
#include "conf/config.h"

struct guard;
struct xdp_program;

struct edge_program {
	struct guard *guard;
	struct xdp_program
		*shared; /* an extension program, as libxdp knows it; NULL: to be held by a link */
};

/*
 * With the pinned maps of an attached interface, which cfg (NULL: nothing) may want larger, or with new ones as cfg wants them
 * when name is NULL; share: as an extension program. -EPERM; -EPROTO: maps of another layout; -errno.
 */
int edge_program_load(const char *name, const struct config *cfg, bool share,
		      struct edge_program *ret, struct error *err);
void edge_program_fini(struct edge_program *p);
int edge_program_fd(const struct edge_program *p);

#endif
