/* SPDX-License-Identifier: Apache-2.0 */
/* What stands below and above an interface (VLAN devices, bonds, bridges), as far as it decides where the guard can be attached. */
#ifndef EDGE_DEVICE_H
#define EDGE_DEVICE_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "conf/config.h"

#define DEVICE_LOWERS 8

struct device {
	char name[IF_NAMESIZE];
	char kind[16]; /* "vlan", "bond", as 'ip -d link' says; "": a card or the like */
	bool ethernet; /* its frames begin with an Ethernet header; loopback, too */
	char lower[DEVICE_LOWERS][IF_NAMESIZE]; /* what it stands on, or its members */
	size_t n_lower;
	char master[IF_NAMESIZE]; /* what it is a member of; "": nothing */
	char master_kind[16];
};

/* Of this network namespace, by rtnetlink. -ENODEV: there is none. */
int device_read(const char *name, struct device *ret, struct error *err);

/*
 * One sentence for who asked for a mode and got another (obtained: generic), or got none (obtained: auto): why, where the
 * device's kind tells, and what would work. errnum: what the driver answered to a native program. "": nothing to say.
 */
#define DEVICE_TEXT 400
void device_explain(const struct device *d, enum conf_xdp_mode asked, enum conf_xdp_mode obtained,
		    int errnum, char ret[DEVICE_TEXT]);

#endif
