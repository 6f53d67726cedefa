/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The contract of the packet plane's two sides: keys, values and meanings of the pinned maps. Whatever is
 * written here, by sluice or by bpftool, counts from the next packet. Numbers are in host byte order,
 * addresses in network order; times are nanoseconds of CLOCK_MONOTONIC.
 */
#ifndef BPF_ABI_H
#define BPF_ABI_H

#include <linux/types.h>

#include "bpf/feed_format.h"

/* Keys of allow4, deny4 and allow6, deny6 (LPM_TRIE). A single address has the full prefix length. */
struct prefix4 {
	__u32 prefixlen;
	__u8 addr[4];
};

struct prefix6 {
	__u32 prefixlen;
	__u8 addr[16];
};

/* For tests: another version's values, which grew. */
#ifndef ABI_MORE
#define ABI_MORE
#endif

/* Who put an entry on a list: those of the file are replaced when the file is applied again, others stay. */
enum origin {
	ORIGIN_OPERATOR, /* sluice deny add, or bpftool with a value of zeros */
	ORIGIN_FILE,
} __attribute__((packed));

/*
 * A change of many entries is prepared entry by entry and counts as a whole, from the moment when the batch in state is
 * committed: until then an entry that is being added does not count and one that is being removed does.
 */
enum stage {
	STAGE_NONE,
	STAGE_ADDING,
	STAGE_REMOVING,
	STAGE_CHANGING, /* what is named next_ takes the place of the rest */
} __attribute__((packed));

/*
 * An entry of a list; all zeros: the operator's, for ever. It has an end when until is not 0; a packet that meets an entry which
 * does not count any more is looked up among the shorter prefixes.
 */
struct list_value {
	enum origin origin;
	enum stage stage;
	__u8 prefixlen; /* the key's, where until or stage is set; 0: not said */
	enum origin next_origin;
	__u32 until; /* seconds of CLOCK_MONOTONIC; 0: no end */
	__u32 next_until; /* of the file's, with nothing staged: the end of an operator's that it holds the place of */
	__u16 note; /* key of notes; 0: none */
	__u16 next_note;
	ABI_MORE
};

/* notes: an array. Who put an entry on a list, and why; entries of one command share one. */
#define NOTE_MAX 4096

struct note {
	char by[16];
	char why[48];
};

enum batch {
	BATCH_NONE,
	BATCH_OPEN,	 /* entries are being staged */
	BATCH_COMMITTED, /* they count; the stages are being cleared */
};

/*
 * state: an array of one, mapped by who changes the policy. Its first eight bytes change in one store, so that a packet
 * meets all of an old policy and its lists or all of a new one.
 */
struct state {
	__u32 generation; /* of the policy: counts its changes; the lowest bit is the half in use */
	enum batch batch;
	__u32 expires;	/* no entry ends before; seconds of CLOCK_MONOTONIC, 0: none has an end */
	__u32 bans_due; /* no ban ends before or is to be forgotten; the same */
	__u32 asked;	/* the mode that was asked for: 0 auto, 1 native, 2 generic; for people */
	__u32 ifindex;	/* of a guard that libxdp's dispatcher runs: no link of ours knows */
	__u64 netns;	/* the cookie of the network namespace that has the interface; the same */
};

/* ports: an array by port number, each with both generations' states (the half in use: state.generation & 1). */
enum port_state {
	PORT_OPEN,	/* lists only */
	PORT_PROTECTED, /* SYN gate (TCP) and token bucket, too */
} __attribute__((packed));

enum port_rules {
	RULES_TCP = 1,
	RULES_UDP = 2,
} __attribute__((packed));

struct port_value {
	enum port_state state[2];
	enum port_rules rules; /* the protocols that rules may be about */
};

/*
 * lengths: an array of one. The prefix lengths that are in use, the longest first: only these are looked up, and nothing
 * is when there are none. A length is there before its first entry; an entry of another length does not count.
 */
#define LENGTHS_MAX 7

struct prefix_lengths {
	__u8 n;
	__u8 length[LENGTHS_MAX];
} __attribute__((aligned(8))); /* changes in one store */

struct lengths {
	struct prefix_lengths ban4;
	struct prefix_lengths ban6;
	struct prefix_lengths rule4;
	struct prefix_lengths rule6;
	__u64 filtered; /* 1: ban_filter has all bans; 0: all are looked up. Who writes bans by hand leaves 0 */
};

/*
 * ban_filter: an array of words. A bit that is not set says that no ban hashes to it, at a fraction of what a look-up that finds
 * nothing costs. The two halves are the key's addr as it lies in memory.
 */
#define BAN_FILTER_BITS	 20
#define BAN_FILTER_WORDS (1 << (BAN_FILTER_BITS - 6))

static inline __u32 ban_hash(__u64 first, __u64 second, __u32 length)
{
	__u64 h = (first ^ second * 0x9e3779b97f4a7c15ULL ^ length) * 0xd6e8feb86659fd93ULL;

	h = (h ^ h >> 32) * 0xd6e8feb86659fd93ULL;
	return h >> (64 - BAN_FILTER_BITS);
}

/* Key of bans (HASH). Bits behind the prefix are zeros. */
struct ban_key {
	__u8 family; /* 4, 6 */
	__u8 prefixlen;
	__u8 unused[2];
	__u8 addr[16]; /* of IPv4 the first four bytes */
};

/*
 * A ban, which begins like a list_value: it counts until its end. Then it stays for a while as a memory of the offence; all zeros: the
 * operator's, for ever.
 */
struct ban_value {
	enum origin origin;
	enum stage stage;
	__u8 unused;
	enum origin next_origin;
	__u32 until; /* seconds of CLOCK_MONOTONIC; 0: no end */
	__u32 next_until;
	__u32 unused2;
	__u32 offences; /* bans of this prefix that are remembered, this one included */
	__u32 next_offences;
	char by[16];
	char why[48];
};

/*
 * Key of rules (HASH). Of those for a packet's port the longest prefix decides. All zeros but protocol and port: whoever no rule
 * of this port names.
 */
struct rule_key {
	__u8 family; /* 4, 6 */
	__u8 prefixlen;
	__u8 protocol; /* IPPROTO_TCP, IPPROTO_UDP */
	__u8 unused;
	__u16 port; /* of the destination */
	__u8 unused2[2];
	__u8 addr[16]; /* of IPv4 the first four bytes */
};

enum rule_action {
	RULE_DENY,
	RULE_ALLOW,
	RULE_ONLY, /* allow, and deny to all that no rule of the port names: they have an entry of their own */
};

/* Begins like a list_value; all zeros: deny, the operator's, for ever. */
struct rule_value {
	enum origin origin;
	enum stage stage;
	__u8 unused;
	enum origin next_origin;
	__u32 until;
	__u32 next_until;
	__u16 note;
	__u16 next_note;
	enum rule_action action;
	enum rule_action next_action;
};

enum syn_mode {
	SYN_OFF,
	SYN_AUTO, /* cookies while more SYNs than the threshold arrive, or as COOKIE_WHEN_FULL says */
	SYN_ALWAYS,
};

/*
 * What cookies may do for connections, by the settings of the kernel at the last attach, apply or reload: bits of
 * policy.cookie_options.
 */
enum cookie_option {
	COOKIE_TIMESTAMPS = 1, /* net.ipv4.tcp_timestamps is 2; without it the next two are lost */
	COOKIE_SACK = 2,
	COOKIE_WSCALE = 4, /* what the SYN-ACK says is cookie_wscale */
	COOKIE_WHEN_FULL =
		8, /* tcp_syncookies is 1: SYN_AUTO asks for each SYN whether the queue is full */
	COOKIE_NONE = 16, /* tcp_syncookies is 0: the kernel makes none, and SYNs pass */
};

/*
 * What limits count, each with a reason of its own. Their order is that of the reasons; packets come first.
 * GUARD_LIMIT(ENUMERATOR, name, help)
 */
#define GUARD_LIMITS(GUARD_LIMIT)                                                                  \
	GUARD_LIMIT(PACKETS, packets, "Packets to protected ports, and pings")                     \
	GUARD_LIMIT(BYTES, bytes, "Bytes of their frames")                                         \
	GUARD_LIMIT(SYNS, syns, "SYNs to protected ports, as far as no cookie answers them")       \
	GUARD_LIMIT(CONNECTIONS, connections, "TCP handshakes completed on protected ports")       \
	GUARD_LIMIT(UDP, udp, "UDP packets to protected ports")                                    \
	GUARD_LIMIT(ICMP, icmp, "ICMP messages, but for those between neighbours")                 \
	GUARD_LIMIT(FRAGMENTS, fragments, "Fragments, whatever they are of")

enum limit_class {
#define GUARD_LIMIT(id, name, help) LIMIT_##id,
	GUARD_LIMITS(GUARD_LIMIT)
#undef GUARD_LIMIT
		LIMIT_CLASSES,
};

/* A unit is a packet, a handshake or a fragment; of bytes it is 1 KiB, and parts of it count as such. */
#define LIMIT_BYTES_SHIFT 10

struct limit {
	__u64 interval; /* nanoseconds a unit; 0: no limit */
	__u64 burst; /* units that a full bucket holds; at least 1. A packet that is larger takes all of it */
};

/* The limits of each source of some prefixes (tiers4, tiers6), or of everybody: number 0. */
#define TIER_EVERYBODY 0
#define TIERS	       16

struct tier {
	char name[24];
	struct limit limit[LIMIT_CLASSES];
};

/* An Ethernet address as it lies in a frame, and two zeros. */
struct mac {
	__u8 addr[6];
	__u8 unused[2];
} __attribute__((aligned(8)));

/*
 * What the SYN gate takes for this host's, by what was there at the last attach, apply or reload: a listener of any address is
 * found for every destination.
 */
#define LOCAL_MACS 16

struct local {
	__u32 macs;   /* frames to others are not the gate's; 0: not known, it looks at all */
	__u32 route4; /* IPv4 is forwarded here: the routes are asked, as of a packet that came in by this interface; 0: it is not */
	__u32 route6; /* the same of IPv6 */
	__u32 unused;
	struct mac mac[LOCAL_MACS]; /* the interface's own is the first */
};

enum guard_mode {
	GUARD_ENFORCE,
	GUARD_SHADOW, /* all is counted as it would be, everything passes, no cookies are sent */
};

enum ban_mode {
	BAN_ENFORCE,
	BAN_SHADOW, /* a banned source is only counted, when it would have passed otherwise */
};

/* policy: an array of two generations; key: state.generation & 1. */
struct policy {
	enum syn_mode syn_mode;
	__u32 syn_threshold; /* SYNs a second, to protected ports, from all sources; SYN_AUTO */
	enum guard_mode mode;
	__u32 metered;	     /* a bit for each enum limit_class that has a limit anywhere below */
	__u32 port_metered;  /* the same of port alone */
	__u32 tiers;	     /* how many there are besides number 0 */
	__u32 exact_clock;   /* 1: a bucket is so shallow that the coarse clock won't do */
	__u8 cookie_options; /* of enum cookie_option */
	__u8 cookie_wscale;  /* the one that the kernel's own sockets use here, 0 to 14 */
	__u16 ipv4_ignored;  /* of an address the last so many bits tell no sources apart */
	__u64 ipv6_ignored;  /* bits of a /64, in host order, that tell no sources apart */
	struct limit
		port[LIMIT_CLASSES]; /* a protected port's, of all unverified sources together */
	struct tier tier[TIERS];
	enum ban_mode ban_mode;
	__u32 ban_ttl;	  /* seconds, where a ban does not say */
	__u32 ban_factor; /* a repeated offence is banned for so many times longer */
	__u32 ban_max_ttl; /* seconds, at most; as long is an offence remembered after its ban has ended */
	struct limit cookies; /* of each CPU, each of enum cookie_budget; interval 0: no limit */
	struct local local;   /* next to what each SYN reads */
};

/*
 * A token bucket as its theoretical arrival time (GCRA, ITU-T I.371): the moment when it will be full again.
 * One word, so that one compare-and-swap takes a token. The key is bucket_key's: of a source and a limit.
 */
struct bucket {
	__u64 key;
	__u64 full_at;
};

/*
 * buckets: of unverified sources, an array of sets of one cache line. A way is given to another key only when its bucket is
 * full again, so that nothing is forgotten by it; a newcomer to a set without such a way shares one.
 */
#define BUCKET_WAYS 4
#ifndef BUCKET_SETS
#define BUCKET_SETS 16384 /* a power of two: 65,536 buckets at once in 1 MiB */
#endif

struct bucket_set {
	struct bucket way[BUCKET_WAYS];
} __attribute__((aligned(64)));

/*
 * Sources that have shown that they are where they say, by a valid cookie or an established connection. known: an array of
 * sets of one cache line, the keys of such sources; verified: an array of all their buckets, VERIFIED_WAYS for each set. A
 * source that has sent within VERIFIED_HOLD_NSEC or has a bucket that is not full keeps its place; a newcomer to a set
 * without another place stays unverified.
 */
#define VERIFIED_WAYS	   8
#define VERIFIED_HOLD_NSEC 60000000000ULL
#ifndef VERIFIED_SETS
#define VERIFIED_SETS 8192 /* a power of two: 65,536 sources in 4.5 MiB */
#endif

struct known_set {
	__u64 key[VERIFIED_WAYS];
} __attribute__((aligned(64)));

struct verified {
	__u64 idle_at; /* VERIFIED_HOLD_NSEC after it was last seen, give or take a second; 0: nobody's */
	__u64 full_at[LIMIT_CLASSES];
} __attribute__((aligned(64)));

/* port_sums: by port number, buckets that all unverified sources share; port 0: of what has no ports. */
struct port_sum {
	__u64 full_at[LIMIT_CLASSES];
	__u64 unused;
};

/*
 * An IPv6 source is its /64, or less of it; an IPv4 source its address, marked so that it meets no /64: as multicast, from which
 * nothing passes (REASON_MARTIAN).
 */
#define SOURCE4_MARK 0xff00000000000000ULL

/* syn_state: an array of one, the SYN gate's own meter. */
struct syn_state {
	__u64 full_at;	     /* of the bucket that all SYNs share */
	__u64 cookies_until; /* SYN_AUTO: answers with cookies end then */
};

/* What SYNs a cookie goes to, each with a budget of its own; a cookie that comes back pays for COOKIES_RETURN more of its kind. */
enum cookie_budget {
	COOKIES_FIRST, /* of sources that are not verified */
	COOKIES_AGAIN, /* the same, when the SYN has come before, about as long ago as a client waits */
	COOKIES_KNOWN, /* of verified sources */
	COOKIE_BUDGETS,
};

#define COOKIES_RETURN 4

/* cookies: a per-CPU array of one, buckets as struct bucket has them. */
struct cookie_budgets {
	__u64 full_at[COOKIE_BUDGETS];
};

/*
 * waiting: SYNs that got no cookie, an array of sets of one cache line: half a million for the second that a client waits. Each is
 * ten bits of a digest and the time in units of 2^WAITING_SHIFT ns, a quarter of a second. Of more that come, some are not
 * remembered.
 */
#define WAITING_WAYS  31
#define WAITING_SETS  16384 /* a power of two: 1 MiB */
#define WAITING_SHIFT 28
#define WAITING_TIME  0x3f
#define WAITING_TAG   0xffc0

struct waiting_set {
	union {
		__u16 seen[WAITING_WAYS + 1]; /* the first: which one is replaced next */
		__u64 word[(WAITING_WAYS + 1) / 4];
	};
} __attribute__((aligned(64)));

/* handshakes: a per-CPU array of digests, of those that ended lately, were counted and passed. */
#define HANDSHAKES	 256
#define HANDSHAKE_ENDING 0 /* not one of them: that of the packet which the guard looks at */

#define SYN_HOLD_NSEC                                                                              \
	10000000000ULL /* how long cookies go on after the threshold was last exceeded */

/*
 * What became of a packet and why; every packet counts once. The names are what people see, in this order.
 * GUARD_REASON(ENUMERATOR, name, VERDICT, help)
 */
#define GUARD_REASONS(GUARD_REASON)                                                                \
	GUARD_REASON(PASSED, passed, PASS, "Nothing was held against it")                          \
	GUARD_REASON(ALLOWED, allowed, PASS, "Source on the allow list")                           \
	GUARD_REASON(NOT_IP, not_ip, PASS, "Neither IPv4 nor IPv6, ARP for instance")              \
	GUARD_REASON(FRAGMENT, fragment, PASS, "Later fragment, has met the lists only")           \
	GUARD_REASON(COOKIE_VALID, cookie_valid, PASS, "ACK with a valid SYN cookie")              \
	GUARD_REASON(COOKIE_SENT, cookie_sent, TX, "SYN answered with a cookie")                   \
	GUARD_REASON(DENIED, denied, DROP, "Source on the deny list")                              \
	GUARD_REASON(LISTED, listed, DROP, "Source in a feed")                                     \
	GUARD_REASON(BANNED, banned, DROP, "Source that is banned")                                \
	GUARD_REASON(PORT_DENIED, port_denied, DROP, "Source that a rule keeps from this port")    \
	GUARD_REASON(LIMITED, limited, DROP, "Source over its limit of packets")                   \
	GUARD_REASON(LIMITED_BYTES, limited_bytes, DROP, "Source over its limit of bytes")         \
	GUARD_REASON(LIMITED_SYNS, limited_syns, DROP, "Source over its limit of SYNs")            \
	GUARD_REASON(LIMITED_CONNECTIONS, limited_connections, DROP,                               \
		     "Source over its limit of new connections")                                   \
	GUARD_REASON(LIMITED_UDP, limited_udp, DROP, "Source over its limit of UDP packets")       \
	GUARD_REASON(LIMITED_ICMP, limited_icmp, DROP, "Source over its limit of ICMP messages")   \
	GUARD_REASON(LIMITED_FRAGMENTS, limited_fragments, DROP,                                   \
		     "Source over its limit of fragments")                                         \
	GUARD_REASON(LIMITED_PORT, limited_port, DROP,                                             \
		     "Unverified source, and these are over a limit of the port")                  \
	GUARD_REASON(COOKIE_INVALID, cookie_invalid, DROP, "ACK to a listener without a cookie")   \
	GUARD_REASON(MALFORMED, malformed, DROP,                                                   \
		     "Headers cut short or contradictory, a third VLAN tag")                       \
	GUARD_REASON(MARTIAN, martian, DROP, "Source that nobody can answer")                      \
	GUARD_REASON(LAND, land, DROP, "From its own destination, address and port")               \
	GUARD_REASON(BAD_FLAGS, bad_flags, DROP, "TCP flags that contradict each other")           \
	GUARD_REASON(PORT_ZERO, port_zero, DROP, "TCP or UDP port 0")                              \
	GUARD_REASON(TINY_FRAGMENT, tiny_fragment, DROP, "Fragment that splits the TCP header")    \
	GUARD_REASON(IP6_HEADERS, ip6_headers, DROP, "Too many IPv6 extension headers")            \
	GUARD_REASON(BAD_CHECKSUM, bad_checksum, DROP,                                             \
		     "SYN with a wrong checksum, IPv4's or TCP's")                                 \
	GUARD_REASON(SYN_EXCESS, syn_excess, DROP, "SYN for which no cookie was left")

enum reason {
#define GUARD_REASON(id, name, verdict, help) REASON_##id,
	GUARD_REASONS(GUARD_REASON)
#undef GUARD_REASON
		REASON_COUNT,
};

struct counter {
	__u64 packets;
	__u64 bytes; /* of the frames */
};

/* counters: a per-CPU array of one; its members are in the order of enum reason. */
struct counters {
#define GUARD_REASON(id, name, verdict, help) struct counter name;
	GUARD_REASONS(GUARD_REASON)
#undef GUARD_REASON
	ABI_MORE
};

/* What happened besides, whatever became of the packet. GUARD_TALLY(ENUMERATOR, name, help) */
#define GUARD_TALLIES(GUARD_TALLY)                                                                 \
	GUARD_TALLY(SYNS_SEEN, syns_seen, "SYNs that came to the SYN gate")                        \
	GUARD_TALLY(VERIFIED, verified, "Sources that were verified and got buckets of their own") \
	GUARD_TALLY(VERIFIED_REFUSED, verified_refused,                                            \
		    "Packets that verified their source, and there was no room for it")

enum tally {
#define GUARD_TALLY(id, name, help) TALLY_##id,
	GUARD_TALLIES(GUARD_TALLY)
#undef GUARD_TALLY
		TALLY_COUNT,
};

/* tallies: a per-CPU array of one; its members are in the order of enum tally. */
struct tallies {
#define GUARD_TALLY(id, name, help) __u64 name;
	GUARD_TALLIES(GUARD_TALLY)
#undef GUARD_TALLY
	ABI_MORE
};

/*
 * talkers: a per-CPU array of sets, the sources that send the most. One packet in TALK_SAMPLE of each reason is looked at, by
 * each CPU, so the numbers are of these.
 */
#define TALK_SAMPLE	16
#define TALK_WAYS	4
#define TALK_SET_BITS	8
#define TALK_FORGET_SEC 60 /* without a packet, and any other source may have its place */
#define TALK_WEIGHT_MAX 60000

struct talker {
	__u64 source; /* 0: nobody's */
	__u32 packets;
	__u32 dropped;
	__u32 bytes; /* goes round */
	__u32 seen;  /* seconds of CLOCK_MONOTONIC */
	__u32 dropped_at;
	__u16 weight; /* its claim to the place */
	__u8 reason;  /* enum reason, of the last one dropped */
	__u8 unused;
};

struct talker_set {
	struct talker way[TALK_WAYS];
};

/*
 * watch: an array of one, mapped by sluice watch, who renews until each second: packets of the reasons that it asks for go into
 * the ring buffer events, as far as the bucket that all CPUs share allows. What passes is offered once in TALK_SAMPLE.
 */
struct watch {
	__u64 until;	/* nanoseconds of CLOCK_MONOTONIC; 0: nobody watches */
	__u64 reasons;	/* a bit each */
	__u64 interval; /* nanoseconds an event */
	__u64 burst;	/* events */
	__u64 full_at;
};

/* watch_counts: a per-CPU array of one. */
struct watch_counts {
	__u64 sent;
	__u64 suppressed; /* over the rate */
	__u64 lost;	  /* no room: the reader is too slow */
};

#define EVENT_RING  (1 << 18)
#define EVENT_FRAME 128

/* What the guard made of a packet; the rest of it is zeros where the guard stopped reading before. */
struct event_head {
	__u8 reason;
	__u8 family; /* 4, 6; 0: neither */
	__u8 protocol;
	__u8 set; /* REASON_LISTED: the number of the feed */
	__u32 ip; /* offset of the IP header */
};

struct event {
	struct event_head head;
	__u32 ifindex;
	__u32 bytes; /* of the frame */
	__u64 time;  /* CLOCK_MONOTONIC */
	__u16 captured;
	__u16 unused[3];
	__u8 frame[EVENT_FRAME]; /* its first bytes */
};

/*
 * sets: an array by the number of a set of a feed, from 1 on; set_hits: a per-CPU array of struct counter, by the same number. A
 * set keeps its number as long as it is loaded. feeds: an array of maps, bpf/feed_format.h; feed_state: an array of one.
 * Sets are staged as list entries are: what is staged counts from the moment when feed_state names the set's slot.
 */
struct feed_state {
	__u32 slot
		[2]; /* of feeds: which one counts, by the lowest bit of the policy's generation */
	union feed_any format
		[]; /* nothing: feeds that another version has written are told by their types */
};

#define SET_NAME 32 /* with its NUL */
#define SET_FILE 80

struct set {
	char name[SET_NAME]; /* empty: there is none of this number */
	__u32 entries4;	     /* as compiled: without what the set's own file says twice */
	__u32 entries6;
	__u64 loaded_at;     /* nanoseconds of CLOCK_REALTIME */
	char file[SET_FILE]; /* of a longer name the end */
	enum stage stage;
	__u8 slot; /* of feeds */
	__u8 unused[6];
	__u32 next_entries4;
	__u32 next_entries6;
	__u64 next_loaded_at;
	char next_file[SET_FILE];
};

#endif
