/* SPDX-License-Identifier: Apache-2.0 */
/* A whole configuration: what it becomes, what its defaults are, and what names must tie up. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "conf/load.h"

#define MINIMAL                                                                                    \
	"version: 1\n"                                                                             \
	"listeners: [{name: public, address: 127.0.0.1:8080}]\n"                                   \
	"services: {api: {endpoints: [http://127.0.0.1:9000]}}\n"

static struct conf_diag diag;
static struct config *cfg;

static int teardown(void **state)
{
	(void)state;
	config_free(cfg);
	cfg = NULL;
	conf_diag_fini(&diag);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	conf_diag_init(&diag);
	return 0;
}

static int load(const char *text)
{
	teardown(NULL);
	setup(NULL);
	return config_load_text("dir/f", slice_str(text), &diag, &cfg);
}

static void good(const char *text)
{
	if (load(text) < 0)
		fail_msg("%.*s", SLICE_FMT(buf_slice(&diag.text)));
}

static void bad(const char *text, const char *why)
{
	struct slice said;

	assert_int_equal(load(text), -EINVAL);
	said = buf_slice(&diag.text);
	if (!slice_eq(said, slice_str(why)))
		fail_msg("%s says\n%.*s, not\n%s", text, SLICE_FMT(said), why);
}

static void test_minimal(void **state)
{
	const struct conf_listener *l;
	const struct conf_service *s;
	const struct conf_route *r;

	(void)state;
	good(MINIMAL "routes: [{name: all, match: {path: /*}, to: api}]\n");
	assert_int_equal(cfg->workers, 0);
	assert_true(cfg->drain == 30 * NSEC_PER_SEC);
	assert_int_equal(cfg->n_listeners, 1);
	l = &cfg->listeners[0];
	assert_true(slice_eq(l->name, SLICE("public")));
	assert_true(l->timeouts.headers == 10 * NSEC_PER_SEC);
	assert_true(l->timeouts.idle == 60 * NSEC_PER_SEC);
	assert_int_equal(l->limits.connections, 65536);
	assert_int_equal(l->limits.headers, 16384);
	assert_int_equal(l->limits.requests, 0);
	assert_int_equal(cfg->n_services, 1);
	s = &cfg->services[0];
	assert_true(slice_eq(s->endpoints[0].authority, SLICE("127.0.0.1:9000")));
	assert_int_equal(s->endpoints[0].weight, 1);
	assert_true(s->timeouts.connect == 5 * NSEC_PER_SEC);
	assert_true(s->timeouts.request == 15 * NSEC_PER_SEC);
	assert_int_equal(s->limits.connections, 1024);
	assert_int_equal(s->limits.pending, 1024);
	r = &cfg->routes[0];
	assert_int_equal(r->n_split, 1);
	assert_int_equal(r->split[0].service, 0);
	assert_false(r->preserve_host);
	assert_false(cfg->edge.present);
}

static void test_route(void **state)
{
	const struct conf_route *r;

	(void)state;
	good("version: 1\n"
	     "listeners: [{name: public, address: 127.0.0.1:8080}]\n"
	     "routes:\n"
	     "  - name: a\n"
	     "    match: {hosts: WWW.Example.com, path: '/u/{id}', methods: [GET, PUT],\n"
	     "            headers: {X-Env: Beta, x-any: '*'}, cookies: {Ab: b}}\n"
	     "    to: {split: [{service: two, weight: 90}, {service: one, weight: 10}],\n"
	     "         sticky: {header: X-Who}}\n"
	     "    strip_prefix: /u\n"
	     "    preserve_host: true\n"
	     "    priority: -7\n"
	     "    filters: [{jwt: {}}]\n"
	     "services:\n"
	     "  one: {endpoints: [{url: http://127.0.0.1:1, weight: 3}]}\n"
	     "  two: {endpoints: ['http://[::1]:2'], limits: {connections: 5, pending: 0},\n"
	     "        timeouts: {connect: 1s, request: 2s, idle: 3s}}\n");
	r = &cfg->routes[0];
	assert_true(slice_eq(r->match.hosts.items[0], SLICE("www.example.com")));
	assert_true(slice_eq(r->match.headers.items[0].name, SLICE("x-env")));
	assert_true(slice_eq(r->match.headers.items[0].value, SLICE("Beta")));
	assert_true(r->match.headers.items[1].any);
	assert_true(slice_eq(r->match.cookies.items[0].name, SLICE("Ab")));
	assert_int_equal(r->match.methods.n, 2);
	assert_int_equal(r->split[0].service, 1);
	assert_int_equal(r->split[0].weight, 90);
	assert_int_equal(r->split[1].service, 0);
	assert_int_equal(r->sticky, CONF_STICKY_HEADER);
	assert_true(slice_eq(r->sticky_name, SLICE("x-who")));
	assert_true(r->preserve_host);
	assert_int_equal(r->priority, -7);
	assert_int_equal(r->filters.n, 1);
	assert_true(slice_eq(r->filters.items[0].name, SLICE("jwt")));
	assert_int_equal(cfg->services[0].endpoints[0].weight, 3);
	assert_int_equal(cfg->services[1].limits.connections, 5);
	assert_int_equal(cfg->services[1].limits.pending, 0);
	assert_true(cfg->services[1].timeouts.idle == 3 * NSEC_PER_SEC);
}

static void test_names(void **state)
{
	(void)state;
	bad(MINIMAL "routes:\n"
		    "  - {name: a, to: apx}\n"
		    "  - {name: a, to: {split: [{service: nowhere, weight: 1}]}}\n"
		    "  - {name: c, to: {split: [{service: api, weight: 0}]}}\n"
		    "  - {name: d}\n",
	    "dir/f:8:5: routes[3]: 'to' is missing\n"
	    "dir/f:5:19: routes[0].to: no service 'apx' (did you mean 'api'?)\n"
	    "dir/f:6:38: routes[1].to.split[0].service: no service 'nowhere'\n"
	    "dir/f:6:19: routes[1].to: the weights add up to 0\n"
	    "dir/f:6:5: routes[1]: name: 'a' is taken by routes[0]\n"
	    "dir/f:7:19: routes[2].to: the weights add up to 0\n");
}

static void test_listeners(void **state)
{
	(void)state;
	bad("version: 1\nlisteners: []\n", "dir/f:1:1: listeners: at least one is needed\n");
	bad("version: 1\n", "dir/f:1:1: 'listeners' is missing\n"
			    "dir/f:1:1: listeners: at least one is needed\n");
	bad("version: 2\nlisteners: [{name: a, address: 127.0.0.1:1}]\n",
	    "dir/f:1:10: version: this program reads version 1\n");
	bad("version: 1\n"
	    "listeners:\n"
	    "  - {name: a, address: 127.0.0.1:1}\n"
	    "  - {name: b, address: 127.0.0.1:1}\n"
	    "  - {name: a, address: 127.0.0.1:2}\n"
	    "  - {name: c, address: 127.0.0.1:3, limits: {headers: 1000, connections: 0}}\n",
	    "dir/f:6:74: listeners[3].limits.connections: 0 is out of range (1 to 10000000)\n"
	    "dir/f:6:55: listeners[3].limits.headers: 1000 is out of range (1KiB to 1MiB)\n"
	    "dir/f:4:5: listeners[1]: address: 127.0.0.1:1 is taken by listeners[0]\n"
	    "dir/f:5:5: listeners[2]: name: 'a' is taken by listeners[0]\n");
}

static void path(const char *text, const char *why)
{
	char whole[512];
	char said[256];

	snprintf(whole, sizeof(whole),
		 MINIMAL "routes: [{name: a, match: {path: \"%s\"}, to: api}]\n", text);
	snprintf(said, sizeof(said), "dir/f:4:27: routes[0].match: path: %s\n", why ? why : "");
	if (why)
		bad(whole, said);
	else
		good(whole);
}

static void test_paths(void **state)
{
	(void)state;
	path("/", NULL);
	path("/*", NULL);
	path("/a/*", NULL);
	path("/a/{id}/b/{x}", NULL);
	path("", "must start with '/'");
	path("a", "must start with '/'");
	path("/a*", "'*' may only stand at the end, as in /prefix/*");
	path("/a/*/b", "'*' may only stand at the end, as in /prefix/*");
	path("/{id}/*", "parameters and '*' don't go together");
	path("/a{id}", "a parameter is a whole segment, as in /users/{id}");
	path("/{id}b", "a parameter is a whole segment, as in /users/{id}");
	path("/{}", "a parameter is a whole segment, as in /users/{id}");
	path("/{id", "a parameter is a whole segment, as in /users/{id}");
	path("/a b", "no request has spaces or control characters in its path");
	path("/a\\0", "no request has spaces or control characters in its path");
}

static void test_services(void **state)
{
	(void)state;
	bad("version: 1\n"
	    "listeners: [{name: public, address: 127.0.0.1:8080}]\n"
	    "services:\n"
	    "  a: {endpoints: []}\n"
	    "  b: {endpoints: [https://127.0.0.1:1, http://localhost:1]}\n"
	    "  c: {endpoints: [{url: http://127.0.0.1:1, weight: 0}], timeout: {}}\n",
	    "dir/f:4:6: services.a: a service needs an endpoint\n"
	    "dir/f:5:19: services.b.endpoints[0]: an endpoint is a URL such as "
	    "http://127.0.0.1:9000\n"
	    "dir/f:5:40: services.b.endpoints[1]: 'localhost:1' is not an address such as "
	    "127.0.0.1:8080 or [::1]:8080\n"
	    "dir/f:6:67: services.c.timeout: unknown key (did you mean 'timeouts'?)\n"
	    "dir/f:6:53: services.c.endpoints[0].weight: 0 is out of range (1 to 1000)\n");
}

static void test_issuers(void **state)
{
	(void)state;
	good(MINIMAL "issuers: [{name: i, keys: [{algorithm: HS256, secret_file: s},\n"
		     "  {algorithm: RS256, public_key_file: /k}]}]\n");
	assert_true(slice_eq(cfg->issuers[0].keys[0].secret_file, SLICE("dir/s")));
	assert_true(slice_eq(cfg->issuers[0].keys[1].public_key_file, SLICE("/k")));
	bad(MINIMAL "issuers: [{name: i, keys: [{algorithm: HS256}]}]\n",
	    "dir/f:4:28: issuers[0].keys[0]: a key has one of public_key_file and secret_file\n");
}

static const struct conf_limit *limit_of(const struct conf_limits *limits,
					 enum conf_limit_class class)
{
	return &limits->of[class];
}

static void test_limits(void **state)
{
	const struct conf_edge *e;

	(void)state;
	good(MINIMAL
	     "edge:\n  mode: shadow\n  rate_limit: {ipv4_prefix: 24, ipv6_prefix: 56}\n"
	     "  limits:\n    source: {packets: 100/s, bytes: {rate: 10MiB/s, burst: 1MiB}, udp: "
	     "{rate: 5/s}}\n    port: {syns: {rate: 1k/s, burst: 7}, bytes: 64KiB/s}\n"
	     "  tiers:\n    - {name: a, sources: [192.0.2.0/24], limits: {packets: 0/s}}\n"
	     "    - {name: b, sources: [192.0.2.0/25]}\n");
	e = &cfg->edge;
	assert_int_equal(e->mode, CONF_GUARD_SHADOW);
	assert_int_equal(e->rate_limit.ipv4_prefix, 24);
	assert_int_equal(e->rate_limit.ipv6_prefix, 56);
	assert_int_equal(limit_of(&e->limits.source, CONF_LIMIT_PACKETS)->rate, 100);
	assert_int_equal(limit_of(&e->limits.source, CONF_LIMIT_PACKETS)->burst, 200);
	assert_int_equal(limit_of(&e->limits.source, CONF_LIMIT_BYTES)->rate, 10 << 20);
	assert_int_equal(limit_of(&e->limits.source, CONF_LIMIT_BYTES)->burst, 1 << 20);
	assert_int_equal(limit_of(&e->limits.source, CONF_LIMIT_UDP)->burst, 10);
	assert_false(limit_of(&e->limits.source, CONF_LIMIT_ICMP)->given);
	assert_int_equal(limit_of(&e->limits.port, CONF_LIMIT_SYNS)->burst, 7);
	assert_int_equal(limit_of(&e->limits.port, CONF_LIMIT_BYTES)->rate, 64 << 10);
	assert_int_equal(e->n_tiers, 2);
	assert_true(limit_of(&e->tiers[0].limits, CONF_LIMIT_PACKETS)->given);
	assert_int_equal(limit_of(&e->tiers[0].limits, CONF_LIMIT_PACKETS)->rate, 0);
	assert_false(limit_of(&e->tiers[1].limits, CONF_LIMIT_PACKETS)->given);
}

static void test_limits_that_are_wrong(void **state)
{
	(void)state;
	bad(MINIMAL "edge: {rate_limit: {rate: 5/s}, limits: {source: {packets: 5/s}}}\n",
	    "dir/f:4:7: edge: rate_limit and limits.source.packets are one limit: say it once\n");
	bad(MINIMAL "edge: {limits: {source: {bytes: 5k/s, syns: 1MiB/s, sins: 1/s}}}\n",
	    "dir/f:4:59: edge.limits.source.sins: unknown key (did you mean 'syns'?)\n"
	    "dir/f:4:33: edge.limits.source.bytes: '5k/s' is not a rate of bytes such as 64KiB/s "
	    "or 10MiB/s\n"
	    "dir/f:4:45: edge.limits.source.syns: '1MiB/s' is not a rate such as 100/s or "
	    "10k/s\n");
	bad(MINIMAL "edge: {rate_limit: {ipv4_prefix: 7}}\n",
	    "dir/f:4:34: edge.rate_limit.ipv4_prefix: 7 is out of range (8 to 32)\n");
	bad(MINIMAL "edge: {limits: {port: {bytes: 100/s}}, rate_limit: {ipv6_prefix: 65}}\n",
	    "dir/f:4:66: edge.rate_limit.ipv6_prefix: 65 is out of range (32 to 64)\n"
	    "dir/f:4:31: edge.limits.port.bytes: less than 1KiB/s can't be told from nothing\n");
	bad(MINIMAL "edge: {tiers: [{name: a, sources: [10.0.0.0/8]}, {name: a, sources: "
		    "[10.0.0.0/8]}, {name: abcdefghijklmnopqrstuvwx, sources: [2001:db8::1, "
		    "2001:db8::1]}]}\n",
	    "dir/f:4:7: edge: tiers[1].name: 'a' is taken by tiers[0]\n"
	    "dir/f:4:7: edge: tiers[2].name: 'abcdefghijklmnopqrstuvwx' is longer than 23 bytes\n"
	    "dir/f:4:7: edge: tiers[1].sources: 10.0.0.0/8 is in tiers[0]\n"
	    "dir/f:4:7: edge: tiers[2].sources: 2001:db8::1 is in tiers[2]\n");
	bad(MINIMAL "edge: {tiers: [{limits: {packets: 1/s}}]}\n",
	    "dir/f:4:16: edge.tiers[0]: 'name' is missing\n"
	    "dir/f:4:16: edge.tiers[0]: 'sources' is missing\n");
}

static void test_edge(void **state)
{
	(void)state;
	bad(MINIMAL "edge: {ports: [0000080abc, '+81', 65536]}\n",
	    "dir/f:4:16: edge.ports[0]: a port is a number from 1 to 65535\n"
	    "dir/f:4:28: edge.ports[1]: a port is a number from 1 to 65535\n"
	    "dir/f:4:35: edge.ports[2]: a port is a number from 1 to 65535\n");
	bad(MINIMAL "edge: {deny: [{mmdb: a, countries: [DE], asns: [000000000064496x]}]}\n",
	    "dir/f:4:49: edge.deny[0].asns[0]: an autonomous system is a number from 1 to "
	    "4294967295\n");
	bad(MINIMAL "edge: {ports: 80, rate_limit: {rate: 5}}\n",
	    "dir/f:4:15: edge.ports: a list of ports is expected here\n"
	    "dir/f:4:38: edge.rate_limit.rate: '5' is not a rate such as 100/s or 10k/s\n");
	bad(MINIMAL
	    "edge: {interfaces: [{name: a/b}, {name: c}, {name: c}], rate_limit: {rate: 1/s}}\n",
	    "dir/f:4:7: edge: interfaces[0].name: 'a/b': an interface's name has no '/', ':' or "
	    "white space\n"
	    "dir/f:4:7: edge: interfaces[2].name: 'c' is taken by interfaces[1]\n");
	bad(MINIMAL
	    "edge: {interfaces: [{name: .new.x}, {name: a:b}, {name: a b}, {name: \"a\\tb\"}, "
	    "{name: ''}, {name: abcdefghijklmnop}]}\n",
	    "dir/f:4:7: edge: interfaces[0].name: '.new.x': no interface whose name begins with "
	    "'.' can be guarded\n"
	    "dir/f:4:7: edge: interfaces[1].name: 'a:b': an interface's name has no '/', ':' or "
	    "white space\n"
	    "dir/f:4:7: edge: interfaces[2].name: 'a b': an interface's name has no '/', ':' or "
	    "white space\n"
	    "dir/f:4:7: edge: interfaces[3].name: 'a\tb': an interface's name has no '/', ':' or "
	    "white space\n"
	    "dir/f:4:7: edge: interfaces[4].name: '': an interface's name has 1 to 15 bytes\n"
	    "dir/f:4:7: edge: interfaces[5].name: 'abcdefghijklmnop': an interface's name has 1 to "
	    "15 bytes\n");
	good(MINIMAL "edge: {interfaces: [{name: abcdefghijklmno}, {name: eth0.12}]}\n");
	good(MINIMAL "edge: {interfaces: [{name: a, share: true}, {name: b}]}\n");
	assert_true(cfg->edge.interfaces[0].share);
	assert_false(cfg->edge.interfaces[1].share);
	bad(MINIMAL "edge: {interfaces: [{name: a, share: 2}]}\n",
	    "dir/f:4:38: edge.interfaces[0].share: '2' is neither true nor false\n");
	good(MINIMAL "edge: {rate_limit: {rate: 5/s}, deny: [10.0.0.0/8, 2001:db8::1]}\n");
	assert_int_equal(cfg->edge.limits.source.of[CONF_LIMIT_PACKETS].burst, 10);
	assert_int_equal(cfg->edge.rate_limit.ipv4_prefix, 32);
	assert_int_equal(cfg->edge.rate_limit.ipv6_prefix, 64);
	assert_int_equal(cfg->edge.mode, CONF_GUARD_ENFORCE);
	assert_int_equal(cfg->edge.deny.n, 2);
	assert_int_equal(cfg->edge.n_ports, 1);
}

static void test_bans(void **state)
{
	(void)state;
	good(MINIMAL "edge: {}\n");
	assert_true(cfg->edge.bans.ttl == 600 * NSEC_PER_SEC);
	assert_int_equal(cfg->edge.bans.escalate, 2);
	assert_true(cfg->edge.bans.max_ttl == 86400 * NSEC_PER_SEC);
	assert_int_equal(cfg->edge.bans.mode, CONF_BANS_ENFORCE);
	assert_int_equal(cfg->edge.bans.capacity, 65536);
	good(MINIMAL "edge: {bans: {ttl: 5s, escalate: 10x, max_ttl: 1h, never: [10.0.0.0/8],\n"
		     "  mode: shadow, capacity: 1000}}\n");
	assert_int_equal(cfg->edge.bans.escalate, 10);
	assert_int_equal(cfg->edge.bans.never.n, 1);
	assert_int_equal(cfg->edge.bans.mode, CONF_BANS_SHADOW);
	bad(MINIMAL "edge: {bans: {ttl: 2h, escalate: 2, max_ttl: 1h, mode: off, capacity: 0}}\n",
	    "dir/f:4:34: edge.bans.escalate: '2' is not a factor from 1x to 1000x, such as 2x\n"
	    "dir/f:4:56: edge.bans.mode: 'off' is not known here\n"
	    "dir/f:4:71: edge.bans.capacity: 0 is out of range (1 to 4194304)\n"
	    "dir/f:4:14: edge.bans: ttl is longer than max_ttl\n");
	bad(MINIMAL "edge: {bans: {ttl: 10ms, escalate: 0x, never: [10.0.0.1/8]}}\n",
	    "dir/f:4:20: edge.bans.ttl: 10ms is out of range (1s to 3650d)\n"
	    "dir/f:4:36: edge.bans.escalate: '0x' is not a factor from 1x to 1000x, such as 2x\n"
	    "dir/f:4:48: edge.bans.never[0]: '10.0.0.1/8' has bits set behind its prefix\n");
}

static void test_rules(void **state)
{
	(void)state;
	good(MINIMAL "edge: {rules: [{deny: [203.0.113.7], to: [tcp/22, udp/53]},\n"
		     "  {only: [10.0.0.0/8, 192.0.2.1], to: [tcp/9901]}]}\n");
	assert_int_equal(cfg->edge.n_rules, 2);
	assert_int_equal(cfg->edge.rules[0].deny.n, 1);
	assert_int_equal(cfg->edge.rules[0].n_to, 2);
	assert_int_equal(cfg->edge.rules[0].to[1].protocol, IPPROTO_UDP);
	assert_int_equal(cfg->edge.rules[0].to[1].number, 53);
	assert_int_equal(cfg->edge.rules[1].only.n, 2);
	bad(MINIMAL "edge: {rules: [{deny: [203.0.113.7]}, {to: [tcp/22]}]}\n",
	    "dir/f:4:16: edge.rules[0]: 'to' is missing\n"
	    "dir/f:4:39: edge.rules[1]: a rule has one of deny, allow and only\n");
	bad(MINIMAL "edge: {rules: [{deny: [1.2.3], only: [], to: [22, tcp/0, udp/65536, {}]}]}\n",
	    "dir/f:4:24: edge.rules[0].deny[0]: '1.2.3' is not an address or prefix such as "
	    "10.0.0.0/8\n"
	    "dir/f:4:47: edge.rules[0].to[0]: '22' is not a port such as tcp/22 or udp/53\n"
	    "dir/f:4:51: edge.rules[0].to[1]: 'tcp/0' is not a port such as tcp/22 or udp/53\n"
	    "dir/f:4:58: edge.rules[0].to[2]: 'udp/65536' is not a port such as tcp/22 or udp/53\n"
	    "dir/f:4:69: edge.rules[0].to[3]: '' is not a port such as tcp/22 or udp/53\n"
	    "dir/f:4:16: edge.rules[0]: a rule has one of deny, allow and only\n"
	    "dir/f:4:38: edge.rules[0].only: is empty, and the rule would be about nobody or no "
	    "port\n");
	/* Who is to be let in alone is not to be everybody. */
	bad(MINIMAL "edge: {rules: [{only: [], to: [tcp/22]}, {deny: [10.0.0.0/8], to: []}]}\n",
	    "dir/f:4:23: edge.rules[0].only: is empty, and the rule would be about nobody or no "
	    "port\n"
	    "dir/f:4:67: edge.rules[1].to: is empty, and the rule would be about nobody or no "
	    "port\n");
	bad(MINIMAL "edge: {rules: [{deny: [10.0.0.0/8], to: [tcp/22, tcp/23]},\n"
		    "  {only: [192.0.2.1, 10.0.0.0/8], to: [tcp/23]}]}\n",
	    "dir/f:4:7: edge: rules[1] and rules[0] say different things of 10.0.0.0/8 and "
	    "tcp/23\n");
	/* Seven lengths of each family are looked for. */
	good(MINIMAL "edge: {rules: [{deny: [10.0.0.0/8, 10.0.0.0/9, 10.0.0.0/10, 10.0.0.0/11, "
		     "10.0.0.0/12, "
		     "10.0.0.0/13, 10.0.0.0/14, 11.0.0.0/14, '::/14', '::/15'], to: [tcp/22]}]}\n");
	bad(MINIMAL
	    "edge: {rules: [{deny: [10.0.0.0/8, 10.0.0.0/9, 10.0.0.0/10, 10.0.0.0/11], to: "
	    "[tcp/22]},\n"
	    "  {only: [10.0.0.0/12, 10.0.0.0/13, 10.0.0.0/14, 10.0.0.0/15], to: [tcp/23]}]}\n",
	    "dir/f:4:7: edge: rules have IPv4 prefixes of more than 7 lengths\n");
}

static void test_feeds(void **state)
{
	const struct conf_feed *f;

	(void)state;
	good(MINIMAL "edge:\n  deny: [10.0.0.0/8, {file: lists/drop.netset}, {file: /a/b, "
		     "name: c},\n"
		     "    {mmdb: x.mmdb, countries: [DE, FR], asns: [64496]}]\n");
	assert_int_equal(cfg->edge.deny.n, 1);
	assert_int_equal(cfg->edge.n_deny_feeds, 3);
	assert_int_equal(cfg->edge.feeds.memory, 256 << 20);
	f = cfg->edge.deny_feeds;
	assert_string_equal(f[0].path, "dir/lists/drop.netset");
	assert_true(slice_eq(f[0].name, SLICE("drop")));
	assert_string_equal(f[1].path, "/a/b");
	assert_true(slice_eq(f[1].name, SLICE("c")));
	assert_true(slice_eq(f[2].name, SLICE("x")));
	assert_int_equal(f[2].n_countries, 2);
	assert_int_equal(f[2].asns[0], 64496);
}

static void test_feeds_that_are_wrong(void **state)
{
	(void)state;
	bad(MINIMAL "edge: {deny: [{name: a}, {file: b, mmdb: c}]}\n",
	    "dir/f:4:15: edge.deny[0]: a feed has a file or an mmdb\n"
	    "dir/f:4:26: edge.deny[1]: a feed has a file or an mmdb\n");
	bad(MINIMAL "edge: {deny: [{file: a, asns: [1]}, {mmdb: b}, {file: x/a.txt}]}\n",
	    "dir/f:4:15: edge.deny[0]: countries and asns are of an mmdb\n"
	    "dir/f:4:37: edge.deny[1]: an mmdb needs countries or asns\n"
	    "dir/f:4:48: edge.deny[2]: there is another feed 'a': give it a name\n");
	bad(MINIMAL "edge: {deny: [{mmdb: a, countries: [de, DE], asns: [0]}, {file: 'a b'}]}\n",
	    "dir/f:4:37: edge.deny[0].countries[0]: a country is two capital letters, DE "
	    "for "
	    "instance\n"
	    "dir/f:4:53: edge.deny[0].asns[0]: an autonomous system is a number from 1 to "
	    "4294967295\n"
	    "dir/f:4:58: edge.deny[1]: 'a b' can't be a feed's name: up to 31 visible "
	    "ASCII "
	    "characters\n");
}

/* What could be read is returned for further checks, but not after an error of syntax. */
static void test_half(void **state)
{
	(void)state;
	unsetenv("SLUICE_U");
	bad(MINIMAL "routes: [{name: a, to: '${SLUICE_U}'}, {name: b, to: ap}]\n",
	    "dir/f:4:24: routes[0].to: environment variable 'SLUICE_U' is not set\n"
	    "dir/f:4:54: routes[1].to: no service 'ap' (did you mean 'api'?)\n");
	assert_non_null(cfg);
	assert_int_equal(cfg->n_routes, 2);
	bad(MINIMAL "routes: [{name: a\n", "dir/f:5:1: did not find expected ',' or '}'\n");
	assert_null(cfg);
}

static void test_files(void **state)
{
	char name[] = "/tmp/test_load.XXXXXX";
	int fd = mkstemp(name);
	static const char text[] = MINIMAL "drain: 1s\n";

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	assert_int_equal(config_load(name, &diag, &cfg), 0);
	assert_true(cfg->drain == NSEC_PER_SEC);
	/* Larger than a configuration may be: a hole of 16 MiB. */
	assert_int_equal(ftruncate(fd, 16 << 20), 0);
	config_free(cfg);
	assert_int_equal(config_load(name, &diag, &cfg), -EFBIG);
	assert_null(cfg);
	close(fd);
	unlink(name);
	assert_int_equal(config_load(name, &diag, &cfg), -ENOENT);
	assert_non_null(strstr(buf_slice(&diag.text).ptr, ": No such file or directory\n"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_minimal), TEST(test_route),
		TEST(test_names),   TEST(test_listeners),
		TEST(test_paths),   TEST(test_services),
		TEST(test_issuers), TEST(test_edge),
		TEST(test_feeds),   TEST(test_feeds_that_are_wrong),
		TEST(test_limits),  TEST(test_limits_that_are_wrong),
		TEST(test_bans),    TEST(test_rules),
		TEST(test_half),    TEST(test_files),

	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
