/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/limits.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "edge/lists.h"

static_assert((int)CONF_LIMITS == (int)LIMIT_CLASSES, "the file's limits are the guard's");
static_assert((int)CONF_LIMIT_FRAGMENTS == (int)LIMIT_FRAGMENTS, "in the same order");
static_assert(CONF_TIERS == TIERS - 1, "everybody's is one of them");

/* Two ticks of the coarse clock: buckets that empty in less time read the other one. */
#define COARSE_DEPTH_NSEC 20000000ULL

#define BYTES_UNIT	  (1ULL << LIMIT_BYTES_SHIFT)

static uint64_t unit_of(unsigned int class)
{
	return class == LIMIT_BYTES ? BYTES_UNIT : 1;
}

static struct limit limit_of(unsigned int class, const struct conf_limit *conf)
{
	uint64_t unit = unit_of(class);

	if (!conf->rate)
		return (struct limit){0};
	return (struct limit){
		.interval = (NSEC_PER_SEC * unit + conf->rate / 2) / conf->rate,
		.burst = (conf->burst + unit - 1) / unit,
	};
}

/* What has a limit anywhere, and how fine a clock it needs. */
static void note_limit(struct policy *policy, unsigned int class, const struct limit *limit)
{
	if (!limit->interval)
		return;
	policy->metered |= 1U << class;
	if (limit->interval * limit->burst < COARSE_DEPTH_NSEC)
		policy->exact_clock = 1;
}

static void fill_tier(struct policy *policy, uint32_t number, struct slice name,
		      const struct conf_limits *limits, const struct conf_limits *otherwise)
{
	struct tier *tier = &policy->tier[number];

	snprintf(tier->name, sizeof(tier->name), "%.*s", SLICE_FMT(name));
	for (unsigned int i = 0; i < LIMIT_CLASSES; i++) {
		tier->limit[i] = limit_of(i,
					  limits->of[i].given ? &limits->of[i] : &otherwise->of[i]);
		note_limit(policy, i, &tier->limit[i]);
	}
}

void edge_limits_fill(struct policy *policy, const struct conf_edge *conf)
{
	const struct conf_limits *everybody = &conf->limits.source;

	policy->ipv4_ignored = (uint16_t)(32 - conf->rate_limit.ipv4_prefix);
	policy->ipv6_ignored = (1ULL << (64 - conf->rate_limit.ipv6_prefix)) - 1;
	policy->tiers = (uint32_t)conf->n_tiers;
	for (unsigned int i = 0; i < LIMIT_CLASSES; i++) {
		policy->port[i] = limit_of(i, &conf->limits.port.of[i]);
		note_limit(policy, i, &policy->port[i]);
	}
	policy->port_metered = policy->metered;
	fill_tier(policy, TIER_EVERYBODY, SLICE(""), everybody, everybody);
	for (uint32_t i = 0; i < conf->n_tiers; i++)
		fill_tier(policy, i + 1, conf->tiers[i].name, &conf->tiers[i].limits, everybody);
}

int edge_tiers_follow_file(struct edge_batch *b, const struct conf_edge *conf, struct error *err)
{
	struct edge_entries all = {0};
	size_t n = 0;
	int rc;

	for (size_t i = 0; i < conf->n_tiers; i++)
		n += conf->tiers[i].sources.n;
	all.items = calloc(n + 1, sizeof(*all.items));
	if (!all.items)
		return error_sys(err, ENOMEM, "%s: tiers", b->edge->name);
	for (size_t i = 0; i < conf->n_tiers; i++)
		for (size_t k = 0; k < conf->tiers[i].sources.n; k++)
			all.items[all.n++] = (struct edge_entry){
				.cidr = conf->tiers[i].sources.items[k],
				.origin = ORIGIN_FILE,
				.note = (uint16_t)(i + 1),
			};
	rc = edge_list_follow(b, EDGE_TIERS, &all, err);
	free(all.items);
	return rc;
}

const char *edge_limit_name(unsigned int class)
{
	static const char *const names[] = {
#define GUARD_LIMIT(id, name, help) #name,
		GUARD_LIMITS(GUARD_LIMIT)
#undef GUARD_LIMIT
	};

	return names[class];
}

uint64_t edge_limit_rate(unsigned int class, const struct limit *limit)
{
	if (!limit->interval)
		return 0;
	return (NSEC_PER_SEC * unit_of(class) + limit->interval / 2) / limit->interval;
}

uint64_t edge_limit_burst(unsigned int class, const struct limit *limit)
{
	return limit->burst * unit_of(class);
}

int edge_verified_count(const struct edge *e, size_t *ret, struct error *err)
{
	const size_t size = EDGE_VERIFIED_PLACES * sizeof(struct verified);
	const struct verified *places = mmap(NULL, size, PROT_READ, MAP_SHARED, e->verified, 0);
	uint64_t now = clock_mono();
	size_t n = 0;

	if (places == MAP_FAILED)
		return error_sys(err, errno, "%s: verified", e->name);
	for (size_t i = 0; i < EDGE_VERIFIED_PLACES; i++)
		n += places[i].idle_at > now;
	munmap((void *)places, size);
	*ret = n;
	return 0;
}
