/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/bans.h"

#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "conf/cidr.h"
#include "edge/lengths.h"

/* Without a policy: those of a file that says nothing. */
#define TTL	    600
#define FACTOR	    2
#define MAX_TTL	    86400

#define SWEEP_EVERY 5 /* seconds, at least, between two sweeps */
#define FORGET_PART 4 /* when there is no room, a quarter of what is remembered goes */

static union edge_key key_of(const struct conf_cidr *cidr)
{
	union edge_key key = {.ban.family = edge_family(cidr), .ban.prefixlen = cidr->prefixlen};

	memcpy(key.ban.addr, cidr->addr, sizeof(key.ban.addr));
	return key;
}

static int read_policy(const struct edge *e, struct policy *ret, struct error *err)
{
	int rc = edge_policy(e, ret, err);

	if (rc == 0 && ret->ban_ttl == 0) {
		ret->ban_ttl = TTL;
		ret->ban_factor = FACTOR;
		ret->ban_max_ttl = MAX_TTL;
	}
	return rc;
}

static uint32_t filter_bit(const struct ban_key *key)
{
	uint64_t half[2];

	memcpy(half, key->addr, sizeof(half));
	return ban_hash(half[0], half[1], key->prefixlen);
}

static void set_bit(uint64_t *words, uint32_t bit)
{
	__atomic_fetch_or(&words[bit / 64], 1ULL << bit % 64, __ATOMIC_SEQ_CST);
}

int edge_bans_begin(struct edge_bans *b, struct edge_batch *batch, struct error *err)
{
	const struct edge *e = batch->edge;
	struct edge_bans begun = {.batch = batch};
	/* New, or somebody wrote bans by hand. */
	int rc = e->in_use->filtered ? 0 : edge_bans_sweep(e, err);

	if (rc >= 0)
		rc = read_policy(e, &begun.policy, err);
	if (rc == 0)
		rc = edge_list_read(e, EDGE_NEVER, &begun.never, err);
	if (rc < 0)
		return rc;
	conf_cidr_index_init(&begun.named, begun.never.items, begun.never.n,
			     sizeof(*begun.never.items));
	*b = begun;
	return rc;
}

void edge_bans_fini(struct edge_bans *b)
{
	edge_entries_fini(&b->never);
}

static int check(const struct edge_bans *b, const struct edge_ban *ban, const char *text,
		 struct error *err)
{
	uint64_t max = b->policy.ban_max_ttl * NSEC_PER_SEC;
	const struct edge_entry *named;
	char never[CONF_CIDR_TEXT];

	if (ban->cidr.prefixlen == 0)
		return error_set(err, EINVAL, "%s is everybody", text);
	if (ban->ttl > max)
		return error_set(err, ERANGE, "%s: %llus is longer than bans.max_ttl, %us", text,
				 (unsigned long long)(ban->ttl / NSEC_PER_SEC),
				 b->policy.ban_max_ttl);
	named = conf_cidr_index_touching(&b->named, &ban->cidr);
	if (!named)
		return 0;
	conf_cidr_format(&named->cidr, never);
	return error_set(err, EPERM, "%s must not be banned: %s is on the never-ban list", text,
			 never);
}

static bool is_remembered(const struct ban_value *v, const struct policy *policy, uint32_t now)
{
	return !v->until || (uint64_t)v->until + policy->ban_max_ttl > now;
}

/* The end of the ban for so many offences. */
static uint32_t end_of(const struct edge_bans *b, uint64_t ttl, uint32_t offences)
{
	uint64_t max = b->policy.ban_max_ttl;
	uint64_t seconds = ttl ? (ttl + NSEC_PER_SEC - 1) / NSEC_PER_SEC : b->policy.ban_ttl;

	for (uint32_t i = 1; i < offences && seconds < max; i++)
		seconds *= b->policy.ban_factor ? b->policy.ban_factor : 1;
	/* The second that has begun is not counted. */
	return (uint32_t)(clock_seconds() + 1 + (seconds < max ? seconds : max));
}

/* What is known of a prefix, and what another offence makes of it. */
static struct ban_value decide(const struct edge_bans *b, const struct edge_ban *ban,
			       const union edge_key *key)
{
	const struct edge *e = b->batch->edge;
	struct ban_value new = {.offences = 1};
	uint32_t end, now = clock_seconds();
	union edge_value v, old;
	bool active = false;

	if (bpf_map_lookup_elem(e->bans, key, &v) == 0) {
		old = v;
		active = edge_entry_view(e, e->bans, &v);
		if (active)
			old = v;
		if (active)
			new.offences = v.ban.offences ? v.ban.offences : 1;
		else if (old.list.stage != STAGE_ADDING && is_remembered(&old.ban, &b->policy, now))
			new.offences = old.ban.offences + 1;
	}
	end = end_of(b, ban->ttl, new.offences);
	new.until = active && (!old.list.until || old.list.until > end) ? old.list.until : end;
	memcpy(new.by, ban->by, sizeof(new.by));
	memcpy(new.why, ban->why, sizeof(new.why));
	return new;
}

struct ended {
	const struct edge *edge;
	uint32_t now;
	struct ban_key *keys;
	uint32_t *ends;
	size_t n;
	uint32_t limit; /* those up to this end go */
};

static int collect_ended(const void *key, const void *value, void *arg)
{
	const struct ban_value *v = value;
	struct ended *s = arg;

	if (v->stage != STAGE_NONE || !v->until || v->until > s->now)
		return 0;
	s->keys[s->n] = *(const struct ban_key *)key;
	s->ends[s->n++] = v->until;
	return s->n == edge_bans_capacity(s->edge);
}

static int compare_ends(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Make room: what has ended longest ago is forgotten. How many are. */
static size_t forget(const struct edge *e)
{
	size_t room = edge_bans_capacity(e) + 1;
	_cleanup_free_ struct ban_key *keys = calloc(room, sizeof(*keys));
	_cleanup_free_ uint32_t *ends = calloc(room, sizeof(*ends));
	_cleanup_free_ uint32_t *sorted = calloc(room, sizeof(*sorted));
	struct ended s = {.edge = e, .now = clock_seconds(), .keys = keys, .ends = ends};
	size_t n = 0;

	if (!keys || !ends || !sorted ||
	    edge_map_each(e->bans, sizeof(*keys), sizeof(struct ban_value), collect_ended, &s) <
		    0 ||
	    s.n == 0)
		return 0;
	memcpy(sorted, ends, s.n * sizeof(*sorted));
	qsort(sorted, s.n, sizeof(*sorted), compare_ends);
	s.limit = sorted[s.n / FORGET_PART];
	for (size_t i = 0; i < s.n; i++)
		if (ends[i] <= s.limit)
			n += bpf_map_delete_elem(e->bans, &keys[i]) == 0;
	return n;
}

/* Let the guard look for prefixes of this length. */
static int use_length(const struct edge *e, const struct conf_cidr *cidr, const char *text,
		      struct error *err)
{
	struct prefix_lengths *shared = cidr->family == AF_INET ? &e->in_use->ban4
								: &e->in_use->ban6;
	struct prefix_lengths l = *shared;
	char lengths[EDGE_LENGTHS_TEXT];
	int rc = edge_lengths_add(&l, cidr->prefixlen);

	if (rc < 0) { /* those of bans that were lifted may be among them */
		rc = edge_bans_sweep(e, err);
		if (rc < 0)
			return rc;
		l = *shared;
		rc = edge_lengths_add(&l, cidr->prefixlen);
	}
	if (rc == 0) {
		edge_lengths_store(shared, l);
		return 0;
	}
	edge_lengths_format(&l, lengths);
	return error_set(err, ENOSPC,
			 "%s: there are bans of %d other prefix lengths (%s) already, and no more "
			 "are looked for",
			 text, LENGTHS_MAX, lengths);
}

static void note_end(const struct edge *e, uint32_t until)
{
	if (until && (!e->shared->bans_due || until < e->shared->bans_due))
		e->shared->bans_due = until;
}

int edge_ban(struct edge_bans *b, const struct edge_ban *ban, struct edge_banned *ret,
	     struct error *err)
{
	const struct edge *e = b->batch->edge;
	union edge_key key = key_of(&ban->cidr);
	char text[CONF_CIDR_TEXT];
	union edge_value value;
	int rc;

	conf_cidr_format(&ban->cidr, text);
	rc = check(b, ban, text, err);
	if (rc == 0)
		rc = use_length(e, &ban->cidr, text, err);
	if (rc < 0)
		return rc;
	set_bit(e->ban_filter_words, filter_bit(&key.ban));
	value.ban = decide(b, ban, &key);
	note_end(e, value.ban.until);
	rc = edge_batch_put(b->batch, e->bans, &key, &value);
	if (rc == -ENOSPC && forget(e) > 0)
		rc = edge_batch_put(b->batch, e->bans, &key, &value);
	if (rc == -ENOSPC)
		return error_set(err, ENOSPC, "%s: there are %u bans already (bans.capacity)", text,
				 edge_bans_capacity(e));
	if (rc < 0)
		return error_sys(err, -rc, "%s: can't be banned", text);
	if (ret) {
		*ret = (struct edge_banned){ban->cidr, value.ban.until, value.ban.offences, "", ""};
		memcpy(ret->by, value.ban.by, sizeof(ret->by));
		memcpy(ret->why, value.ban.why, sizeof(ret->why));
	}
	return 0;
}

int edge_unban(struct edge_batch *b, const struct conf_cidr *cidr, struct error *err)
{
	const struct edge *e = b->edge;
	union edge_key key = key_of(cidr);
	char text[CONF_CIDR_TEXT];
	union edge_value value;
	int rc;

	conf_cidr_format(cidr, text);
	if (bpf_map_lookup_elem(e->bans, &key, &value) < 0 || !edge_entry_view(e, e->bans, &value))
		return error_set(err, ENOENT, "%s is not banned on %s", text, e->name);
	rc = edge_batch_del(b, e->bans, &key);
	return rc < 0 ? error_sys(err, -rc, "%s: the ban can't be lifted", text) : 0;
}

static int remove_one(const void *key, const void *value __attribute__((unused)), void *arg)
{
	struct edge_batch *b = arg;
	union edge_key k = {.ban = *(const struct ban_key *)key};
	int rc = edge_batch_del(b, b->edge->bans, &k);

	return rc == -ENOENT ? 0 : rc;
}

int edge_unban_all(struct edge_batch *b, struct error *err)
{
	const struct edge *e = b->edge;
	int rc = edge_map_each(e->bans, sizeof(struct ban_key), sizeof(struct ban_value),
			       remove_one, b);

	return rc < 0 ? error_sys(err, -rc, "%s: bans", e->name) : 0;
}

struct reading {
	const struct edge *edge;
	const struct policy *past; /* NULL: the bans in force; else those that it remembers */
	uint32_t now;
	struct edge_banned_list list;
};

static bool is_wanted(const struct reading *r, union edge_value *v)
{
	bool in_force = edge_entry_view(r->edge, r->edge->bans, v);

	if (!r->past || in_force)
		return !r->past && in_force;
	/* A stage that is still there: not yet a ban, or lifted. */
	return v->list.stage == STAGE_NONE && is_remembered(&v->ban, r->past, r->now);
}

static int append(const void *key, const void *value, void *arg)
{
	const struct ban_key *k = key;
	union edge_value v = {.ban = *(const struct ban_value *)value};
	struct reading *r = arg;
	struct edge_banned *item;

	if (!is_wanted(r, &v))
		return 0;
	/* Grows at powers of two. */
	if ((r->list.n & (r->list.n - 1)) == 0) {
		size_t n = r->list.n ? r->list.n * 2 : 1;
		void *grown = reallocarray(r->list.items, n, sizeof(*item));

		if (!grown)
			return -ENOMEM;
		r->list.items = grown;
	}
	item = &r->list.items[r->list.n++];
	*item = (struct edge_banned){.cidr = edge_cidr(k->family, k->prefixlen, k->addr),
				     .until = v.ban.until,
				     .offences = v.ban.offences};
	text_clean(item->by, sizeof(item->by),
		   slice_make(v.ban.by, strnlen(v.ban.by, sizeof(v.ban.by))));
	text_clean(item->why, sizeof(item->why),
		   slice_make(v.ban.why, strnlen(v.ban.why, sizeof(v.ban.why))));
	return 0;
}

static int read_bans(const struct edge *e, const struct policy *past, struct edge_banned_list *ret,
		     struct error *err)
{
	struct reading r = {.edge = e, .past = past, .now = clock_seconds()};
	int rc = edge_map_each(e->bans, sizeof(struct ban_key), sizeof(struct ban_value), append,
			       &r);

	if (rc < 0) {
		free(r.list.items);
		return error_sys(err, -rc, "%s: the bans can't be read", e->name);
	}
	*ret = r.list;
	return 0;
}

int edge_bans_read(const struct edge *e, struct edge_banned_list *ret, struct error *err)
{
	return read_bans(e, NULL, ret, err);
}

int edge_bans_past(const struct edge *e, struct edge_banned_list *ret, uint32_t *ret_seconds,
		   struct error *err)
{
	struct policy policy;
	int rc = read_policy(e, &policy, err);

	if (rc == 0)
		rc = read_bans(e, &policy, ret, err);
	if (rc == 0)
		*ret_seconds = policy.ban_max_ttl;
	return rc;
}

uint32_t edge_bans_capacity(const struct edge *e)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);

	return bpf_obj_get_info_by_fd(e->bans, &info, &len) < 0 ? 0 : info.max_entries;
}

struct sweep {
	const struct edge *edge;
	struct policy policy;
	uint32_t now;
	uint32_t next; /* the earliest end, of a ban or of what is remembered; 0: none */
	struct prefix_lengths in_use[2];
	uint64_t *filter; /* ban_filter as it should be */
	int forgotten;
};

static int sweep_one(const void *key, const void *value, void *arg)
{
	const struct ban_key *k = key;
	const struct ban_value *v = value;
	struct sweep *s = arg;
	bool staged = v->stage != STAGE_NONE; /* whatever becomes of it */
	uint64_t due = v->until;

	if (!staged && !is_remembered(v, &s->policy, s->now)) {
		s->forgotten += bpf_map_delete_elem(s->edge->bans, key) == 0;
		return 0;
	}
	if (staged || !v->until || v->until > s->now) {
		if (k->prefixlen <= edge_bits(k->family == 4 ? AF_INET : AF_INET6))
			edge_lengths_add(&s->in_use[k->family == 6], k->prefixlen);
		set_bit(s->filter, filter_bit(k));
	} else {
		due += s->policy.ban_max_ttl;
	}
	if (due && (!s->next || due < s->next))
		s->next = (uint32_t)due;
	return 0;
}

int edge_bans_sweep(const struct edge *e, struct error *err)
{
	_cleanup_free_ uint64_t *filter = calloc(BAN_FILTER_WORDS, sizeof(*filter));
	struct sweep s = {.edge = e, .now = clock_seconds(), .filter = filter};
	int rc = filter ? read_policy(e, &s.policy, err)
			: error_sys(err, ENOMEM, "%s: bans", e->name);

	if (rc < 0)
		return rc;
	rc = edge_map_each(e->bans, sizeof(struct ban_key), sizeof(struct ban_value), sweep_one,
			   &s);
	if (rc < 0)
		return error_sys(err, -rc, "%s: bans can't be swept", e->name);
	for (size_t i = 0; i < BAN_FILTER_WORDS; i++)
		__atomic_store_n(&e->ban_filter_words[i], filter[i], __ATOMIC_SEQ_CST);
	__atomic_store_n(&e->in_use->filtered, 1, __ATOMIC_SEQ_CST);
	edge_lengths_store(&e->in_use->ban4, s.in_use[0]);
	edge_lengths_store(&e->in_use->ban6, s.in_use[1]);
	e->shared->bans_due = s.next && s.next < s.now + SWEEP_EVERY ? s.now + SWEEP_EVERY : s.next;
	return s.forgotten;
}
