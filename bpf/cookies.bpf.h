/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which SYNs are worth a cookie while few of them come back. A cookie costs more than a dropped packet, so each CPU sends only as
 * many as its budget holds, and a valid one that comes back pays for more: clients pay for themselves, a flood does not.
 * There are three budgets, so that forged sources take nothing from those who are known, and from a new client no
 * more than a second: its SYN comes again (RFC 6298: after 1 s, then 2 s and 4 s), as forged ones at random do not. Of the budget
 * for those who are known each has a part only, so that one of them can't take all; beyond it he is treated as a stranger.
 */
#ifndef BPF_COOKIES_BPF_H
#define BPF_COOKIES_BPF_H

#include "bpf/bucket.bpf.h"
#include "bpf/known.bpf.h"

#define COOKIES_PARTS 16 /* of what there is for known sources one may have */

/* In units of WAITING_SHIFT. */
#define WAITING_FROM  3	 /* 0.5 to 0.8 s */
#define WAITING_KEPT  5	 /* 1.1 s, excluded: a SYN is kept until it has come again */
#define WAITING_TO    16 /* 4 s, excluded */
#define WAITING_WORDS ((WAITING_WAYS + 1) / 4)

/* Take what one cookie costs; this CPU's own, so that no other one waits. False when there is nothing left. */
static __always_inline bool cookies_spend(const struct policy *policy, enum cookie_budget budget,
					  __u64 now)
{
	const struct limit *limit = &policy->cookies;
	__u32 key = 0;
	struct cookie_budgets *all = bpf_map_lookup_elem(&cookies, &key);
	__u64 from;

	if (!all)
		return true;
	from = all->full_at[budget] > now ? all->full_at[budget] : now;
	if (from - now + limit->interval > limit->interval * limit->burst)
		return false;
	all->full_at[budget] = from + limit->interval;
	return true;
}

static __always_inline void cookies_pay(__u64 *full_at, __u64 paid)
{
	*full_at -= paid < *full_at ? paid : *full_at;
}

/*
 * Take what one cookie costs from a known source's part, false when nothing is left; or, back: one has come back. Global, so that
 * the verifier looks at it once.
 */
__noinline bool cookies_part(const struct policy *policy, __u64 source, __u64 now, bool back)
{
	__u64 *part, interval, burst;
	bool own;

	if (!policy)
		return false;
	interval = policy->cookies.interval * COOKIES_PARTS;
	burst = policy->cookies.burst / COOKIES_PARTS ?: 1;
	part = bucket_find(bucket_key(source, LIMIT_CLASSES), now, interval * burst, &own);
	if (part && own && back) /* what is shared is others' debt, too */
		cookies_pay(part, interval * COOKIES_RETURN);
	return part && !back && bucket_charge(part, now, interval, burst);
}

/* A cookie has come back from a source. */
static __always_inline void cookies_return(const struct policy *policy, enum cookie_budget budget,
					   __u64 source, __u64 now)
{
	__u32 key = 0;
	struct cookie_budgets *all = bpf_map_lookup_elem(&cookies, &key);

	if (all)
		cookies_pay(&all->full_at[budget], policy->cookies.interval * COOKIES_RETURN);
	if (budget == COOKIES_KNOWN)
		cookies_part(policy, source, now, true);
}

/* Whether one of the set's SYNs may have this tag, which is not 0: four at a time. */
static __always_inline bool waiting_has(const struct waiting_set *set, __u16 tag)
{
	const __u64 ones = 0x0001000100010001ULL;
	__u64 found = 0;

#pragma unroll
	for (int i = 0; i < WAITING_WORDS; i++) {
		__u64 other = (set->word[i] ^ tag * ones) & WAITING_TAG * ones;

		found |= (other - ones) & ~other & 0x8000 * ones;
	}
	return found;
}

/* Goes round after 17 s. */
static __always_inline __u32 waiting_age(__u16 seen, __u64 now)
{
	return ((now >> WAITING_SHIFT) - seen) & WAITING_TIME;
}

/* Remember a SYN, unless the one in its place may still come again: so is who has been remembered never forgotten too soon. */
static __always_inline void waiting_put(struct waiting_set *set, __u16 tag, __u64 now)
{
	__u32 place = set->seen[0] % WAITING_WAYS;

	set->seen[0] = place + 1;
	barrier_var(place); /* or the compiler removes the bound that the verifier wants to see */
	if (place < WAITING_WAYS &&
	    (!set->seen[place + 1] || waiting_age(set->seen[place + 1], now) >= WAITING_KEPT))
		set->seen[place + 1] = tag | ((now >> WAITING_SHIFT) & WAITING_TIME);
}

static __always_inline struct waiting_set *waiting_of(__u64 syn)
{
	__u32 index = syn & (WAITING_SETS - 1);

	return bpf_map_lookup_elem(&waiting, &index);
}

/* Whether the same SYN came a while ago. If not, it is remembered. */
static __always_inline bool cookies_waited(struct waiting_set *set, __u64 syn, __u64 now)
{
	__u16 tag = syn >> 48 & WAITING_TAG;

	if (!set)
		return false;
	if (!tag)
		tag = WAITING_TIME + 1;
	if (!waiting_has(set, tag)) {
		waiting_put(set, tag, now);
		return false;
	}
	for (int i = 1; i <= WAITING_WAYS; i++) {
		__u32 age = waiting_age(set->seen[i], now);

		if ((set->seen[i] ^ tag) & WAITING_TAG)
			continue;
		if (age >= WAITING_FROM && age < WAITING_TO)
			return true;
		if (age >= WAITING_TO)
			set->seen[i] = tag | ((now >> WAITING_SHIFT) & WAITING_TIME);
	}
	return false;
}

/*
 * source is bucket_key's, of the source; ports are the SYN's. Two cold lines decide: the second one is on its way while the first is
 * looked at. No function of its own, for a return would end that.
 */
static __always_inline bool cookies_allow(const struct policy *policy, __u64 source, __u32 ports,
					  __u64 now)
{
	__u64 syn = bucket_key(source ^ ports, LIMIT_SYNS);
	struct waiting_set *set = waiting_of(syn);

	if (set)
		(void)*(volatile __u64 *)set->word;
	if (is_known(source) && cookies_part(policy, source, now, false) &&
	    cookies_spend(policy, COOKIES_KNOWN, now))
		return true;
	if (cookies_spend(policy, COOKIES_FIRST, now))
		return true;
	return cookies_waited(set, syn, now) && cookies_spend(policy, COOKIES_AGAIN, now);
}

#endif
