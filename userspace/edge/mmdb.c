/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/mmdb.h"

#include <errno.h>
#include <fcntl.h>
#include <maxminddb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>

#include "base/cleanup.h"

#define COPY_BYTES (1U << 30) /* a call, at most */
#define IP4_DEPTH  96	      /* where IPv4 begins in a tree of IPv6 */

struct walk {
	MMDB_s db;
	const struct conf_feed *feed;
	uint8_t set;
	struct feed_entries *out;
	bool *found;   /* of each country, then of each system */
	uint32_t left; /* nodes that a tree may still have */
};

/* The address bits on the way, as those of an IPv6 address. */
struct place {
	uint64_t hi;
	uint64_t lo;
	unsigned int depth;
};

static struct place child(const struct place *p, bool right)
{
	struct place c = *p;

	if (right && p->depth < 64)
		c.hi |= 1ULL << (63 - p->depth);
	else if (right)
		c.lo |= 1ULL << (127 - p->depth);
	c.depth++;
	return c;
}

static bool matches(struct walk *w, MMDB_entry_s *entry)
{
	const struct conf_feed *f = w->feed;
	MMDB_entry_data_s d;

	if (f->n_countries &&
	    MMDB_get_value(entry, &d, "country", "iso_code", NULL) == MMDB_SUCCESS && d.has_data &&
	    d.type == MMDB_DATA_TYPE_UTF8_STRING)
		for (size_t i = 0; i < f->n_countries; i++)
			if (slice_eq(f->countries[i], slice_make(d.utf8_string, d.data_size)))
				return w->found[i] = true;
	if (f->n_asns &&
	    MMDB_get_value(entry, &d, "autonomous_system_number", NULL) == MMDB_SUCCESS &&
	    d.has_data && d.type == MMDB_DATA_TYPE_UINT32)
		for (size_t i = 0; i < f->n_asns; i++)
			if (f->asns[i] == d.uint32)
				return w->found[f->n_countries + i] = true;
	return false;
}

static int add(struct walk *w, const struct place *p)
{
	bool ip4 = w->db.metadata.ip_version == 4;
	struct feed_entry e = {p->hi, p->lo, 6, (uint8_t)p->depth, w->set};

	if (ip4 || (p->depth >= IP4_DEPTH && p->hi == 0 && p->lo >> 32 == 0)) {
		e.family = 4;
		e.hi = ip4 ? p->hi : p->lo << 32;
		e.lo = 0;
		e.len = (uint8_t)(ip4 ? p->depth : p->depth - IP4_DEPTH);
	}
	return feed_entries_add(w->out, &e);
}

static int visit(struct walk *w, uint64_t node, const struct place *p);

static int visit_record(struct walk *w, uint64_t record, uint8_t type, MMDB_entry_s *entry,
			struct place p)
{
	switch (type) {
	case MMDB_RECORD_TYPE_EMPTY:
		return 0;
	case MMDB_RECORD_TYPE_DATA:
		return matches(w, entry) ? add(w, &p) : 0;
	case MMDB_RECORD_TYPE_SEARCH_NODE:
		return visit(w, record, &p);
	default:
		return -EBADMSG;
	}
}

static int visit(struct walk *w, uint64_t number, const struct place *p)
{
	const MMDB_ipv4_start_node_s *ip4 = &w->db.ipv4_start_node;
	MMDB_search_node_s node;
	int rc;

	/* Other ways to IPv4 (6to4, Teredo, mapped): the addresses of packets are what they are. */
	if (ip4->netmask == IP4_DEPTH && number == ip4->node_value &&
	    !(p->depth == IP4_DEPTH && p->hi == 0 && p->lo == 0))
		return 0;
	if (p->depth >= w->db.depth || w->left-- == 0 ||
	    MMDB_read_node(&w->db, (uint32_t)number, &node) != MMDB_SUCCESS)
		return -EBADMSG;
	rc = visit_record(w, node.left_record, node.left_record_type, &node.left_record_entry,
			  child(p, false));
	if (rc < 0)
		return rc;
	return visit_record(w, node.right_record, node.right_record_type, &node.right_record_entry,
			    child(p, true));
}

static int check_found(const struct walk *w, struct error *err)
{
	const struct conf_feed *f = w->feed;

	for (size_t i = 0; i < f->n_countries; i++)
		if (!w->found[i])
			return error_set(err, ENODATA, "%s: no network of country %.*s", f->path,
					 SLICE_FMT(f->countries[i]));
	for (size_t i = 0; i < f->n_asns; i++)
		if (!w->found[f->n_countries + i])
			return error_set(err, ENODATA, "%s: no network of system %u", f->path,
					 f->asns[i]);
	return 0;
}

/*
 * A copy of the file in memory: the library maps what it opens, and a file that is cut short meanwhile would end the
 * process. The descriptor, or -errno.
 */
static int copy_file(const char *path)
{
	_cleanup_close_ int file = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int copy = memfd_create("mmdb", MFD_CLOEXEC);
	ssize_t n;

	if (file < 0 || copy < 0)
		return -errno;
	do {
		n = sendfile(copy, file, NULL, COPY_BYTES);
	} while (n > 0);
	return n < 0 ? -errno : take_fd(copy);
}

int mmdb_load(const struct conf_feed *feed, uint8_t set, struct feed_entries *out,
	      struct error *err)
{
	_cleanup_free_ bool *found = calloc(feed->n_countries + feed->n_asns + 1, sizeof(*found));
	struct walk w = {.feed = feed, .set = set, .out = out, .found = found};
	_cleanup_close_ int copy = -1;
	struct place root = {0};
	char path[32];
	int rc;

	if (!found)
		return error_sys(err, ENOMEM, "%s", feed->path);
	copy = copy_file(feed->path);
	if (copy < 0)
		return error_set(err, EINVAL, "%s: %s", feed->path, strerror(-copy));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", copy);
	rc = MMDB_open(path, MMDB_MODE_MMAP, &w.db);
	if (rc != MMDB_SUCCESS)
		return error_set(err, EBADMSG, "%s: %s", feed->path, MMDB_strerror(rc));
	w.left = w.db.metadata.node_count;
	rc = visit(&w, 0, &root);
	if (rc == -EBADMSG)
		error_set(err, EBADMSG, "%s: the search tree is damaged", feed->path);
	else if (rc < 0)
		error_sys(err, -rc, "%s", feed->path);
	else
		rc = check_found(&w, err);
	MMDB_close(&w.db);
	return rc;
}
