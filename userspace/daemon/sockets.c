/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/sockets.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"

#define BACKLOG 4096

bool sockets_same_address(const struct conf_listener *a, const struct conf_listener *b)
{
	return a->address.len == b->address.len &&
	       memcmp(&a->address.ss, &b->address.ss, a->address.len) == 0;
}

static bool has(const struct config *cfg, const struct conf_listener *l)
{
	for (size_t i = 0; cfg && i < cfg->n_listeners; i++)
		if (cfg->listeners[i].role == CONF_ROLE_PUBLIC &&
		    sockets_same_address(&cfg->listeners[i], l))
			return true;
	return false;
}

static int open_one(const struct conf_listener *l, struct error *err)
{
	_cleanup_close_ int fd = socket(l->address.ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one = 1;

	if (fd < 0)
		return error_sys(err, errno, "listener %.*s", SLICE_FMT(l->name));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0 ||
	    bind(fd, (const struct sockaddr *)&l->address.ss, l->address.len) < 0 ||
	    listen(fd, BACKLOG) < 0)
		return error_sys(err, errno, "listener %.*s: %.*s", SLICE_FMT(l->name),
				 SLICE_FMT(l->address.text));
	return take_fd(fd);
}

int sockets_open(const struct config *old, const struct config *now, size_t n_workers,
		 struct error *err, struct sockets *ret_sockets)
{
	struct sockets s = {.n_workers = n_workers, .n_listeners = now->n_listeners};
	size_t n = n_workers * now->n_listeners;

	s.fds = malloc((n + 1) * sizeof(*s.fds));
	if (!s.fds)
		return error_set(err, ENOMEM, "out of memory for the listeners");
	for (size_t i = 0; i < n; i++)
		s.fds[i] = -1;
	for (size_t i = 0; i < n; i++) {
		const struct conf_listener *l = &now->listeners[i % now->n_listeners];

		if (l->role != CONF_ROLE_PUBLIC || has(old, l))
			continue;
		s.fds[i] = open_one(l, err);
		if (s.fds[i] < 0) {
			int rc = s.fds[i];

			sockets_fini(&s);
			return rc;
		}
	}
	*ret_sockets = s;
	return 0;
}

int sockets_take(struct sockets *s, size_t worker, size_t listener)
{
	return take_fd(s->fds[worker * s->n_listeners + listener]);
}

void sockets_fini(struct sockets *s)
{
	for (size_t i = 0; s->fds && i < s->n_workers * s->n_listeners; i++)
		if (s->fds[i] >= 0)
			close(s->fds[i]);
	free(s->fds);
	s->fds = NULL;
}
