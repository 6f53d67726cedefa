/* SPDX-License-Identifier: Apache-2.0 */
/* Many prefixes, about which is asked as often: sorted, with a note of the lengths that there are. */
#ifndef CONF_CIDR_INDEX_H
#define CONF_CIDR_INDEX_H

#include "conf/config.h"

struct conf_cidr_index {
	char *items; /* borrowed; each begins with its struct conf_cidr */
	size_t n;
	size_t size;	  /* bytes of an item */
	bool has[2][129]; /* of IPv4 and IPv6: whether there is a prefix of this length */
};

/* Sorts the items, which then must not change but for their ends: what stands behind the cidr, and n, which may shrink. */
void conf_cidr_index_init(struct conf_cidr_index *ret, void *items, size_t n, size_t size);

/* The item of this length around a prefix that is no shorter; NULL: there is none. */
void *conf_cidr_index_at(const struct conf_cidr_index *index, const struct conf_cidr *cidr,
			 unsigned int length);

/* That of the longest prefix that holds it; NULL: none does. */
void *conf_cidr_index_longest(const struct conf_cidr_index *index, const struct conf_cidr *cidr);

/* One whose prefix holds it or lies within it; NULL: there is none. */
void *conf_cidr_index_touching(const struct conf_cidr_index *index, const struct conf_cidr *cidr);

#endif
