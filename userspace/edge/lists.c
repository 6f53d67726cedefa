/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/lists.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "base/cleanup.h"
#include "conf/cidr.h"

/* The kernel's keys, in either size: prefix4 is the beginning of prefix6. */
static struct prefix6 key_of(const struct conf_cidr *cidr)
{
	struct prefix6 key = {.prefixlen = cidr->prefixlen};

	memcpy(key.addr, cidr->addr, sizeof(key.addr));
	return key;
}

static int map_of(const struct edge *e, enum edge_list list, int family)
{
	if (list == EDGE_ALLOW)
		return family == AF_INET ? e->allow4 : e->allow6;
	return family == AF_INET ? e->deny4 : e->deny6;
}

static int update(int map, const struct conf_cidr *cidr, enum origin origin, uint64_t flags,
		  struct error *err)
{
	struct prefix6 key = key_of(cidr);
	struct list_value value = {.origin = origin};
	char text[CONF_CIDR_TEXT];

	if (bpf_map_update_elem(map, &key, &value, flags) == 0)
		return 0;
	if (errno == EEXIST)
		return -EEXIST;
	conf_cidr_format(cidr, text);
	if (errno == ENOSPC)
		return error_set(err, ENOSPC, "%s: the list is full", text);
	return error_sys(err, errno, "%s: can't be added", text);
}

int edge_list_add(const struct edge *e, enum edge_list list, const struct conf_cidr *cidr,
		  enum origin origin, struct error *err)
{
	return update(map_of(e, list, cidr->family), cidr, origin, BPF_ANY, err);
}

int edge_list_del(const struct edge *e, enum edge_list list, const struct conf_cidr *cidr,
		  struct error *err)
{
	struct prefix6 key = key_of(cidr);
	char text[CONF_CIDR_TEXT];

	if (bpf_map_delete_elem(map_of(e, list, cidr->family), &key) == 0)
		return 0;
	conf_cidr_format(cidr, text);
	if (errno == ENOENT)
		return error_set(err, ENOENT, "%s is not on the list of %s", text, e->name);
	return error_sys(err, errno, "%s: can't be removed", text);
}

static int append(struct edge_entries *out, const struct edge_entry *entry)
{
	/* Grows at powers of two. */
	if ((out->n & (out->n - 1)) == 0) {
		void *grown = reallocarray(out->items, out->n ? out->n * 2 : 1, sizeof(*entry));

		if (!grown)
			return -ENOMEM;
		out->items = grown;
	}
	out->items[out->n++] = *entry;
	return 0;
}

static int read_family(int map, int family, struct edge_entries *out)
{
	struct prefix6 key = {0};
	struct prefix6 *last = NULL;

	while (bpf_map_get_next_key(map, last, &key) == 0) {
		struct edge_entry entry = {0};
		struct list_value value;

		last = &key;
		if (bpf_map_lookup_elem(map, &key, &value) < 0)
			continue; /* removed meanwhile */
		entry.cidr.family = family;
		entry.cidr.prefixlen = (uint8_t)key.prefixlen;
		memcpy(entry.cidr.addr, key.addr, family == AF_INET ? 4 : 16);
		entry.origin = value.origin;
		if (append(out, &entry) < 0)
			return -ENOMEM;
	}
	return errno == ENOENT ? 0 : -errno;
}

int edge_list_read(const struct edge *e, enum edge_list list, struct edge_entries *ret,
		   struct error *err)
{
	struct edge_entries out = {0};
	int rc = read_family(map_of(e, list, AF_INET), AF_INET, &out);

	if (rc == 0)
		rc = read_family(map_of(e, list, AF_INET6), AF_INET6, &out);
	if (rc < 0) {
		free(out.items);
		return error_sys(err, -rc, "%s: the list can't be read", e->name);
	}
	*ret = out;
	return 0;
}

static int compare(const void *a, const void *b)
{
	return conf_cidr_compare(a, b);
}

int edge_list_add_file(const struct edge *e, enum edge_list list, const struct conf_cidrs *cidrs,
		       bool *ret_added, struct error *err)
{
	for (size_t i = 0; i < cidrs->n; i++) {
		const struct conf_cidr *c = &cidrs->items[i];
		int rc = update(map_of(e, list, c->family), c, ORIGIN_FILE, BPF_NOEXIST, err);

		ret_added[i] = rc == 0;
		if (rc == 0 || rc == -EEXIST)
			continue;
		edge_list_undo_file(e, list, cidrs, ret_added, i);
		return rc;
	}
	return 0;
}

void edge_list_undo_file(const struct edge *e, enum edge_list list, const struct conf_cidrs *cidrs,
			 const bool *added, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (added[i])
			edge_list_del(e, list, &cidrs->items[i], NULL);
}

int edge_list_keep_file(const struct edge *e, enum edge_list list, const struct conf_cidrs *cidrs,
			struct error *err)
{
	_cleanup_(edge_entries_fini) struct edge_entries old = {0};
	_cleanup_free_ struct conf_cidr *sorted = NULL;
	int rc;

	sorted = calloc(cidrs->n + 1, sizeof(*sorted));
	if (!sorted)
		return error_sys(err, ENOMEM, "%s: list", e->name);
	if (cidrs->n)
		memcpy(sorted, cidrs->items, cidrs->n * sizeof(*sorted));
	qsort(sorted, cidrs->n, sizeof(*sorted), compare);
	rc = edge_list_read(e, list, &old, err);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < old.n; i++) {
		if (old.items[i].origin != ORIGIN_FILE ||
		    bsearch(&old.items[i].cidr, sorted, cidrs->n, sizeof(*sorted), compare))
			continue;
		rc = edge_list_del(e, list, &old.items[i].cidr, err);
		if (rc < 0 && rc != -ENOENT)
			return rc;
	}
	return 0;
}
