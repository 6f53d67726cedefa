/* SPDX-License-Identifier: Apache-2.0 */
#include "route/split.h"

/* 2^64 divided by the golden ratio: its multiples fill the range evenly (Knuth, TAOCP 6.4). */
#define GOLDEN 0x9e3779b97f4a7c15ULL

static bool sticky_value(const struct conf_route *r, const struct http_head *head,
			 struct slice *ret)
{
	if (r->sticky == CONF_STICKY_COOKIE)
		return http_head_cookie(head, r->sticky_name, ret);
	for (size_t i = 0; r->sticky == CONF_STICKY_HEADER && i < head->n_fields; i++) {
		if (!slice_ieq(head->fields[i].name, r->sticky_name))
			continue;
		*ret = head->fields[i].value;
		return true;
	}
	return false;
}

size_t split_pick(const struct conf_route *route, const struct http_head *head, uint64_t turn,
		  const struct hash_key *key)
{
	uint64_t point = turn * GOLDEN;
	uint64_t total = 0;
	struct slice value;
	uint64_t at;

	if (route->n_split == 1)
		return route->split[0].service;
	if (sticky_value(route, head, &value))
		point = hash_slice(key, value);
	for (size_t i = 0; i < route->n_split; i++)
		total += route->split[i].weight;
	at = (uint64_t)(((unsigned __int128)point * total) >> 64);
	for (size_t i = 0; i < route->n_split; i++) {
		if (at < route->split[i].weight)
			return route->split[i].service;
		at -= route->split[i].weight;
	}
	return route->split[0].service;
}
