/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/lists.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "conf/cidr.h"
#include "edge/lengths.h"
#include "edge/rules.h"

/* The kernel's keys, in either size: prefix4 is the beginning of prefix6. */
static union edge_key key_of(const struct conf_cidr *cidr)
{
	union edge_key key = {.prefix6.prefixlen = cidr->prefixlen};

	memcpy(key.prefix6.addr, cidr->addr, sizeof(key.prefix6.addr));
	return key;
}

static int map_of(const struct edge *e, enum edge_list list, int family)
{
	if (list == EDGE_ALLOW)
		return family == AF_INET ? e->allow4 : e->allow6;
	if (list == EDGE_TIERS)
		return family == AF_INET ? e->tiers4 : e->tiers6;
	if (list == EDGE_NEVER)
		return family == AF_INET ? e->never4 : e->never6;
	return family == AF_INET ? e->deny4 : e->deny6;
}

static int put(struct edge_batch *b, enum edge_list list, const struct edge_entry *entry,
	       struct error *err)
{
	union edge_key key = key_of(&entry->cidr);
	union edge_value value = {
		.list.origin = entry->origin,
		.list.prefixlen = entry->cidr.prefixlen,
		.list.until = entry->until,
		.list.note = entry->note,
	};
	int rc = edge_batch_put(b, map_of(b->edge, list, entry->cidr.family), &key, &value);
	char text[CONF_CIDR_TEXT];

	if (rc == 0)
		return 0;
	conf_cidr_format(&entry->cidr, text);
	if (rc == -ENOSPC)
		return error_set(err, ENOSPC, "%s: the list is full", text);
	return error_sys(err, -rc, "%s: can't be added", text);
}

int edge_list_add(struct edge_batch *b, enum edge_list list, const struct edge_entry *entry,
		  struct error *err)
{
	union edge_key key = key_of(&entry->cidr);
	union edge_value there;

	if (entry->until &&
	    edge_batch_look(b, map_of(b->edge, list, entry->cidr.family), &key, &there) &&
	    !there.list.until)
		return 1;
	return put(b, list, entry, err);
}

int edge_list_del(struct edge_batch *b, enum edge_list list, const struct conf_cidr *cidr,
		  struct error *err)
{
	static const char *const names[] = {
		[EDGE_ALLOW] = "allow",
		[EDGE_DENY] = "deny",
		[EDGE_NEVER] = "never",
		[EDGE_TIERS] = "tiers",
	};
	union edge_key key = key_of(cidr);
	int rc = edge_batch_del(b, map_of(b->edge, list, cidr->family), &key);
	char text[CONF_CIDR_TEXT];

	if (rc == 0)
		return 0;
	conf_cidr_format(cidr, text);
	if (rc == -ENOENT)
		return error_set(err, ENOENT, "%s is not on the %s list of %s", text, names[list],
				 b->edge->name);
	return error_sys(err, -rc, "%s: can't be removed", text);
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

struct reading {
	const struct edge *edge;
	int map;
	int family;
	struct edge_entries out;
};

static int append_visible(const void *raw, const void *value, void *arg)
{
	union edge_value v = {.list = *(const struct list_value *)value};
	struct reading *r = arg;
	struct edge_entry entry = {.cidr.family = r->family};
	struct prefix6 key = {0};

	if (!edge_entry_view(r->edge, r->map, &v))
		return 0;
	memcpy(&key, raw, r->family == AF_INET ? sizeof(struct prefix4) : sizeof(key));
	memcpy(entry.cidr.addr, key.addr, sizeof(key.addr));
	/* bpftool writes what it is told, also behind the prefix. */
	entry.cidr = conf_cidr_around(&entry.cidr, (uint8_t)key.prefixlen);
	entry.origin = v.list.origin;
	entry.until = v.list.until;
	entry.held = v.list.next_until;
	entry.note = v.list.note;
	return append(&r->out, &entry);
}

static int read_family(struct reading *r, enum edge_list list, int family)
{
	size_t key_size = family == AF_INET ? sizeof(struct prefix4) : sizeof(struct prefix6);

	r->family = family;
	r->map = map_of(r->edge, list, family);
	return edge_map_each(r->map, key_size, sizeof(struct list_value), append_visible, r);
}

int edge_list_read(const struct edge *e, enum edge_list list, struct edge_entries *ret,
		   struct error *err)
{
	struct reading r = {.edge = e};
	int rc = read_family(&r, list, AF_INET);

	if (rc == 0)
		rc = read_family(&r, list, AF_INET6);
	if (rc < 0) {
		free(r.out.items);
		return error_sys(err, -rc, "%s: the list can't be read", e->name);
	}
	*ret = r.out;
	return 0;
}

const struct edge_entry *edge_entries_match(const struct edge_entries *entries,
					    const struct conf_cidr *address)
{
	const struct edge_entry *best = NULL;

	for (size_t i = 0; i < entries->n; i++) {
		const struct edge_entry *entry = &entries->items[i];

		if (conf_cidr_holds(&entry->cidr, address) &&
		    (!best || entry->cidr.prefixlen > best->cidr.prefixlen))
			best = entry;
	}
	return best;
}

static int compare_entries(const void *a, const void *b)
{
	const struct edge_entry *x = a;
	const struct edge_entry *y = b;

	return conf_cidr_compare(&x->cidr, &y->cidr);
}

/* Of the sorted entries, the one of this prefix; NULL: there is none. */
static struct edge_entry *find(const struct edge_entries *sorted, const struct conf_cidr *cidr)
{
	struct edge_entry key = {.cidr = *cidr};

	return sorted->n ? bsearch(&key, sorted->items, sorted->n, sizeof(*sorted->items),
				   compare_entries)
			 : NULL;
}

/* Stage one entry of the file. */
static int follow_one(struct edge_batch *b, enum edge_list list, const struct edge_entry *there,
		      const struct edge_entry *wanted, struct error *err)
{
	struct edge_entry entry = *wanted;

	if (there && list != EDGE_TIERS &&
	    (there->held || (there->origin == ORIGIN_OPERATOR && there->until)))
		entry.note = there->note;
	/* The operator's stays the operator's. */
	if (there && !there->until &&
	    (there->origin == ORIGIN_OPERATOR || there->note == entry.note))
		return 0;
	return put(b, list, &entry, err);
}

/* The file names it no more; the operator's that it held the place of may have time left. */
static int unfollow(struct edge_batch *b, enum edge_list list, const struct edge_entry *old,
		    struct error *err)
{
	struct edge_entry entry = *old;
	int rc;

	entry.origin = ORIGIN_OPERATOR;
	entry.until = old->held;
	if (old->held > clock_seconds())
		return put(b, list, &entry, err);
	rc = edge_list_del(b, list, &old->cidr, err);
	return rc == -ENOENT ? 0 : rc;
}

int edge_list_follow(struct edge_batch *b, enum edge_list list, const struct edge_entries *wanted,
		     struct error *err)
{
	_cleanup_(edge_entries_fini) struct edge_entries old = {0};
	_cleanup_free_ bool *named = NULL;
	int rc = edge_list_read(b->edge, list, &old, err);

	if (rc < 0)
		return rc;
	named = calloc(old.n + 1, sizeof(*named));
	if (!named)
		return error_sys(err, ENOMEM, "%s: list", b->edge->name);
	if (old.n)
		qsort(old.items, old.n, sizeof(*old.items), compare_entries);
	for (size_t i = 0; i < wanted->n; i++) {
		const struct edge_entry *entry = &wanted->items[i];
		const struct edge_entry *there = find(&old, &entry->cidr);

		if (there)
			named[there - old.items] = true;
		rc = follow_one(b, list, there, entry, err);
		if (rc < 0)
			return rc;
	}
	for (size_t i = 0; i < old.n; i++) {
		if (old.items[i].origin != ORIGIN_FILE || named[i])
			continue;
		rc = unfollow(b, list, &old.items[i], err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int edge_list_follow_file(struct edge_batch *b, enum edge_list list, const struct conf_cidrs *cidrs,
			  struct error *err)
{
	_cleanup_(edge_entries_fini) struct edge_entries wanted = {0};

	for (size_t i = 0; i < cidrs->n; i++) {
		const struct edge_entry entry = {.cidr = cidrs->items[i], .origin = ORIGIN_FILE};

		if (append(&wanted, &entry) < 0)
			return error_sys(err, ENOMEM, "%s: list", b->edge->name);
	}
	return edge_list_follow(b, list, &wanted, err);
}

static void note_fill(struct note *note, const char *by, const char *why)
{
	text_clean(note->by, sizeof(note->by), slice_str(by));
	text_clean(note->why, sizeof(note->why), slice_str(why));
}

/* Which notes entries and rules name. */
static int note_used(const struct edge *e, bool used[NOTE_MAX])
{
	_cleanup_(edge_rules_fini) struct edge_rules rules = {0};
	int rc;

	for (int list = EDGE_ALLOW; list <= EDGE_NEVER; list++) {
		_cleanup_(edge_entries_fini) struct edge_entries entries = {0};

		rc = edge_list_read(e, (enum edge_list)list, &entries, NULL);

		if (rc < 0)
			return rc;
		for (size_t i = 0; i < entries.n; i++)
			used[entries.items[i].note % NOTE_MAX] = true;
	}
	rc = edge_rules_read(e, &rules, NULL);
	for (size_t i = 0; i < rules.n; i++)
		used[rules.items[i].note % NOTE_MAX] = true;
	return rc;
}

/* One with the same texts, or an empty one, or one that nobody uses; 0: none. */
static uint32_t note_place(const struct edge *e, const struct note *notes,
			   const struct note *wanted)
{
	static const struct note empty;
	bool used[NOTE_MAX] = {0};

	for (uint32_t i = 1; i < NOTE_MAX; i++)
		if (memcmp(&notes[i], wanted, sizeof(*wanted)) == 0)
			return i;
	for (uint32_t i = 1; i < NOTE_MAX; i++)
		if (memcmp(&notes[i], &empty, sizeof(empty)) == 0)
			return i;
	if (note_used(e, used) < 0)
		return 0;
	for (uint32_t i = 1; i < NOTE_MAX; i++)
		if (!used[i])
			return i;
	return 0;
}

int edge_note_make(const struct edge *e, const char *by, const char *why, uint16_t *ret,
		   struct error *err)
{
	_cleanup_free_ struct note *notes = calloc(NOTE_MAX, sizeof(*notes));
	_cleanup_free_ uint32_t *keys = calloc(NOTE_MAX, sizeof(*keys));
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	uint32_t n = NOTE_MAX;
	struct note note;
	uint32_t next;

	if (!notes || !keys)
		return error_sys(err, ENOMEM, "%s: notes", e->name);
	if (bpf_map_lookup_batch(e->notes, NULL, &next, keys, notes, &n, &opts) < 0 &&
	    errno != ENOENT)
		return error_sys(err, errno, "%s: notes", e->name);
	note_fill(&note, by, why);
	next = note_place(e, notes, &note);
	if (!next)
		return error_set(err, ENOSPC, "%s: there are %d different notes already", e->name,
				 NOTE_MAX - 1);
	if (bpf_map_update_elem(e->notes, &next, &note, BPF_ANY) < 0)
		return error_sys(err, errno, "%s: note", e->name);
	*ret = (uint16_t)next;
	return 0;
}

void edge_note_read(const struct edge *e, uint16_t number, struct note *ret)
{
	uint32_t key = number;

	struct note note;

	if (!number || bpf_map_lookup_elem(e->notes, &key, &note) < 0)
		note = (struct note){{0}, {0}};
	/* What bpftool wrote need not be text. */
	text_clean(ret->by, sizeof(ret->by),
		   slice_make(note.by, strnlen(note.by, sizeof(note.by))));
	text_clean(ret->why, sizeof(ret->why),
		   slice_make(note.why, strnlen(note.why, sizeof(note.why))));
}
