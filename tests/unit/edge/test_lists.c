/* SPDX-License-Identifier: Apache-2.0 */
/* The lists on real maps: whose entry is whose, and all or nothing. */
#include "tests/unit/edge/maps.h"

#include "edge/limits.h"
#include "edge/sweep.h"

static struct edge_batch begin(void)
{
	struct edge_batch b;

	assert_int_equal(edge_batch_begin(&b, &edge, NULL), 0);
	return b;
}

static int end(struct edge_batch *b, int rc)
{
	if (rc < 0)
		edge_batch_abort(b);
	else
		edge_batch_commit(b, false);
	assert_int_equal(edge.shared->batch, BATCH_NONE);
	return rc;
}

static int add_entry(struct edge_entry entry, struct error *err)
{
	struct edge_batch b = begin();

	return end(&b, edge_list_add(&b, EDGE_DENY, &entry, err));
}

static int add(const char *text, enum origin origin)
{
	return add_entry((struct edge_entry){.cidr = cidr(text), .origin = origin}, NULL);
}

static int del(const char *text, struct error *err)
{
	struct edge_batch b = begin();
	struct conf_cidr c = cidr(text);

	return end(&b, edge_list_del(&b, EDGE_DENY, &c, err));
}

/* As a file would have it: texts separated by spaces. */
static struct conf_cidrs file(const char *texts)
{
	static struct conf_cidr items[16];
	struct slice rest = slice_str(texts);
	struct conf_cidrs out = {items, 0};

	while (rest.len)
		assert_null(conf_cidr_parse(slice_cut(&rest, ' '), &items[out.n++]));
	return out;
}

/* The deny list as "prefix" or "prefix*" (the operator's), sorted as it is read. */
static void expect(const char *want)
{
	struct edge_entries entries;
	char got[512] = "";
	size_t at = 0;

	assert_int_equal(edge_list_read(&edge, EDGE_DENY, &entries, NULL), 0);
	for (size_t i = 0; i < entries.n; i++) {
		char text[CONF_CIDR_TEXT];

		conf_cidr_format(&entries.items[i].cidr, text);
		at += (size_t)snprintf(got + at, sizeof(got) - at, "%s%s%s", i ? " " : "", text,
				       entries.items[i].origin == ORIGIN_OPERATOR ? "*" : "");
	}
	free(entries.items);
	assert_string_equal(got, want);
}

static int apply(const char *texts, struct error *err)
{
	struct conf_cidrs cidrs = file(texts);
	struct edge_batch b = begin();

	return end(&b, edge_list_follow_file(&b, EDGE_DENY, &cidrs, err));
}

static void test_add_and_del(void **state)
{
	struct error err;

	(void)state;
	expect("");
	assert_int_equal(add("10.0.0.0/8", ORIGIN_OPERATOR), 0);
	assert_int_equal(add("2001:db8::1", ORIGIN_FILE), 0);
	expect("10.0.0.0/8* 2001:db8::1");
	assert_int_equal(del("10.0.0.0/8", NULL), 0);
	expect("2001:db8::1");
	assert_int_equal(del("10.0.0.0/8", &err), -ENOENT);
	assert_string_equal(err.text, "10.0.0.0/8 is not on the deny list of test0");
	/* A wider prefix that holds an address is another entry, and so is an address that a prefix holds. */
	assert_int_equal(del("2001:db8::/64", NULL), -ENOENT);
	assert_int_equal(add("10.0.0.0/8", ORIGIN_OPERATOR), 0);
	assert_int_equal(del("10.0.0.1", NULL), -ENOENT);
	assert_int_equal(add("10.0.0.0/9", ORIGIN_FILE), 0);
	expect("10.0.0.0/9 10.0.0.0/8* 2001:db8::1");
}

static void test_full(void **state)
{
	struct error err;

	(void)state;
	assert_int_equal(apply("192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4", NULL), 0);
	assert_int_equal(add_entry((struct edge_entry){.cidr = cidr("192.0.2.9")}, &err), -ENOSPC);
	assert_string_equal(err.text, "192.0.2.9: the list is full");
}

static void test_file_replaces_its_own(void **state)
{
	(void)state;
	assert_int_equal(apply("192.0.2.1 192.0.2.2 2001:db8::/32", NULL), 0);
	expect("192.0.2.1 192.0.2.2 2001:db8::/32");
	assert_int_equal(add("192.0.2.9", ORIGIN_OPERATOR), 0);
	assert_int_equal(apply("192.0.2.2 192.0.2.9", NULL), 0);
	/* What the operator has put there stays the operator's, though the file names it now. */
	expect("192.0.2.2 192.0.2.9*");
	assert_int_equal(apply("", NULL), 0);
	expect("192.0.2.9*");
}

static void test_file_without_room_changes_nothing(void **state)
{
	struct error err;

	(void)state;
	assert_int_equal(apply("192.0.2.1 192.0.2.2", NULL), 0);
	assert_int_equal(apply("192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5", &err), -ENOSPC);
	assert_string_equal(err.text, "192.0.2.5: the list is full");
	expect("192.0.2.1 192.0.2.2");
}

/* What is staged is seen by nobody before the commit, and what goes is. */
static void test_batch_is_all_or_nothing(void **state)
{
	struct conf_cidr gone = cidr("192.0.2.1");
	struct edge_entry changed = {.cidr = cidr("192.0.2.2"), .origin = ORIGIN_FILE};
	struct edge_entry new = {.cidr = cidr("192.0.2.3")};

	(void)state;
	for (int commit = 0; commit < 2; commit++) {
		struct edge_batch b;

		apply("", NULL);
		del("192.0.2.3", NULL);
		add("192.0.2.1", ORIGIN_OPERATOR);
		add("192.0.2.2", ORIGIN_OPERATOR);
		b = begin();
		assert_int_equal(edge_list_del(&b, EDGE_DENY, &gone, NULL), 0);
		assert_int_equal(edge_list_add(&b, EDGE_DENY, &changed, NULL), 0);
		assert_int_equal(edge_list_add(&b, EDGE_DENY, &new, NULL), 0);
		assert_int_equal(edge_list_add(&b, EDGE_DENY, &new, NULL), 0); /* named twice */
		expect("192.0.2.1* 192.0.2.2*");
		end(&b, commit ? 0 : -1);
		expect(commit ? "192.0.2.2 192.0.2.3*" : "192.0.2.1* 192.0.2.2*");
	}
}

/* Whoever comes after a command that was killed ends its batch, in the way that it had begun. */
static void test_killed_batch(void **state)
{
	struct conf_cidr gone = cidr("192.0.2.1");
	struct edge_entry new = {.cidr = cidr("192.0.2.3")};

	(void)state;
	for (int committed = 0; committed < 2; committed++) {
		const char *want = committed ? "192.0.2.3*" : "192.0.2.1*";
		struct edge_batch killed, b;

		del("192.0.2.3", NULL);
		add("192.0.2.1", ORIGIN_OPERATOR);
		killed = begin();
		assert_int_equal(edge_list_del(&killed, EDGE_DENY, &gone, NULL), 0);
		assert_int_equal(edge_list_add(&killed, EDGE_DENY, &new, NULL), 0);
		free(killed.items);
		if (committed)
			edge.shared->batch = BATCH_COMMITTED;
		expect(want);
		b = begin();
		expect(want);
		end(&b, 0);
		expect(want);
	}
}

static void test_end(void **state)
{
	uint32_t now = (uint32_t)(clock_mono() / NSEC_PER_SEC);
	struct edge_entry entry = {.cidr = cidr("192.0.2.1"), .until = now};

	(void)state;
	add_entry(entry, NULL);
	entry.cidr = cidr("192.0.2.2");
	entry.until = now + 100;
	add_entry(entry, NULL);
	add("192.0.2.3", ORIGIN_OPERATOR);
	expect("192.0.2.2* 192.0.2.3*");
	assert_int_equal(edge.shared->expires, now);
	assert_int_equal(edge_sweep(&edge, NULL), 1);
	assert_int_equal(edge.shared->expires, now + 100);
	assert_int_equal(edge_sweep(&edge, NULL), 0);
	/* The file outlives the operator's entry. */
	apply("192.0.2.2", NULL);
	expect("192.0.2.2 192.0.2.3*");
}

static struct edge_entry entry_of(const char *text)
{
	struct edge_entries entries;
	struct edge_entry found = {.note = 0xffff};
	struct conf_cidr c = cidr(text);

	assert_int_equal(edge_list_read(&edge, EDGE_DENY, &entries, NULL), 0);
	for (size_t i = 0; i < entries.n; i++)
		if (conf_cidr_compare(&entries.items[i].cidr, &c) == 0)
			found = entries.items[i];
	free(entries.items);
	return found;
}

static void expect_entry(const char *text, enum origin origin, uint32_t until, uint16_t note)
{
	struct edge_entry entry = entry_of(text);

	assert_int_equal(entry.origin, origin);
	assert_int_equal(entry.until, until);
	assert_int_equal(entry.note, note);
}

/* What ends does not take the place of what has no end, which else would end, too. */
static void test_endless_stays(void **state)
{
	uint32_t end = clock_seconds() + 100;
	struct edge_entry entry = {.cidr = cidr("192.0.2.1"), .until = end, .note = 3};

	(void)state;
	apply("192.0.2.1", NULL);
	assert_int_equal(add_entry(entry, NULL), 1);
	expect_entry("192.0.2.1", ORIGIN_FILE, 0, 0);
	add("192.0.2.1", ORIGIN_OPERATOR);
	assert_int_equal(add_entry(entry, NULL), 1);
	expect_entry("192.0.2.1", ORIGIN_OPERATOR, 0, 0);
	/* Another note, and of what ends another end. */
	assert_int_equal(add_entry((struct edge_entry){.cidr = cidr("192.0.2.1"), .note = 4}, NULL),
			 0);
	expect_entry("192.0.2.1", ORIGIN_OPERATOR, 0, 4);
	entry.cidr = cidr("192.0.2.2");
	assert_int_equal(add_entry(entry, NULL), 0);
	entry.until = end + 100;
	assert_int_equal(add_entry(entry, NULL), 0);
	expect_entry("192.0.2.2", ORIGIN_OPERATOR, end + 100, 3);
}

/* The operator's entry that ends has its time, though the file names it meanwhile and a command is killed in between. */
static void test_file_holds_the_place(void **state)
{
	uint32_t end = clock_seconds() + 100;
	struct edge_entry entry = {.cidr = cidr("192.0.2.1"), .until = end, .note = 3};
	struct edge_batch killed;

	(void)state;
	add_entry(entry, NULL);
	for (int i = 0; i < 2; i++) {
		apply("192.0.2.1", NULL);
		expect_entry("192.0.2.1", ORIGIN_FILE, 0, 3);
	}
	for (int committed = 0; committed < 2; committed++) {
		struct conf_cidrs none = file("");

		killed = begin();
		assert_int_equal(edge_list_follow_file(&killed, EDGE_DENY, &none, NULL), 0);
		free(killed.items);
		if (committed)
			edge.shared->batch = BATCH_COMMITTED;
		killed = begin();
		edge_batch_abort(&killed);
		expect_entry("192.0.2.1", committed ? ORIGIN_OPERATOR : ORIGIN_FILE,
			     committed ? end : 0, 3);
	}
	assert_true(edge.shared->expires && edge.shared->expires <= end);
	apply("", NULL);
	expect_entry("192.0.2.1", ORIGIN_OPERATOR, end, 3);
	/* Its time is over: it goes with the file's. */
	entry.until = clock_seconds() + 1;
	add_entry(entry, NULL);
	apply("192.0.2.1", NULL);
	while (clock_seconds() < entry.until)
		usleep(10000);
	apply("192.0.2.1", NULL);
	expect("192.0.2.1");
	apply("", NULL);
	expect("");
}

/* As bpftool writes it: bits behind the prefix are no part of it, and no file would take them. */
static void test_bits_behind_a_prefix(void **state)
{
	const struct prefix4 key = {24, {192, 0, 2, 77}};
	const struct list_value zeros = {0};

	(void)state;
	assert_int_equal(bpf_map_update_elem(edge.deny4, &key, &zeros, BPF_ANY), 0);
	expect("192.0.2.0/24*");
	apply("192.0.2.0/24", NULL);
	expect("192.0.2.0/24*");
	assert_int_equal(del("192.0.2.0/24", NULL), 0);
	expect("");
}

static void test_notes(void **state)
{
	struct edge_entry entry = {.cidr = cidr("192.0.2.1")};
	struct rule_key key = {.protocol = IPPROTO_TCP, .port = 22};
	struct rule_value rule = {0};
	struct note note;
	uint16_t a, b;

	(void)state;
	assert_int_equal(edge_note_make(&edge, "alice", "scans", &a, NULL), 0);
	assert_int_equal(edge_note_make(&edge, "bob", "scans", &b, NULL), 0);
	assert_int_not_equal(a, b);
	assert_int_equal(edge_note_make(&edge, "alice", "scans", &b, NULL), 0);
	assert_int_equal(a, b);
	edge_note_read(&edge, a, &note);
	assert_string_equal(note.by, "alice");
	assert_string_equal(note.why, "scans");
	edge_note_read(&edge, 0, &note);
	assert_string_equal(note.by, "");
	/* When there is no room, those that nobody names go; that of an entry or a rule does not. */
	assert_int_equal(edge_note_make(&edge, "bob", "scans", &rule.note, NULL), 0);
	assert_int_equal(bpf_map_update_elem(edge.rules, &key, &rule, BPF_ANY), 0);
	entry.note = a;
	add_entry(entry, NULL);
	for (uint32_t i = 1; i < NOTE_MAX; i++) {
		snprintf(note.why, sizeof(note.why), "%u", i);
		if (i != a && i != rule.note)
			assert_int_equal(bpf_map_update_elem(edge.notes, &i, &note, BPF_ANY), 0);
	}
	assert_int_equal(edge_note_make(&edge, "carol", "", &b, NULL), 0);
	assert_int_not_equal(a, b);
	assert_int_not_equal(rule.note, b);
	edge_note_read(&edge, a, &note);
	assert_string_equal(note.by, "alice");
}

static int apply_tiers(struct conf_tier *tiers, size_t n, struct error *err)
{
	struct conf_edge conf = {.tiers = tiers, .n_tiers = n};
	struct edge_batch b = begin();

	return end(&b, edge_tiers_follow_file(&b, &conf, err));
}

/* Which tier a prefix is in; 0: none. */
static unsigned int tier_of(const char *text)
{
	struct edge_entries entries;
	struct conf_cidr c = cidr(text);
	unsigned int tier = 0;

	assert_int_equal(edge_list_read(&edge, EDGE_TIERS, &entries, NULL), 0);
	for (size_t i = 0; i < entries.n; i++)
		if (conf_cidr_compare(&entries.items[i].cidr, &c) == 0)
			tier = entries.items[i].note;
	free(entries.items);
	return tier;
}

static void test_tiers(void **state)
{
	struct conf_cidr few[] = {cidr("192.0.2.0/24"), cidr("2001:db8::/32")};
	struct conf_cidr other[] = {cidr("198.51.100.0/24")};
	struct conf_cidr many[ROOM + 1];
	struct conf_tier tiers[] = {{.sources = {few, 2}}, {.sources = {other, 1}}};
	struct error err;

	(void)state;
	assert_int_equal(apply_tiers(tiers, 2, NULL), 0);
	assert_int_equal(tier_of("192.0.2.0/24"), 1);
	assert_int_equal(tier_of("2001:db8::/32"), 1);
	assert_int_equal(tier_of("198.51.100.0/24"), 2);
	/* The other way round, and one prefix less. */
	tiers[0].sources = (struct conf_cidrs){other, 1};
	tiers[1].sources = (struct conf_cidrs){few, 1};
	assert_int_equal(apply_tiers(tiers, 2, NULL), 0);
	assert_int_equal(tier_of("192.0.2.0/24"), 2);
	assert_int_equal(tier_of("2001:db8::/32"), 0);
	assert_int_equal(tier_of("198.51.100.0/24"), 1);
	/* Too many: all stays. */
	for (size_t i = 0; i < ROOM + 1; i++) {
		many[i] = cidr("192.0.2.0/32");
		many[i].addr[3] = (uint8_t)i;
	}
	tiers[0].sources = (struct conf_cidrs){many, ROOM + 1};
	assert_int_equal(apply_tiers(tiers, 1, &err), -ENOSPC);
	assert_int_equal(tier_of("192.0.2.0/24"), 2);
	assert_int_equal(tier_of("198.51.100.0/24"), 1);
	assert_int_equal(apply_tiers(tiers, 0, NULL), 0);
	assert_int_equal(tier_of("192.0.2.0/24"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_add_and_del),
		TEST(test_full),
		TEST(test_file_replaces_its_own),
		TEST(test_file_without_room_changes_nothing),
		TEST(test_batch_is_all_or_nothing),
		TEST(test_killed_batch),
		TEST(test_end),
		TEST(test_bits_behind_a_prefix),
		TEST(test_endless_stays),
		TEST(test_file_holds_the_place),
		TEST(test_notes),
		TEST(test_tiers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
