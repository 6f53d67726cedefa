/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packet plane as a library: attach the guard to an interface, find it again by its pins, apply a file's
 * policy to it. What is attached stays attached when its maker ends; all state is in the kernel, under
 * EDGE_ROOT/INTERFACE (a '.' of the name is written ':', bpffs keeps dots for itself).
 */
#ifndef EDGE_EDGE_H
#define EDGE_EDGE_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "bpf/abi.h"
#include "conf/config.h"
#include "edge/device.h"
#include "edge/hook.h"

struct bpf_object;
struct edge_feeds;

#define EDGE_ROOT "/sys/fs/bpf/sluice"

/* The pinned maps by their names: lists, whose values are list_values, and all. bpf/abi.h says what they hold. */
#define EDGE_LISTS(MAP)                                                                            \
	MAP(allow4)                                                                                \
	MAP(allow6) MAP(deny4) MAP(deny6) MAP(never4) MAP(never6) MAP(tiers4) MAP(tiers6)
#define EDGE_MAPS(MAP)                                                                             \
	EDGE_LISTS(MAP)                                                                            \
	MAP(bans)                                                                                  \
	MAP(ban_filter)                                                                            \
	MAP(rules)                                                                                 \
	MAP(lengths)                                                                               \
	MAP(state)                                                                                 \
	MAP(policy)                                                                                \
	MAP(ports)                                                                                 \
	MAP(notes)                                                                                 \
	MAP(counters)                                                                              \
	MAP(tallies)                                                                               \
	MAP(verified)                                                                              \
	MAP(talkers)                                                                               \
	MAP(watch)                                                                                 \
	MAP(watch_counts)                                                                          \
	MAP(events)                                                                                \
	MAP(sets)                                                                                  \
	MAP(set_hits)                                                                              \
	MAP(feed_state)                                                                            \
	MAP(feeds)

/* One attached interface: descriptors of its pinned objects. */
struct edge {
	char name[IF_NAMESIZE];
	struct hook hook;
#define EDGE_MAP(map) int map;
	EDGE_MAPS(EDGE_MAP)
#undef EDGE_MAP
	struct state *shared;	    /* the map state, mapped */
	struct lengths *in_use;	    /* the map lengths, mapped */
	uint64_t *ban_filter_words; /* the map ban_filter, mapped */
};

/*
 * Serialise whoever changes the packet plane: waits for the others. Mounts bpffs and makes EDGE_ROOT when they are
 * missing, and removes what a killed command left half-made. The descriptor, to be closed, or -errno.
 */
int edge_lock(struct error *err);

/* The same, but waits no longer than half a second. -EWOULDBLOCK: another one still has it. */
int edge_lock_soon(struct error *err);

struct edge_attachment {
	char name[IF_NAMESIZE];
	enum conf_xdp_mode mode; /* asked for */
	bool share;		 /* by libxdp's dispatcher, beside other programs */
	char note[DEVICE_TEXT];	 /* set by edge_attach: why auto became generic; "": it did not */
};

/*
 * Attach the guard with the policy of cfg (NULL: none) and its feeds (NULL: none) to interfaces, all or none, under the
 * lock. Seen from outside it
 * happens at once: before it is pinned under its name nothing of it stays when the process dies. An interface that had
 * gone and is back gets the maps that are still pinned for it, lists of the operator's included. Errors, which
 * change nothing: -EEXIST already attached; -EBUSY a foreign XDP program; -ENODEV no such interface; -EOPNOTSUPP
 * the mode, or sharing; -EPERM; -EPROTO pins of another layout.
 */
int edge_attach(struct edge_attachment *a, size_t n, const struct config *cfg,
		const struct edge_feeds *feeds, struct error *err);

/*
 * Put this build's program in place of the attached ones, with their maps, all or none: one update of each link, so that
 * every packet meets one of the two; a shared one joins the dispatcher before the old one leaves, so that for a moment packets
 * meet both. Under the lock. ret_changed (may be NULL) tells for each whether it was replaced
 * (buckets begin full) or is the same program already. -ENOENT not attached, -ENODEV the interface has gone, -EPROTO maps of
 * another layout; errors change nothing. Maps whose values only grew are copied, and so are the bans where cfg (NULL: as they
 * are) has room for more; what is counted or edited by others between copy and update is lost.
 */
int edge_upgrade(const char (*names)[IF_NAMESIZE], size_t n, const struct config *cfg,
		 bool *ret_changed, struct error *err);

/* All or none, under the lock. -ENOENT: one is not attached; -EXDEV: one is shared, in another network namespace. */
int edge_detach(const char (*names)[IF_NAMESIZE], size_t n, struct error *err);

/* Open the pins of an attached interface. -ENOENT: not attached; -EPROTO: of another layout. */
int edge_open(const char *name, struct edge *ret, struct error *err);

/* The same of maps that are not pinned yet; there is no link. */
int edge_open_object(const char *name, const struct bpf_object *obj, struct edge *ret,
		     struct error *err);
void edge_close(struct edge *e);

/* False: the guard of that name was detached, attached anew or upgraded since, and its maps are others. For who goes on for long. */
bool edge_is_current(const struct edge *e);

/*
 * Make the entries of the file those of cfg, and ports and policy, too, on all of the interfaces or none; entries of the
 * operator stay. Every packet meets all of the old policy or all of the new one, feeds (the file's, by edge_feeds_load; NULL:
 * those that are there stay) included; on failure nothing has changed. Bans of what bans.never names are lifted; warn (may be
 * NULL) is told that, and of bans that are wider and stay. Under the lock. -ENODEV: the SYN gate is on, for which this network
 * namespace's settings are read, and an interface is in another one.
 */
int edge_apply(const struct edge *edges, size_t n, const struct config *cfg,
	       const struct edge_feeds *feeds, void (*warn)(const char *text), struct error *err);

struct edge_status {
	bool attached; /* false: the interface is gone, or somebody took the guard off it */
	enum conf_xdp_mode asked;
	enum conf_xdp_mode
		mode; /* obtained; CONF_XDP_AUTO: not visible from this network namespace */
	uint32_t ifindex;
	uint32_t program_id;
	uint8_t program_tag[8]; /* the same instructions, the same tag */
	uint32_t program_bytes; /* of machine code */
	uint32_t link_id;	/* 0: shared */
	bool is_shared;
	struct share
		share; /* with whom; without a dispatcher when it has gone, or is not visible from here */
	uint64_t loaded_at;  /* CLOCK_REALTIME ns */
	uint32_t generation; /* how often the policy was applied */
	struct policy policy;
};

/* The policy that is in force. */
int edge_policy(const struct edge *e, struct policy *ret, struct error *err);

int edge_status(const struct edge *e, struct edge_status *ret, struct error *err);

/* -ENODEV: its interface has gone, or is not in this network namespace. */
int edge_check_here(const struct edge *e, const struct edge_status *status, struct error *err);

/* Sums over all CPUs since the attach. */
int edge_stats(const struct edge *e, struct counter ret[REASON_COUNT], struct error *err);

/* Events, likewise: a packet may have several, or none. */
int edge_tallies(const struct edge *e, uint64_t ret[TALLY_COUNT], struct error *err);

/* Call fn for every attached interface, in alphabetical order, until it returns something else than 0. */
int edge_each(int (*fn)(const char *name, void *arg), void *arg, struct error *err);

#endif
