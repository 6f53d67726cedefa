/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration as C sees it: what the option tables of conf/load.c fill from one YAML file. Everything
 * lives in the arena of its struct config and is constant once loaded. Durations are nanoseconds, sizes
 * bytes, rates events a second.
 */
#ifndef CONF_CONFIG_H
#define CONF_CONFIG_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/slice.h"

struct conf_node; /* conf/node.h */

/* An address with an optional prefix, host bits cleared (the loader refuses set ones with a hint). */
struct conf_cidr {
	int family; /* AF_INET, AF_INET6 */
	uint8_t addr[16];
	uint8_t prefixlen;
};

struct conf_strings {
	struct slice *items;
	size_t n;
};

struct conf_cidrs {
	struct conf_cidr *items;
	size_t n;
};

struct conf_sockaddr {
	struct sockaddr_storage ss;
	socklen_t len;
	struct slice text; /* as in the file */
};

enum conf_xdp_mode { CONF_XDP_AUTO, CONF_XDP_NATIVE, CONF_XDP_GENERIC };
enum conf_syn_mode { CONF_SYN_OFF, CONF_SYN_AUTO, CONF_SYN_ALWAYS };
enum conf_bans_mode { CONF_BANS_ENFORCE, CONF_BANS_SHADOW };

/* "tcp/22" */
struct conf_port {
	uint8_t protocol; /* IPPROTO_TCP, IPPROTO_UDP */
	uint16_t number;
};

/* One of deny, allow and only has entries. */
struct conf_rule {
	struct conf_cidrs deny;
	struct conf_cidrs allow;
	struct conf_cidrs only;
	struct conf_port *to;
	size_t n_to;
};

struct conf_interface {
	struct slice name;
	enum conf_xdp_mode mode;
	bool share;
};

/* What limits count; in the order of bpf/abi.h's limit_class. */
enum conf_limit_class {
	CONF_LIMIT_PACKETS,
	CONF_LIMIT_BYTES,
	CONF_LIMIT_SYNS,
	CONF_LIMIT_CONNECTIONS,
	CONF_LIMIT_UDP,
	CONF_LIMIT_ICMP,
	CONF_LIMIT_FRAGMENTS,
	CONF_LIMITS,
};

struct conf_limit {
	bool given;	/* the file says something of it */
	uint64_t rate;	/* packets, or bytes, a second; 0: no limit */
	uint64_t burst; /* packets, or bytes; default: 2 * rate */
};

struct conf_limits {
	struct conf_limit of[CONF_LIMITS];
};

/* Sources that have limits of their own; what a tier does not say is as for everybody. */
struct conf_tier {
	struct slice name;
	struct conf_cidrs sources; /* no two tiers have the same prefix */
	struct conf_limits limits;
};

#define CONF_TIERS	  15
#define CONF_RULE_LENGTHS 7 /* of prefixes of a family */

enum conf_guard_mode { CONF_GUARD_ENFORCE, CONF_GUARD_SHADOW };

#define CONF_FEEDS     255
#define CONF_FEED_NAME 31 /* bytes */

/* An item of deny: that is a whole list: a netset file, or countries and autonomous systems of a MaxMind-format file. */
struct conf_feed {
	struct slice name; /* default: the file's, without directory and extension */
	struct slice file;
	struct slice mmdb;
	const struct conf_node *node; /* for errors found later, when the file is read */
	const char *
		path; /* of one of the two, relative to the working directory; NULL: there was an error */
	struct slice *countries; /* ISO 3166-1, two letters */
	size_t n_countries;
	uint32_t *asns;
	size_t n_asns;
};

struct conf_edge {
	bool present; /* false: no packet plane, sluiced runs alone */
	struct conf_interface *interfaces;
	size_t n_interfaces;
	uint16_t *ports; /* protected TCP ports; default: those of the public listeners */
	size_t n_ports;
	struct conf_cidrs allow;
	struct conf_cidrs deny;
	struct conf_feed *deny_feeds;
	size_t n_deny_feeds;
	struct {
		uint64_t
			memory; /* bytes of the kernel's for compiled feeds, an interface; 256 MiB */
	} feeds;
	struct {
		enum conf_syn_mode mode; /* default: off */
		uint64_t threshold; /* SYNs a second before "auto" answers with cookies; 10k/s */
		uint64_t
			cookies; /* a second that each CPU sends without one coming back; 2k/s; 0: no limit */
	} syn_flood;
	enum conf_guard_mode mode; /* default: enforce */
	struct {
		struct conf_limits source; /* of each source */
		struct conf_limits port;   /* of each port, all unverified sources together */
	} limits;
	struct {
		struct conf_limit packets; /* of each source; the loader puts it into limits */
		uint64_t ipv4_prefix;	   /* 8..32: what one IPv4 source is; 32 */
		uint64_t ipv6_prefix;	   /* 32..64: what one IPv6 source is; 64 */
	} rate_limit;
	struct conf_tier *tiers;
	size_t n_tiers; /* at most CONF_TIERS */
	struct conf_rule *rules;
	size_t n_rules;
	struct {
		uint64_t ttl;	   /* 10m */
		uint64_t escalate; /* times longer at each repeat; 2 */
		uint64_t max_ttl;  /* 24h */
		struct conf_cidrs never;
		enum conf_bans_mode mode; /* enforce */
		uint64_t capacity;	  /* prefixes, from attach on; 65536 */
	} bans;
};

enum conf_role { CONF_ROLE_PUBLIC, CONF_ROLE_ADMIN };

struct conf_listener {
	struct slice name;
	struct conf_sockaddr address;
	enum conf_role role; /* default: public */
	struct {
		uint64_t headers; /* from the first byte to the end of the head; 10s */
		uint64_t idle;	  /* between requests, and without progress in a body; 60s */
	} timeouts;
	struct {
		uint64_t connections; /* at most, over all workers; 65536 */
		uint64_t headers;     /* bytes of a request head; 16KiB */
		uint64_t requests;    /* a connection, 0: no limit; 0 */
	} limits;
};

struct conf_endpoint {
	struct slice url; /* as in the file, http://host:port, host an IP address (for now) */
	struct conf_sockaddr address;
	struct slice authority; /* host:port, for the Host header unless preserved */
	uint64_t weight;	/* 1..1000, default 1 */
};

struct conf_service {
	struct slice name;
	struct conf_endpoint *endpoints;
	size_t n_endpoints;
	struct {
		uint64_t connect; /* 5s */
		uint64_t request; /* until the response head, connecting included; 15s */
		uint64_t idle;	  /* of a pooled connection; 60s */
	} timeouts;
	struct {
		uint64_t connections; /* to all endpoints, over all workers; 1024 */
		uint64_t pending;     /* requests waiting for one; 1024 */
	} limits;
};

/* One element of a filters: list, not yet compiled: the filter registry knows the name and its options. */
struct conf_filter {
	struct slice name;
	const struct conf_node *node; /* the filter's options (a map, possibly empty) */
};

struct conf_filters {
	struct conf_filter *items;
	size_t n;
};

/* A name and the value it must have; empty value with any set: only presence. */
struct conf_pair {
	struct slice name; /* header names in lower case */
	struct slice value;
	bool any; /* value is "*": present with any value */
};

struct conf_pairs {
	struct conf_pair *items;
	size_t n;
};

struct conf_match {
	struct conf_strings hosts; /* lower case, "*.example.com" allowed; empty: any */
	struct slice
		path; /* "/exact", "/prefix/ *" (no space), "/users/{id}/posts"; default "/ *" */
	struct conf_strings methods;
	struct conf_pairs headers;
	struct conf_pairs cookies;
};

struct conf_split {
	size_t service;	 /* index into config.services */
	uint64_t weight; /* 0..1000000; their sum is > 0 */
};

enum conf_sticky { CONF_STICKY_NONE, CONF_STICKY_HEADER, CONF_STICKY_COOKIE };

struct conf_route {
	struct slice name;
	struct conf_match match;
	struct conf_split *split; /* one element when to: names one service */
	size_t n_split;
	enum conf_sticky sticky;
	struct slice sticky_name; /* header (lower case) or cookie */
	struct slice strip_prefix;
	bool preserve_host; /* false: Host becomes the endpoint's authority */
	int64_t priority;   /* higher first; default 0 */
	struct conf_filters filters;
	const struct conf_node *node; /* for errors found later, when the route is compiled */
};

struct conf_key {
	struct slice kid; /* may be empty */
	struct slice algorithm;
	struct slice public_key_file; /* PEM; resolved against the file's directory */
	struct slice secret_file;     /* HMAC secret, raw bytes without one trailing newline */
	const struct conf_node *node;
};

struct conf_issuer {
	struct slice name;
	struct slice issuer;	       /* the iss that a token must carry; empty: not checked */
	struct conf_strings audiences; /* aud must hold one of them; empty: not checked */
	struct conf_key *keys;
	size_t n_keys;
};

struct config {
	struct arena arena;
	struct slice path; /* of the file, as given */
	uint64_t workers;  /* 0: one for each CPU that the process may run on */
	uint64_t drain;	   /* how long SIGTERM waits for requests in flight; 30s */
	struct conf_edge edge;
	struct conf_listener *listeners;
	size_t n_listeners;
	struct conf_service *services;
	size_t n_services;
	struct conf_issuer *issuers;
	size_t n_issuers;
	struct conf_filters
		filters; /* for every route; a route's own filter of the same name replaces it */
	struct conf_route *routes;
	size_t n_routes;
};

#endif
