/* SPDX-License-Identifier: Apache-2.0 */
/* Rules on real maps: what only says to others, whose rule is whose, where the guard is told to look. */
#include "tests/unit/edge/maps.h"

#include "edge/rules.h"
#include "edge/sweep.h"

static struct conf_port port(const char *text)
{
	struct conf_port p;

	assert_null(conf_port_parse(slice_str(text), &p));
	return p;
}

static struct edge_batch begin(void)
{
	struct edge_batch b;

	assert_int_equal(edge_batch_begin(&b, &edge, NULL), 0);
	return b;
}

static int end(struct edge_batch *b, int rc, struct error *err)
{
	if (rc == 0)
		rc = edge_rules_prepare(b, err);
	if (rc < 0)
		edge_batch_abort(b);
	else
		edge_batch_commit(b, false);
	return rc;
}

static int add(enum rule_action action, const char *prefix, const char *to, struct error *err)
{
	struct edge_rule rule = {
		.cidr = cidr(prefix), .to = port(to), .action = action, .origin = ORIGIN_OPERATOR};
	struct edge_batch b = begin();

	return end(&b, edge_rule_add(&b, &rule, err), err);
}

static int del(const char *prefix, const char *to, struct error *err)
{
	struct edge_rule rule = {.cidr = cidr(prefix), .to = port(to)};
	struct edge_batch b = begin();

	return end(&b, edge_rule_del(&b, &rule, err), err);
}

/* "deny 203.0.113.7 to tcp/22*, ..."; the operator's with a star. */
static void expect(const char *want)
{
	static const char *const verbs[] = {"deny", "allow", "only"};
	struct edge_rules rules;
	char got[512] = "";
	size_t at = 0;

	assert_int_equal(edge_rules_read(&edge, &rules, NULL), 0);
	for (size_t i = 0; i < rules.n; i++) {
		char text[EDGE_RULE_TEXT];

		edge_rule_format(&rules.items[i], text);
		at += (size_t)snprintf(got + at, sizeof(got) - at, "%s%s %s%s", i ? ", " : "",
				       verbs[rules.items[i].action], text,
				       rules.items[i].origin == ORIGIN_OPERATOR ? "*" : "");
	}
	free(rules.items);
	assert_string_equal(got, want);
}

static int flags(uint32_t number)
{
	struct port_value value;

	assert_int_equal(bpf_map_lookup_elem(edge.ports, &number, &value), 0);
	return value.rules;
}

/* What only says to all others; -1: nothing. */
static int others(const char *to)
{
	struct conf_port p = port(to);
	struct rule_key key = {.protocol = p.protocol, .port = p.number};
	struct rule_value value;

	return bpf_map_lookup_elem(edge.rules, &key, &value) < 0 ? -1 : (int)value.action;
}

static void test_add_and_del(void **state)
{
	struct error err;

	(void)state;
	assert_int_equal(add(RULE_DENY, "203.0.113.7", "tcp/22", NULL), 0);
	assert_int_equal(add(RULE_ALLOW, "203.0.113.0/24", "tcp/22", NULL), 0);
	assert_int_equal(add(RULE_DENY, "2001:db8::/32", "udp/53", NULL), 0);
	expect("allow 203.0.113.0/24 to tcp/22*, deny 203.0.113.7 to tcp/22*, "
	       "deny 2001:db8::/32 to udp/53*");
	assert_int_equal(flags(22), RULES_TCP);
	assert_int_equal(flags(53), RULES_UDP);
	assert_int_equal(flags(80), 0);
	assert_int_equal(edge.in_use->rule4.n, 2);
	assert_int_equal(edge.in_use->rule4.length[0], 32);
	assert_int_equal(edge.in_use->rule4.length[1], 24);
	assert_int_equal(edge.in_use->rule6.length[0], 32);
	/* The same prefix and port: another action takes the place. */
	assert_int_equal(add(RULE_DENY, "203.0.113.0/24", "tcp/22", NULL), 0);
	expect("deny 203.0.113.0/24 to tcp/22*, deny 203.0.113.7 to tcp/22*, "
	       "deny 2001:db8::/32 to udp/53*");
	assert_int_equal(del("203.0.113.7", "tcp/23", &err), -ENOENT);
	assert_string_equal(err.text, "there is no rule for 203.0.113.7 to tcp/23 on test0");
	assert_int_equal(del("203.0.113.7", "tcp/22", NULL), 0);
	assert_int_equal(del("203.0.113.0/24", "tcp/22", NULL), 0);
	assert_int_equal(flags(22), 0);
	assert_int_equal(edge.in_use->rule4.n, 0);
	assert_int_equal(del("2001:db8::/32", "udp/53", NULL), 0);
	assert_int_equal(flags(53), 0);
	assert_int_equal(edge.in_use->rule6.n, 0);
}

static void test_only(void **state)
{
	struct conf_port p = port("tcp/9901");
	struct rule_key by_hand = {.protocol = p.protocol, .port = p.number};
	struct rule_value zeros = {0};

	(void)state;
	assert_int_equal(add(RULE_ONLY, "10.0.0.0/8", "tcp/9901", NULL), 0);
	assert_int_equal(others("tcp/9901"), RULE_ONLY);
	assert_int_equal(others("udp/9901"), -1);
	expect("only 10.0.0.0/8 to tcp/9901*");
	assert_int_equal(add(RULE_ONLY, "192.0.2.1", "tcp/9901", NULL), 0);
	assert_int_equal(del("10.0.0.0/8", "tcp/9901", NULL), 0);
	assert_int_equal(others("tcp/9901"), RULE_ONLY);
	/* The last only goes, and with it what it said to others: in one step, so that nobody is shut out. */
	assert_int_equal(add(RULE_DENY, "192.0.2.1", "tcp/9901", NULL), 0);
	assert_int_equal(others("tcp/9901"), -1);
	/* What was made by hand stays. */
	assert_int_equal(bpf_map_update_elem(edge.rules, &by_hand, &zeros, BPF_ANY), 0);
	assert_int_equal(add(RULE_ONLY, "10.0.0.0/8", "tcp/9901", NULL), 0);
	assert_int_equal(del("10.0.0.0/8", "tcp/9901", NULL), 0);
	assert_int_equal(others("tcp/9901"), RULE_DENY);
	expect("deny others to tcp/9901*, deny 192.0.2.1 to tcp/9901*");
}

static void test_full(void **state)
{
	struct error err;

	(void)state;
	for (int i = 0; i < ROOM; i++) {
		char to[16];

		snprintf(to, sizeof(to), "tcp/%d", i + 1);
		assert_int_equal(add(RULE_DENY, "192.0.2.1", to, NULL), 0);
	}
	assert_int_equal(add(RULE_DENY, "192.0.2.1", "tcp/80", &err), -ENOSPC);
	assert_string_equal(err.text, "192.0.2.1 to tcp/80: there is no room for more rules");
	assert_int_equal(flags(80), 0);
	assert_int_equal(flags(1), RULES_TCP);
	/* No room for what only says to others: then there is no only either. */
	assert_int_equal(del("192.0.2.1", "tcp/1", NULL), 0);
	assert_int_equal(add(RULE_ONLY, "192.0.2.1", "tcp/80", &err), -ENOSPC);
	assert_string_equal(err.text, "others to tcp/80: there is no room for more rules");
	expect("deny 192.0.2.1 to tcp/2*, deny 192.0.2.1 to tcp/3*, deny 192.0.2.1 to tcp/4*");
}

static int add_until(enum rule_action action, const char *prefix, const char *to, uint32_t until)
{
	struct edge_rule rule = {
		.cidr = cidr(prefix), .to = port(to), .action = action, .until = until, .note = 7};
	struct edge_batch b = begin();
	int rc = edge_rule_add(&b, &rule, NULL);

	end(&b, rc < 0 ? rc : 0, NULL);
	return rc;
}

/* When what only says to all others ends; -1: nothing is said. */
static int64_t others_end(const char *to)
{
	struct conf_port p = port(to);
	struct rule_key key = {.protocol = p.protocol, .port = p.number};
	struct rule_value value;

	return bpf_map_lookup_elem(edge.rules, &key, &value) < 0 ? -1 : (int64_t)value.until;
}

static void test_end(void **state)
{
	uint32_t now = clock_seconds();
	struct edge_rules rules;

	(void)state;
	assert_int_equal(add_until(RULE_ONLY, "10.0.0.0/8", "tcp/22", now + 100), 0);
	assert_int_equal(others_end("tcp/22"), now + 100);
	assert_int_equal(edge_rules_read(&edge, &rules, NULL), 0);
	assert_int_equal(rules.n, 1);
	assert_int_equal(rules.items[0].until, now + 100);
	assert_int_equal(rules.items[0].note, 7);
	edge_rules_fini(&rules);
	/* Others are told for as long as one of the rules holds. */
	assert_int_equal(add(RULE_ONLY, "192.0.2.1", "tcp/22", NULL), 0);
	assert_int_equal(others_end("tcp/22"), 0);
	/* Which has no end does not get one by a rule that has. */
	assert_int_equal(add_until(RULE_ONLY, "192.0.2.1", "tcp/22", now + 200), 1);
	assert_int_equal(add_until(RULE_DENY, "192.0.2.1", "tcp/22", now + 200), -EEXIST);
	assert_int_equal(others_end("tcp/22"), 0);
	assert_int_equal(del("192.0.2.1", "tcp/22", NULL), 0);
	assert_int_equal(add_until(RULE_ONLY, "192.0.2.1", "tcp/22", now + 200), 0);
	assert_int_equal(others_end("tcp/22"), now + 200);
	assert_int_equal(add_until(RULE_DENY, "192.0.2.1", "tcp/22", now + 300), 0);
	assert_int_equal(others_end("tcp/22"), now + 100);
	/* What has ended goes, with all that was made for it. */
	assert_int_equal(add_until(RULE_ONLY, "10.0.0.0/8", "tcp/22", now), 0);
	expect("deny 192.0.2.1 to tcp/22*");
	assert_int_equal(edge_sweep(&edge, NULL), 2);
	assert_int_equal(others_end("tcp/22"), -1);
	assert_int_equal(edge.in_use->rule4.n, 1);
	assert_int_equal(edge.shared->expires, now + 300);
	assert_int_equal(edge_sweep(&edge, NULL), 0);
}

static int follow(struct conf_rule *rules, size_t n)
{
	struct conf_edge conf = {.rules = rules, .n_rules = n};
	struct edge_batch b = begin();

	return end(&b, edge_rules_follow_file(&b, &conf, NULL), NULL);
}

static void expect_end(const char *prefix, uint32_t until, uint16_t note)
{
	struct conf_cidr c = cidr(prefix);
	struct edge_rules rules;
	bool found = false;

	assert_int_equal(edge_rules_read(&edge, &rules, NULL), 0);
	for (size_t i = 0; i < rules.n; i++) {
		if (conf_cidr_compare(&rules.items[i].cidr, &c) != 0)
			continue;
		found = true;
		assert_int_equal(rules.items[i].until, until);
		assert_int_equal(rules.items[i].note, note);
	}
	edge_rules_fini(&rules);
	assert_true(found);
}

static void test_file(void **state)
{
	struct conf_cidr one = cidr("192.0.2.1"), two = cidr("192.0.2.2");
	struct conf_port ssh = port("tcp/22");
	struct conf_rule deny = {.deny = {&one, 1}, .to = &ssh, .n_to = 1};
	struct conf_rule allow = {.allow = {&one, 1}, .to = &ssh, .n_to = 1};
	uint32_t until = clock_seconds() + 100;
	struct conf_rule only = {.only = {&two, 1}, .to = &ssh, .n_to = 1};

	(void)state;
	assert_int_equal(add(RULE_ALLOW, "192.0.2.9", "tcp/22", NULL), 0);
	assert_int_equal(follow(&deny, 1), 0);
	expect("deny 192.0.2.1 to tcp/22, allow 192.0.2.9 to tcp/22*");
	assert_int_equal(follow(&only, 1), 0);
	expect("only 192.0.2.2 to tcp/22, allow 192.0.2.9 to tcp/22*");
	assert_int_equal(others("tcp/22"), RULE_ONLY);
	assert_int_equal(follow(&only, 1), 0);
	assert_int_equal(others("tcp/22"), RULE_ONLY);
	/* The operator's stays the operator's, also where the file says something else. */
	assert_int_equal(add(RULE_DENY, "192.0.2.2", "tcp/22", NULL), 0);
	assert_int_equal(follow(&only, 1), 0);
	expect("deny 192.0.2.2 to tcp/22*, allow 192.0.2.9 to tcp/22*");
	/* One that would end is the file's for as long as the file says so. */
	assert_int_equal(del("192.0.2.9", "tcp/22", NULL), 0);
	assert_int_equal(add_until(RULE_DENY, "192.0.2.9", "tcp/22", until), 0);
	one = cidr("192.0.2.9");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(follow(&deny, 1), 0);
		expect("deny 192.0.2.2 to tcp/22*, deny 192.0.2.9 to tcp/22");
		expect_end("192.0.2.9", 0, 7);
	}
	assert_int_equal(follow(NULL, 0), 0);
	expect("deny 192.0.2.2 to tcp/22*, deny 192.0.2.9 to tcp/22*");
	expect_end("192.0.2.9", until, 7);
	/* Nor does the file let in before the time who is denied; it takes back what the operator allows. */
	assert_int_equal(follow(&deny, 1), 0);
	assert_int_equal(follow(&allow, 1), 0);
	expect("deny 192.0.2.2 to tcp/22*, deny 192.0.2.9 to tcp/22*");
	expect_end("192.0.2.9", until, 7);
	assert_int_equal(follow(&allow, 1), 0);
	expect("deny 192.0.2.2 to tcp/22*, deny 192.0.2.9 to tcp/22*");
	assert_int_equal(add_until(RULE_ALLOW, "192.0.2.9", "tcp/22", until), 0);
	assert_int_equal(follow(&deny, 1), 0);
	expect("deny 192.0.2.2 to tcp/22*, deny 192.0.2.9 to tcp/22");
	assert_int_equal(add(RULE_ALLOW, "192.0.2.9", "tcp/22", NULL), 0);
	assert_int_equal(follow(NULL, 0), 0);
	expect("deny 192.0.2.2 to tcp/22*, allow 192.0.2.9 to tcp/22*");
	assert_int_equal(others("tcp/22"), -1);
}

/* "deny 10.0.0.0/8 to tcp/22"; "": no rule is found. */
static void expect_found(const char *address, const char *to, const char *want)
{
	static const char *const verbs[] = {"deny", "allow", "only"};
	char text[EDGE_RULE_TEXT], got[EDGE_RULE_TEXT + 8] = "";
	struct conf_cidr source = cidr(address);
	struct edge_rule rule;

	if (edge_rule_find(&edge, &source, port(to), &rule)) {
		edge_rule_format(&rule, text);
		snprintf(got, sizeof(got), "%s %s", verbs[rule.action], text);
	}
	assert_string_equal(got, want);
}

static void test_find(void **state)
{
	struct rule_key by_hand = {.protocol = IPPROTO_TCP, .port = 22};
	struct rule_value allow = {.action = RULE_ALLOW};
	struct edge_rule new = {.cidr = cidr("192.0.2.1"), .to = port("udp/53")};
	struct edge_batch b;

	(void)state;
	expect_found("10.1.2.3", "tcp/22", "");
	assert_int_equal(add(RULE_DENY, "10.0.0.0/8", "tcp/22", NULL), 0);
	assert_int_equal(add(RULE_ALLOW, "10.1.0.0/16", "tcp/22", NULL), 0);
	expect_found("10.1.2.3", "tcp/22", "allow 10.1.0.0/16 to tcp/22");
	expect_found("10.2.2.3", "tcp/22", "deny 10.0.0.0/8 to tcp/22");
	expect_found("11.1.2.3", "tcp/22", "");
	expect_found("10.1.2.3", "tcp/23", "");
	expect_found("10.1.2.3", "udp/22", "");
	expect_found("2001:db8::1", "tcp/22", "");
	/* What counts for all others. */
	assert_int_equal(add(RULE_ONLY, "2001:db8::/32", "tcp/22", NULL), 0);
	expect_found("2001:db8::1", "tcp/22", "only 2001:db8::/32 to tcp/22");
	expect_found("2001:db9::1", "tcp/22", "only others to tcp/22");
	expect_found("11.1.2.3", "tcp/22", "only others to tcp/22");
	assert_int_equal(del("2001:db8::/32", "tcp/22", NULL), 0);
	assert_int_equal(bpf_map_update_elem(edge.rules, &by_hand, &allow, BPF_ANY), 0);
	expect_found("11.1.2.3", "tcp/22", "allow others to tcp/22");
	/* What is staged does not count. */
	b = begin();
	assert_int_equal(edge_rule_add(&b, &new, NULL), 0);
	expect_found("192.0.2.1", "udp/53", "");
	edge_batch_abort(&b);
}

/* What bpftool wrote wrongly does no harm, and goes with the others. */
static void test_damaged(void **state)
{
	static const struct rule_key wrong[] = {
		{.family = 4,
		 .prefixlen = 24,
		 .protocol = IPPROTO_TCP,
		 .port = 22,
		 .unused2 = {1, 0},
		 .addr = {192, 0, 2, 1}},
		{.family = 4, .prefixlen = 200, .protocol = 77, .port = 22},
	};
	struct edge_rules rules;
	struct rule_value zeros = {0};
	struct edge_batch b;

	(void)state;
	edge.in_use->rule4 = (struct prefix_lengths){1, {200}};
	edge.in_use->rule6 = (struct prefix_lengths){255, {200, 129, 1, 2, 3, 4, 5}};
	expect_found("10.1.2.3", "tcp/22", "");
	expect_found("2001:db8::1", "tcp/22", "");
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(bpf_map_update_elem(edge.rules, &wrong[i], &zeros, BPF_ANY), 0);
	assert_int_equal(edge_rules_read(&edge, &rules, NULL), 0);
	assert_int_equal(rules.n, 2);
	for (size_t i = 0; i < 2; i++)
		assert_true(rules.items[i].cidr.prefixlen <= 32);
	edge_rules_fini(&rules);
	assert_int_equal(add(RULE_ONLY, "192.0.2.1", "tcp/80", NULL), 0);
	b = begin();
	assert_int_equal(end(&b, edge_rules_del_all(&b, NULL), NULL), 0);
	expect("");
	assert_int_equal(others("tcp/80"), -1);
	assert_int_equal(edge.in_use->rule4.n, 0);
}

/* With room for more than the lengths that can be looked for. */
static void test_lengths(void **state)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
	struct error err;
	char text[32];

	(void)state;
	close(edge.rules);
	edge.rules = bpf_map_create(BPF_MAP_TYPE_HASH, "rules", sizeof(struct rule_key),
				    sizeof(struct rule_value), 64, &opts);
	assert_true(edge.rules >= 0);
	for (int i = 0; i < LENGTHS_MAX; i++) {
		snprintf(text, sizeof(text), "10.0.0.0/%d", 8 + i);
		assert_int_equal(add(RULE_DENY, text, "tcp/22", NULL), 0);
	}
	assert_int_equal(add(RULE_DENY, "10.0.0.0", "tcp/80", &err), -ENOSPC);
	assert_string_equal(err.text,
			    "test0: the rules, with those that they replace, have prefixes of more "
			    "than 7 lengths of a family, and no more are looked for");
	assert_int_equal(edge.in_use->rule4.n, LENGTHS_MAX);
	assert_int_equal(edge.in_use->rule4.length[0], 14);
	assert_int_equal(flags(80), 0);
	assert_int_equal(add(RULE_DENY, "2001:db8::", "tcp/80", NULL), 0);
	assert_int_equal(flags(80), RULES_TCP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_add_and_del), TEST(test_only),    TEST(test_full), TEST(test_end),
		TEST(test_file),	TEST(test_lengths), TEST(test_find), TEST(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
