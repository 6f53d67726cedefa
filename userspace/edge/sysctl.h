/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's settings that the SYN gate depends on (Documentation/networking/ip-sysctl.rst), of this network namespace. */
#ifndef EDGE_SYSCTL_H
#define EDGE_SYSCTL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "bpf/abi.h"
#include "conf/config.h"

#define EDGE_SETTINGS 4

/* Settings that were changed, and what they had been; zeros: none. */
struct edge_sysctl_undo {
	bool changed[EDGE_SETTINGS];
	int value[EDGE_SETTINGS];
};

/*
 * Whether the gate can do what the file asks of it. Of each setting that lets it do less warn is told what is lost and how to
 * mend it, in one line; with fix (else NULL) the setting is changed instead. 0, or -errno: a setting can't be read or changed.
 */
int edge_sysctl_check(const struct conf_edge *conf, struct edge_sysctl_undo *fix,
		      void (*warn)(const char *text), struct error *err);

/* Put back what edge_sysctl_check changed, also where it failed. */
void edge_sysctl_undo(const struct edge_sysctl_undo *undo);

/* Fill in what cookies can do for connections here; nothing while the gate is off, or what can't be found out. */
void edge_sysctl_cookies(struct policy *policy);

/* A number that changes with the settings, and with those that decide on the window scale. */
uint64_t edge_sysctl_digest(void);

#endif
