/* SPDX-License-Identifier: Apache-2.0 */
/* The interfaces of this network namespace, as rtnetlink lists them: how they stand on each other, and what they forward. */
#ifndef EDGE_LINKS_H
#define EDGE_LINKS_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct link {
	char name[IF_NAMESIZE];
	char kind[16]; /* "vlan", "bond", as 'ip -d link' says; "": a card or the like */
	int index;
	int below; /* what it stands on, when that is of this namespace; 0: nothing */
	int master;
	bool ethernet; /* its frames begin with an Ethernet header; loopback, too */
	bool has_mac;
	uint8_t mac[6];
	bool forwards4; /* net.ipv4.conf.NAME.forwarding */
	bool forwards6;
};

struct links {
	struct link *items;
	size_t n;
};

/* 0 or -errno. */
int links_read(struct links *ret);
void links_fini(struct links *all);

#endif
