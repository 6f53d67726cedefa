/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/cidr_index.h"

#include <stdlib.h>
#include <string.h>

#include "conf/cidr.h"

/* By address, so that what lies within a prefix stands behind it. */
static int compare(const void *a, const void *b)
{
	const struct conf_cidr *x = a, *y = b;
	int rc;

	if (x->family != y->family)
		return x->family < y->family ? -1 : 1;
	rc = memcmp(x->addr, y->addr, sizeof(x->addr));
	return rc ? rc : (int)x->prefixlen - (int)y->prefixlen;
}

void conf_cidr_index_init(struct conf_cidr_index *ret, void *items, size_t n, size_t size)
{
	*ret = (struct conf_cidr_index){.items = items, .n = n, .size = size};
	if (n)
		qsort(items, n, size, compare);
	for (size_t i = 0; i < n; i++) {
		const struct conf_cidr *cidr = (const void *)(ret->items + i * size);

		ret->has[cidr->family == AF_INET6][cidr->prefixlen] = true;
	}
}

/* The first item that does not come before the prefix; NULL: all do. */
static void *lower_bound(const struct conf_cidr_index *index, const struct conf_cidr *cidr)
{
	size_t from = 0, to = index->n;

	while (from < to) {
		size_t middle = from + (to - from) / 2;

		if (compare(index->items + middle * index->size, cidr) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return from < index->n ? index->items + from * index->size : NULL;
}

void *conf_cidr_index_at(const struct conf_cidr_index *index, const struct conf_cidr *cidr,
			 unsigned int length)
{
	struct conf_cidr around;
	void *found;

	if (!index->has[cidr->family == AF_INET6][length])
		return NULL;
	around = conf_cidr_around(cidr, (uint8_t)length);
	found = lower_bound(index, &around);
	return found && compare(found, &around) == 0 ? found : NULL;
}

void *conf_cidr_index_longest(const struct conf_cidr_index *index, const struct conf_cidr *cidr)
{
	void *found = NULL;

	for (int length = cidr->prefixlen; !found && length >= 0; length--)
		found = conf_cidr_index_at(index, cidr, (unsigned int)length);
	return found;
}

void *conf_cidr_index_touching(const struct conf_cidr_index *index, const struct conf_cidr *cidr)
{
	void *within = lower_bound(index, cidr);

	if (within && conf_cidr_holds(cidr, within))
		return within;
	return conf_cidr_index_longest(index, cidr);
}
