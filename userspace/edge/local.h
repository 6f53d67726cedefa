/* SPDX-License-Identifier: Apache-2.0 */
/* What the SYN gate is to take for this host's: the addresses of an interface and of what stands on it, and whether it routes. */
#ifndef EDGE_LOCAL_H
#define EDGE_LOCAL_H

#include <stdbool.h>

#include "base/error.h"
#include "bpf/abi.h"
#include "edge/links.h"

/* By the interface of that number. False, and zeros: there is none. */
bool local_find(const struct links *all, int index, struct local *ret);

/* The same, asked now. -ENODEV: there is none in this network namespace. */
int local_read(const char *name, int index, struct local *ret, struct error *err);

#endif
