/* SPDX-License-Identifier: Apache-2.0 */
#include "loader/limits.h"

#include <inttypes.h>
#include <stdio.h>

#include "edge/limits.h"
#include "edge/lists.h"

/* "10MiB", "1500": bytes in the largest unit that divides them. */
static void print_bytes(uint64_t n)
{
	static const char *const units[] = {"", "KiB", "MiB", "GiB"};
	int i = 0;

	while (i < 3 && n && n % 1024 == 0) {
		n /= 1024;
		i++;
	}
	printf("%" PRIu64 "%s", n, units[i]);
}

static void print_number(unsigned int class, uint64_t n)
{
	if (class == LIMIT_BYTES)
		print_bytes(n);
	else
		printf("%" PRIu64, n);
}

static bool same(const struct limit *a, const struct limit *b)
{
	return a->interval == b->interval && a->burst == b->burst;
}

/* A line a limit; those that are as otherwise (NULL: none) go without saying. How many there were. */
static int print_limits(const char *title, const struct limit *limits,
			const struct limit *otherwise)
{
	static const struct limit none[LIMIT_CLASSES];
	int n = 0;

	for (unsigned int i = 0; i < LIMIT_CLASSES; i++) {
		if (same(&limits[i], otherwise ? &otherwise[i] : &none[i]))
			continue;
		printf("  %-11s %s ", n++ ? "" : title, edge_limit_name(i));
		if (limits[i].interval) {
			print_number(i, edge_limit_rate(i, &limits[i]));
			printf("/s, burst ");
			print_number(i, edge_limit_burst(i, &limits[i]));
			putchar('\n');
		} else {
			printf("without limit\n");
		}
	}
	return n;
}

static size_t sources_of(const struct edge_entries *entries, uint32_t tier)
{
	size_t n = 0;

	for (size_t i = 0; i < entries->n; i++)
		n += entries->items[i].note == tier;
	return n;
}

static void print_tiers(const struct edge *e, const struct policy *policy)
{
	struct edge_entries entries = {0};

	if (policy->tiers == 0 || edge_list_read(e, EDGE_TIERS, &entries, NULL) < 0)
		return;
	for (uint32_t i = 1; i <= policy->tiers && i < TIERS; i++) {
		printf("  tier        %.23s, prefixes: %zu\n", policy->tier[i].name,
		       sources_of(&entries, i));
		print_limits("", policy->tier[i].limit, policy->tier[TIER_EVERYBODY].limit);
	}
	edge_entries_fini(&entries);
}

void limits_print(const struct edge *e, const struct policy *policy)
{
	uint64_t tallies[TALLY_COUNT];
	size_t verified;

	if (policy->mode == GUARD_SHADOW)
		printf("  mode        shadow: everything passes\n");
	if (print_limits("per source", policy->tier[TIER_EVERYBODY].limit, NULL) == 0)
		printf("  per source  no limits\n");
	print_limits("per port", policy->port, NULL);
	print_tiers(e, policy);
	if (policy->metered && edge_tallies(e, tallies, NULL) == 0 &&
	    edge_verified_count(e, &verified, NULL) == 0)
		printf("  verified    %zu of at most %zu sources; packets of others refused a "
		       "place: "
		       "%" PRIu64 "\n",
		       verified, EDGE_VERIFIED_PLACES, tallies[TALLY_VERIFIED_REFUSED]);
}

static json_t *to_json(const struct limit *limits)
{
	json_t *all = json_object();

	for (unsigned int i = 0; i < LIMIT_CLASSES; i++)
		if (limits[i].interval)
			json_object_set_new(all, edge_limit_name(i),
					    json_pack("{s:I, s:I}", "rate",
						      (json_int_t)edge_limit_rate(i, &limits[i]),
						      "burst",
						      (json_int_t)edge_limit_burst(i, &limits[i])));
	return all;
}

static json_t *tiers_json(const struct edge *e, const struct policy *policy)
{
	struct edge_entries entries = {0};
	json_t *all = json_array();

	if (policy->tiers == 0 || edge_list_read(e, EDGE_TIERS, &entries, NULL) < 0)
		return all;
	for (uint32_t i = 1; i <= policy->tiers && i < TIERS; i++)
		json_array_append_new(all,
				      json_pack("{s:s, s:I, s:o}", "name", policy->tier[i].name,
						"prefixes", (json_int_t)sources_of(&entries, i),
						"limits", to_json(policy->tier[i].limit)));
	edge_entries_fini(&entries);
	return all;
}

void limits_json(const struct edge *e, const struct policy *policy, json_t *into)
{
	uint64_t tallies[TALLY_COUNT] = {0};
	size_t verified = 0;

	edge_tallies(e, tallies, NULL);
	edge_verified_count(e, &verified, NULL);
	json_object_set_new(into, "shadow", json_boolean(policy->mode == GUARD_SHADOW));
	json_object_set_new(into, "ipv4_prefix", json_integer(32 - policy->ipv4_ignored));
	json_object_set_new(
		into, "ipv6_prefix",
		json_integer(64 - __builtin_popcountll((unsigned long long)policy->ipv6_ignored)));
	json_object_set_new(into, "limits",
			    json_pack("{s:o, s:o}", "source",
				      to_json(policy->tier[TIER_EVERYBODY].limit), "port",
				      to_json(policy->port)));
	json_object_set_new(into, "tiers", tiers_json(e, policy));
	json_object_set_new(into, "verified",
			    json_pack("{s:I, s:I, s:I, s:I}", "sources", (json_int_t)verified,
				      "places", (json_int_t)EDGE_VERIFIED_PLACES, "ever",
				      (json_int_t)tallies[TALLY_VERIFIED], "refused",
				      (json_int_t)tallies[TALLY_VERIFIED_REFUSED]));
}
