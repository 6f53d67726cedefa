/* SPDX-License-Identifier: Apache-2.0 */
/* One connection to the admin listener: a request at a time, each answered with a page. */
#ifndef ADMIN_SESSION_H
#define ADMIN_SESSION_H

#include "admin/admin.h"
#include "base/list.h"
#include "http/message.h"
#include "io/ring.h"

/* What all sessions of the admin thread share. */
struct session_host {
	struct ring *ring;
	const struct admin_page *pages;
	void *user;
	struct list sessions;
	unsigned int n_sessions;
	struct http_head head; /* scratch */
	struct buf body;       /* scratch */
};

/* pages and user are the caller's to set. */
void session_host_init(struct session_host *h, struct ring *ring);

/* After all sessions have gone. */
void session_host_fini(struct session_host *h);

/* Takes the descriptor. */
void session_open(struct session_host *h, int fd);
void session_close_all(struct session_host *h);

#endif
