/* SPDX-License-Identifier: Apache-2.0 */
#include "loader/addresses.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "conf/cidr.h"
#include "edge/netset.h"

static int append(struct conf_cidrs *a, const struct conf_cidr *cidr)
{
	/* Grows at powers of two. */
	if ((a->n & (a->n - 1)) == 0) {
		void *grown = reallocarray(a->items, a->n ? a->n * 2 : 1, sizeof(*cidr));

		if (!grown)
			return -ENOMEM;
		a->items = grown;
	}
	a->items[a->n++] = *cidr;
	return 0;
}

static int add(struct conf_cidrs *a, struct slice text, struct error *err)
{
	struct conf_cidr cidr;
	const char *why = conf_cidr_parse(text, &cidr);

	if (why)
		return error_set(err, EINVAL, "'%.*s' %s", SLICE_FMT(text), why);
	return append(a, &cidr) < 0 ? error_sys(err, ENOMEM, "addresses") : 0;
}

static int add_entry(struct conf_cidrs *a, const struct feed_entry *entry)
{
	struct conf_cidr cidr = {
		.family = entry->family == 4 ? AF_INET : AF_INET6,
		.prefixlen = entry->len,
	};
	uint64_t half[2] = {htobe64(entry->hi), htobe64(entry->lo)};

	memcpy(cidr.addr, half, sizeof(cidr.addr));
	return append(a, &cidr);
}

/* As in a feed: an address, a prefix or a range, and comments. */
static int add_line(struct slice line, void *arg, struct error *err)
{
	_cleanup_(feed_entries_fini) struct feed_entries entries = {0};
	int rc = netset_line(line, 0, &entries, err);

	for (size_t i = 0; rc == 0 && i < entries.n; i++)
		if (add_entry(arg, &entries.items[i]) < 0)
			rc = error_sys(err, ENOMEM, "addresses");
	return rc;
}

static struct slice without_end(struct slice line)
{
	if (line.len && line.ptr[line.len - 1] == '\n')
		line.len--;
	if (line.len && line.ptr[line.len - 1] == '\r')
		line.len--;
	return line;
}

const char *lines_name(const char *path)
{
	return strcmp(path, "-") == 0 ? "standard input" : path;
}

int lines_read(const char *path, int (*fn)(struct slice line, void *arg, struct error *err),
	       void *arg, struct error *err)
{
	bool standard = strcmp(path, "-") == 0;
	_cleanup_file_ FILE *opened = standard ? NULL : fopen(path, "re");
	FILE *file = standard ? stdin : opened;
	_cleanup_free_ char *line = NULL;
	size_t room = 0;
	ssize_t len;
	int rc = 0;

	if (!file)
		return error_sys(err, errno, "%s", path);
	for (size_t n = 1; rc == 0 && (len = getline(&line, &room, file)) >= 0; n++) {
		struct slice text = without_end(slice_make(line, (size_t)len));

		rc = fn(n == 1 ? slice_skip_mark(text) : text, arg, err);
		if (rc < 0)
			rc = error_prefix(err, "%s:%zu", lines_name(path), n);
	}
	if (rc == 0 && ferror(file))
		rc = error_sys(err, errno, "%s", path);
	return rc;
}

int addresses_read(const struct options *o, struct conf_cidrs *ret, struct error *err)
{
	struct conf_cidrs a = {0};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < o->n_args; i++)
		rc = add(&a, slice_str(o->args[i]), err);
	if (rc == 0 && o->input)
		rc = lines_read(o->input, add_line, &a, err);
	if (rc < 0)
		addresses_fini(&a);
	else
		*ret = a;
	return rc;
}

static int compare(const void *a, const void *b)
{
	return conf_cidr_compare(a, b);
}

void addresses_unique(struct conf_cidrs *a)
{
	size_t n = 0;

	if (a->n)
		qsort(a->items, a->n, sizeof(*a->items), compare);
	for (size_t i = 0; i < a->n; i++)
		if (n == 0 || conf_cidr_compare(&a->items[n - 1], &a->items[i]) != 0)
			a->items[n++] = a->items[i];
	a->n = n;
}

void addresses_fini(struct conf_cidrs *a)
{
	free(a->items);
	*a = (struct conf_cidrs){0};
}
