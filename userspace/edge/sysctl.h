/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's settings that the SYN gate depends on (Documentation/networking/ip-sysctl.rst), of this network namespace. */
#ifndef EDGE_SYSCTL_H
#define EDGE_SYSCTL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "bpf/abi.h"
#include "conf/config.h"

/*
 * Whether the gate can do what the file asks of it. Of each setting that lets it do less warn is told what is lost and how to
 * mend it, in one line; with fix the setting is changed instead. 0, or -errno: a setting can't be read or changed.
 */
int edge_sysctl_check(const struct conf_edge *conf, bool fix, void (*warn)(const char *text),
		      struct error *err);

/* Fill in what cookies can do for connections here; nothing while the gate is off, or what can't be found out. */
void edge_sysctl_cookies(struct policy *policy);

/* A number that changes with the settings, and with those that decide on the window scale. */
uint64_t edge_sysctl_digest(void);

#endif
