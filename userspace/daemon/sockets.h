/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets of all workers, opened together: each worker has its own for each address, in one SO_REUSEPORT group. */
#ifndef DAEMON_SOCKETS_H
#define DAEMON_SOCKETS_H

#include <stdbool.h>

#include "base/error.h"
#include "conf/config.h"

struct sockets {
	int *fds; /* [worker][listener of the new configuration]; -1: kept from the old one */
	size_t n_workers;
	size_t n_listeners;
};

bool sockets_same_address(const struct conf_listener *a, const struct conf_listener *b);

/*
 * Open what now has and old (which may be NULL) has not, by address. 0; or -errno with the reason, and nothing is open.
 * The workers take their descriptors one by one with sockets_take; the rest is closed by sockets_fini.
 */
int sockets_open(const struct config *old, const struct config *now, size_t n_workers,
		 struct error *err, struct sockets *ret_sockets);
int sockets_take(struct sockets *s, size_t worker, size_t listener);
void sockets_fini(struct sockets *s);

#endif
