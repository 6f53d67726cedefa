/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's settings that the SYN gate depends on (Documentation/networking/ip-sysctl.rst), of this network namespace. */
#ifndef EDGE_SYSCTL_H
#define EDGE_SYSCTL_H

#include <stdbool.h>

#include "base/error.h"
#include "conf/config.h"

/*
 * Whether the gate can do what the file asks of it. 0: it can, or fix was asked for and done; -EAGAIN: less than it should,
 * err says what and how to mend it; another -errno: the setting can't be read or changed.
 */
int edge_sysctl_check(const struct conf_edge *conf, bool fix, struct error *err);

#endif
