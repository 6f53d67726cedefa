/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The admin listener: a thread with a small HTTP/1.1 server of its own, so that it answers when every worker is
 * busy. It knows pages, not what is on them.
 */
#ifndef ADMIN_ADMIN_H
#define ADMIN_ADMIN_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "conf/config.h"

struct admin;

/* Called in the admin thread. */
struct admin_page {
	const char *path; /* NULL ends a table */
	const char *type; /* Content-Type */
	/* Append the body, return the status. */
	unsigned int (*render)(void *user, struct buf *out);
};

/*
 * Serve the pages on all listeners of cfg that have the admin role; *ret_admin is NULL when there are none. pages and
 * user must outlive it. 0 or -errno.
 */
int admin_start(const struct config *cfg, const struct admin_page *pages, void *user,
		struct error *err, struct admin **ret_admin);

/* Whether both have the same admin listeners. */
bool admin_same(const struct config *a, const struct config *b);

/* Close everything, end the thread. NULL is fine. */
void admin_stop(struct admin *a);

#endif
