/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Valid frames of every kind, then spoiled at random, through a guard with everything switched on. Whatever comes: never
 * XDP_ABORTED, one counter more by one packet and its bytes, the frame as it came unless it is answered, an answer that is a
 * sound SYN-ACK, the reason that the parser compiled for this machine gives, too, and events that tell the same. A round is
 * the same for the same seed; SLUICE_MUTATE_SECONDS=60 goes on with further seeds, from SLUICE_MUTATE_SEED on.
 */
#include "tests/bpf/feeds.h"
#include "tests/bpf/gate.h"
#include "tests/bpf/native.h"
#include "tests/bpf/spoil.h"

#define ROUND	  150000 /* packets of a seed */
#define MAX_BYTES 8192
#define LINEAR	  3000 /* a frame up to here is in one piece */

/* Reasons that no packet of this test can have, each with why; every other one must come up. */
static const enum reason unreached[] = {REASON_COUNT /* none */};

static uint64_t seed, number; /* of this round, of the packet in it */
static uint8_t in[MAX_BYTES], out[MAX_BYTES];
static size_t in_len, out_len;
static bool shadow;   /* the policy's mode: all is counted, and passes */
static bool answered; /* the packet before, by what is in out */
static uint64_t seen[REASON_COUNT];

static struct ring_buffer *ring;
static struct event event; /* the last one, and how many there were since it was read */
static size_t n_events, events_seen;

static const char *const names[] = {
#define GUARD_REASON(id, name, verdict, help) #name,
	GUARD_REASONS(GUARD_REASON)
#undef GUARD_REASON
};

static void demand_at(bool holds, const char *what, int line)
{
	if (holds)
		return;
	fprintf(stderr, "line %d: not so: %s\nseed %llu, packet %llu, %zu bytes:", line, what,
		(unsigned long long)seed, (unsigned long long)number, in_len);
	for (size_t i = 0; i < in_len && i < 256; i++)
		fprintf(stderr, "%s%02x", i % 32 ? "" : "\n  ", in[i]);
	fprintf(stderr, "\nanswer, %zu bytes:", out_len);
	for (size_t i = 0; i < out_len && i < 128; i++)
		fprintf(stderr, "%s%02x", i % 32 ? "" : "\n  ", out[i]);
	fputc('\n', stderr);
	fail();
}

#define demand(condition) demand_at(condition, #condition, __LINE__)

/* ---- what the guard is told ---- */

static int listen_at(int family, uint16_t port)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one = 1;

	assert_true(fd >= 0);
	if (family == AF_INET6)
		assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)), 0);
	assert_int_equal(bind(fd, family == AF_INET ? (void *)&in4 : (void *)&in6,
			      family == AF_INET ? sizeof(in4) : sizeof(in6)),
			 0);
	assert_int_equal(listen(fd, 16), 0);
	return fd;
}

static const struct lengths usual_lengths = {
	.ban4 = {2, {32, 21}},
	.ban6 = {3, {128, 64, 20}},
	.rule4 = {2, {32, 9}},
	.rule6 = {1, {65}},
};

/* Everything that the guard can be told: a new part belongs here, so that its reasons come up. */
static void switch_on(void)
{
	struct edge_feeds feeds = {0};
	struct edge edge;

	assert_int_equal(edge_open_object("guard0", guard->obj, &edge, NULL), 0);
	feeds_name(&feeds, "feed");
	feeds_add(&feeds, "198.51.99.0", 24, 0);
	feeds_add(&feeds, "2001:db8:f::", 48, 0);
	feeds_put(&edge, &feeds);
	edge_close(&edge);
	port_protect(80);
	port_protect(443);
	list_add(guard->maps.allow4, "10.1.0.0", 16);
	list_add(guard->maps.allow6, "2001:db8:a::", 48);
	list_add(guard->maps.deny4, "203.0.113.0", 24);
	list_add(guard->maps.deny4, "10.1.9.9", 32); /* allowed all the same */
	list_add(guard->maps.deny6, "2001:db8:bad::", 48);
	ban_add("198.51.96.0", 21, (struct ban_value){0});
	ban_add("2001:db8:ba0::", 64, (struct ban_value){0});
	rule_add(CLIENT4, 32, IPPROTO_TCP, 443, (struct rule_value){.action = RULE_ONLY});
	rule_add(NULL, 0, IPPROTO_TCP, 443, (struct rule_value){0});
	lengths_set(usual_lengths);
}

/* ---- what changes under the packets ---- */

#define SPOILED 4

static struct entry {
	struct bpf_map *map;
	struct prefix6 key;
} spoiled_entries[SPOILED];

/* Entries in whatever state, also such as only bpftool would write, where the packets' sources meet them. */
static void change_lists(void)
{
	for (size_t i = 0; i < SPOILED; i++) {
		struct entry *e = &spoiled_entries[i];
		struct bpf_map *maps[] = {guard->maps.allow4, guard->maps.allow6,
					  guard->maps.deny4,  guard->maps.deny6,
					  guard->maps.tiers4, guard->maps.tiers6};
		size_t list = below(6);
		bool is6 = list & 1;
		struct list_value value;

		if (e->map)
			bpf_map_delete_elem(bpf_map__fd(e->map), &e->key);
		e->map = maps[list];
		e->key.prefixlen = is6 ? 16 + below(113) : 8 + below(25);
		inet_pton(is6 ? AF_INET6 : AF_INET, some_source(is6 ? 6 : 4), e->key.addr);
		random_bytes(&value, sizeof(value));
		bpf_map_update_elem(bpf_map__fd(e->map), &e->key, &value, 0);
	}
}

/* The same of bans and rules, by whatever lengths. */
static void change_bans(void)
{
	static struct ban_key ban;
	static struct rule_key rule;
	struct lengths in_use = usual_lengths;
	struct rule_value says;
	struct ban_value value;

	bpf_map_delete_elem(bpf_map__fd(guard->maps.bans), &ban);
	bpf_map_delete_elem(bpf_map__fd(guard->maps.rules), &rule);
	random_bytes(&value, sizeof(value));
	random_bytes(&says, sizeof(says));
	ban = (struct ban_key){.family = 4, .prefixlen = 32};
	inet_pton(AF_INET, some_source(4), ban.addr);
	rule = (struct rule_key){
		.family = 4, .prefixlen = 32, .protocol = IPPROTO_UDP, .port = 443};
	inet_pton(AF_INET, some_source(4), rule.addr);
	bpf_map_update_elem(bpf_map__fd(guard->maps.bans), &ban, &value, 0);
	bpf_map_update_elem(bpf_map__fd(guard->maps.rules), &rule, &says, 0);
	if (one_in(4))
		random_bytes(&in_use, sizeof(in_use));
	lengths_set(in_use);
}

static struct limit some_limit(uint32_t unlikely)
{
	return (struct limit){
		.interval = one_in(unlikely) ? 1 + below(one_in(2) ? 50000000 : 4000000000) : 0,
		.burst = 1 + below(one_in(2) ? 1 : 16),
	};
}

static struct policy some_policy(void)
{
	struct policy p = {
		.syn_mode = one_in(4) ? SYN_AUTO : SYN_ALWAYS,
		.syn_threshold = 1 + below(100),
		.cookies = some_limit(2),
		.metered = below(1 << LIMIT_CLASSES),
		.port_metered = below(1 << LIMIT_CLASSES),
		.tiers = below(3),
		.ban_mode = one_in(8) ? BAN_SHADOW : BAN_ENFORCE,
	};

	for (uint32_t i = 0; i < LIMIT_CLASSES; i++) {
		p.port[i] = some_limit(8);
		for (uint32_t t = 0; t < TIERS; t++)
			p.tier[t].limit[i] = some_limit(i == LIMIT_CONNECTIONS ? 1 : 4);
	}
	if (one_in(8))
		random_bytes(&p, sizeof(p));
	p.mode = one_in(6) ? GUARD_SHADOW : GUARD_ENFORCE;
	return p;
}

/* Nobody watches, or somebody with any wishes. */
static void change_watch(void)
{
	struct watch w = {
		.until = one_in(3) ? 0 : ~0ULL,
		.reasons = (uint64_t)below(1U << 31) << 31 | below(1U << 31),
		.interval = 1 + below(1000000),
		.burst = 1 + below(100),
	};
	uint32_t zero = 0;

	assert_int_equal(bpf_map_update_elem(bpf_map__fd(guard->maps.watch), &zero, &w, 0), 0);
}

static void change_policy(void)
{
	int state = bpf_map__fd(guard->maps.state), policies = bpf_map__fd(guard->maps.policy);
	struct state s = {.generation = below(1 << 30), .batch = (enum batch)below(3)};
	uint32_t zero = 0;

	for (uint32_t half = 0; half < 2; half++) {
		struct policy p = some_policy();

		assert_int_equal(bpf_map_update_elem(policies, &half, &p, 0), 0);
		if ((s.generation & 1) == half)
			shadow = p.mode == GUARD_SHADOW;
	}
	assert_int_equal(bpf_map_update_elem(state, &zero, &s, 0), 0);
	change_lists();
	change_bans();
	change_watch();
}

/* ---- what must hold ---- */

static int take_event(void *arg, void *data, size_t size)
{
	(void)arg;
	if (size >= sizeof(event))
		memcpy(&event, data, sizeof(event));
	n_events++;
	return 0;
}

static int run(uint32_t interface)
{
	struct xdp_md ctx = {.data_end = (uint32_t)in_len, .ingress_ifindex = interface};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in, .data_size_in = (uint32_t)in_len,
		    .data_out = out, .data_size_out = sizeof(out), .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .repeat = 1);

	/* A frame in several pieces has a size of its first one only, which the kernel finds itself. */
	if (in_len > LINEAR) {
		opts.ctx_in = NULL;
		opts.ctx_size_in = 0;
	}
	demand(bpf_prog_test_run_opts(program, &opts) == 0);
	out_len = opts.data_size_out;
	return (int)opts.retval;
}

static bool options_sound(const uint8_t *at, size_t len)
{
	while (len && *at) {
		size_t n = *at == 1 ? 1 : len > 1 ? at[1] : 0;

		if (n == 0 || n > len || (n == 1 && *at != 1))
			return false;
		at += n;
		len -= n;
	}
	return true;
}

static void check_answer(void)
{
	struct native asked = native_parse(in, in_len), n = native_parse(out, out_len);
	size_t at = n.family == 4 ? 12 : 8, size = n.family == 4 ? 4 : 16;
	const uint8_t *syn = in + asked.l4, *tcp = out + n.l4;

	demand(n.ports == REASON_PASSED && n.protocol == IPPROTO_TCP);
	demand(asked.tcp_flags == F_SYN && asked.protocol == IPPROTO_TCP);
	demand(n.ip == asked.ip && n.family == asked.family);
	demand(n.l4 == n.ip + (n.family == 4 ? 20 : 40) && n.l4 + n.l4_len == out_len);
	demand(memcmp(out, in + 6, 6) == 0 && memcmp(out + 6, in, 6) == 0);
	demand(memcmp(out + 12, in + 12, n.ip - 12) == 0);
	demand(memcmp(out + n.ip + at, in + n.ip + at + size, size) == 0);
	demand(memcmp(out + n.ip + at + size, in + n.ip + at, size) == 0);
	demand(memcmp(tcp, syn + 2, 2) == 0 && memcmp(tcp + 2, syn, 2) == 0);
	demand((tcp[13] & 0x3f) == (F_SYN | F_ACK));
	demand(be32(tcp + 8) == be32(syn + 4) + 1);
	demand((tcp[12] >> 4) * 4U == n.l4_len && options_sound(tcp + 20, n.l4_len - 20));
	demand(frame_check(out, out_len, n.ip) == 0);
}

/* What was offered to who watches: the frame that the guard leaves, and the reason. */
static void check_event(int reason)
{
	n_events = 0;
	demand(ring_buffer__consume(ring) >= 0);
	demand(n_events <= 1);
	if (n_events == 0)
		return;
	events_seen++;
	demand(event.head.reason == reason);
	demand(event.bytes == out_len);
	demand(event.captured == (out_len < EVENT_FRAME ? out_len : EVENT_FRAME));
	demand(memcmp(event.frame, out, event.captured) == 0);
}

static int look(uint32_t interface)
{
	struct counter before[REASON_COUNT], after[REASON_COUNT];
	struct native n = native_parse(in, in_len);
	int reason = REASON_COUNT;
	int verdict;

	counters_read(before);
	verdict = run(interface);
	counters_read(after);
	demand(verdict != XDP_ABORTED);
	for (int i = 0; i < REASON_COUNT; i++) {
		if (after[i].packets == before[i].packets && after[i].bytes == before[i].bytes)
			continue;
		demand(reason == REASON_COUNT);
		demand(after[i].packets == before[i].packets + 1);
		demand(after[i].bytes == before[i].bytes + in_len);
		reason = i;
	}
	demand(reason < REASON_COUNT);
	demand(verdict == (shadow ? (int)XDP_PASS : verdicts[reason]) ||
	       (reason == REASON_BANNED && verdict == XDP_PASS)); /* bans in shadow mode */
	seen[reason]++;
	check_event(reason);
	if (in_len <= LINEAR && n.addresses != REASON_PASSED)
		demand(reason == (int)n.addresses);
	if (in_len <= LINEAR && n.addresses == REASON_PASSED)
		demand(reason != REASON_NOT_IP && reason != REASON_IP6_HEADERS);
	if (verdict == XDP_TX)
		check_answer();
	else
		demand(out_len == in_len && memcmp(out, in, in_len) == 0);
	return verdict;
}

/* The next frame: of an honest sender, or spoiled, an answer's ACK, or the last one once more. */
static void next_frame(void)
{
	struct frame f;
	bool is_ack = answered && !one_in(4) && ack_of(out, out_len, &f);
	bool spoiled = is_ack ? one_in(3) : !one_in(4);

	if (!is_ack && in_len && one_in(8))
		return;
	if (!is_ack)
		some_frame(&f);
	for (uint32_t n = spoiled ? 1 + below(one_in(4) ? 8 : 2) : 0; n; n--)
		spoil_once(&f);
	if (spoiled && one_in(2))
		mend(&f);
	memcpy(in, f.bytes, f.len);
	in_len = f.len;
	if (one_in(64)) {
		size_t more = LINEAR + below(MAX_BYTES - LINEAR - 2048);

		memset(in + in_len, 'x', more);
		in_len += more;
	}
}

static void one_round(void)
{
	random_seed(seed);
	answered = false;
	in_len = 0;
	for (number = 0; number < ROUND; number++) {
		if (number % 256 == 0)
			change_policy();
		next_frame();
		guard->bss->test_now += below(20000000);
		answered = look(one_in(3) ? elsewhere : LOOPBACK) == XDP_TX;
	}
}

static void every_reason_came_up(void)
{
	for (int i = 0; i < REASON_COUNT; i++) {
		bool may_miss = false;

		for (size_t u = 0; u < sizeof(unreached) / sizeof(unreached[0]); u++)
			may_miss |= (int)unreached[u] == i;
		if (seen[i] || may_miss)
			continue;
		fprintf(stderr,
			"no packet was '%s': switch_on() and some_frame() should bring it up\n",
			names[i]);
		fail();
	}
}

static void mutations(void **state)
{
	const char *seconds = getenv("SLUICE_MUTATE_SECONDS");
	const char *first = getenv("SLUICE_MUTATE_SEED");
	time_t end = time(NULL) + (seconds ? atoi(seconds) : 0);
	int fds[] = {listen_at(AF_INET, 80), listen_at(AF_INET6, 80)};
	uint64_t packets = 0;

	(void)state;
	write_sysctl("/proc/sys/net/ipv4/tcp_syncookies", "2");
	switch_on();
	ring = ring_buffer__new(bpf_map__fd(guard->maps.events), take_event, NULL, NULL);
	assert_non_null(ring);
	seed = first ? strtoull(first, NULL, 0) : 1;
	do {
		one_round();
		packets += number;
		seed++;
	} while (time(NULL) < end);
	printf("%llu packets, %zu events\n", (unsigned long long)packets, events_seen);
	every_reason_came_up();
	assert_true(events_seen > 0);
	ring_buffer__free(ring);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		GUARD_TEST(mutations),
	};

	return cmocka_run_group_tests(tests, setup_all, NULL);
}
