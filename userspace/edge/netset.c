/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/netset.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "conf/cidr.h"

static struct slice without_comment(struct slice line)
{
	for (size_t i = 0; i < line.len; i++)
		if (line.ptr[i] == '#' || line.ptr[i] == ';')
			line.len = i;
	if (line.len && line.ptr[line.len - 1] == '\r')
		line.len--;
	return slice_trim(line);
}

static unsigned __int128 value_of(const struct conf_cidr *c)
{
	uint64_t half[2];

	memcpy(half, c->addr, sizeof(half));
	return (unsigned __int128)be64toh(half[0]) << 64 | be64toh(half[1]);
}

static int add(struct feed_entries *out, unsigned __int128 value, unsigned int len, int family,
	       uint8_t set)
{
	const struct feed_entry entry = {
		.hi = (uint64_t)(value >> 64),
		.lo = (uint64_t)value,
		.family = family == AF_INET ? 4 : 6,
		.len = (uint8_t)len,
		.set = set,
	};

	return feed_entries_add(out, &entry);
}

/* The fewest prefixes that are the addresses from first to last. */
static int add_range(struct feed_entries *out, unsigned __int128 first, unsigned __int128 last,
		     int family, uint8_t set)
{
	/* An address's unit: that of IPv4 are the upper 32 bits. */
	unsigned __int128 unit = family == AF_INET ? (unsigned __int128)1 << 96 : 1;
	int rc = 0;

	last += unit - 1;
	while (rc == 0) {
		unsigned int len = family == AF_INET ? 32 : 128;
		unsigned __int128 size = unit;

		while (len > 0 && !(first & size) && last - first >= 2 * size - 1 && size << 1) {
			size <<= 1;
			len--;
		}
		if (len == 1 && first == 0 && last == ~(unsigned __int128)0)
			len = 0; /* its size is more than 128 bits say */
		rc = add(out, first, len, family, set);
		if (len == 0 || last - first < size)
			break;
		first += size;
	}
	return rc;
}

/* NULL, or what is wrong with it; *ret_rc is what became of adding it. */
static const char *parse_range(struct slice from, struct slice to, uint8_t set,
			       struct feed_entries *out, int *ret_rc)
{
	static const char *const neither = "is not a range such as 192.0.2.1-192.0.2.9";
	struct conf_cidr first, last;

	if (conf_cidr_parse(from, &first) || conf_cidr_parse(to, &last) ||
	    first.family != last.family || slice_index(from, '/') < from.len ||
	    slice_index(to, '/') < to.len)
		return neither;
	if (value_of(&first) > value_of(&last))
		return "is a range that ends before it begins";
	*ret_rc = add_range(out, value_of(&first), value_of(&last), first.family, set);
	return NULL;
}

static const char *parse_entry(struct slice text, uint8_t set, struct feed_entries *out,
			       int *ret_rc)
{
	size_t dash = slice_index(text, '-');
	struct conf_cidr cidr;
	const char *why;

	/* Behind which the functions for texts would not look. */
	if (slice_index(text, '\0') < text.len)
		return "has a NUL byte";
	if (dash < text.len)
		return parse_range(slice_trim(slice_first(text, dash)),
				   slice_trim(slice_skip(text, dash + 1)), set, out, ret_rc);
	why = conf_cidr_parse(text, &cidr);
	if (!why)
		*ret_rc = add(out, value_of(&cidr), cidr.prefixlen, cidr.family, set);
	return why;
}

int netset_line(struct slice line, uint8_t set, struct feed_entries *out, struct error *err)
{
	struct slice entry = without_comment(line);
	const char *why;
	int rc = 0;

	if (entry.len == 0)
		return 0;
	why = parse_entry(entry, set, out, &rc);
	if (why)
		return error_set(err, EINVAL, "'%.*s' %s", (int)(entry.len < 64 ? entry.len : 64),
				 entry.ptr, why);
	return rc < 0 ? error_sys(err, -rc, "addresses") : 0;
}

int netset_parse(struct slice text, uint8_t set, struct feed_entries *out, struct error *err)
{
	int rc = 0;

	text = slice_skip_mark(text);
	for (unsigned int line = 1; rc == 0 && text.len; line++) {
		rc = netset_line(slice_cut(&text, '\n'), set, out, err);
		if (rc < 0)
			error_prefix(err, "%u", line);
	}
	return rc;
}
