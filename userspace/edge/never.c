/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/never.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "conf/cidr.h"
#include "conf/cidr_index.h"
#include "edge/bans.h"

/* Lift those that are named; bans become those that stay. How many. */
static int lift(struct edge_batch *b, const struct conf_cidr_index *never,
		struct conf_cidr_index *bans, struct error *err)
{
	struct conf_cidr *items = (void *)bans->items;
	size_t kept = 0;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < bans->n; i++)
		if (conf_cidr_index_longest(never, &items[i]))
			rc = edge_unban(b, &items[i], err);
		else
			items[kept++] = items[i];
	if (rc < 0)
		return rc;
	rc = (int)(bans->n - kept);
	bans->n = kept;
	return rc;
}

/* Each ban that stays around a name, once. */
static int warn_of_wider(const char *interface, const struct conf_cidr_index *never,
			 const struct conf_cidr_index *bans, void (*warn)(const char *text),
			 struct error *err)
{
	const struct conf_cidr *names = (const void *)never->items;
	_cleanup_free_ bool *told = calloc(bans->n + 1, sizeof(*told));

	if (!told)
		return error_sys(err, ENOMEM, "%s: bans", interface);
	for (size_t i = 0; i < never->n; i++)
		for (int length = 0; length < names[i].prefixlen; length++) {
			const struct conf_cidr *ban = conf_cidr_index_at(bans, &names[i],
									 (unsigned int)length);
			size_t number =
				ban ? (size_t)(ban -
					       (const struct conf_cidr *)(const void *)bans->items)
				    : 0;
			char name[CONF_CIDR_TEXT], banned[CONF_CIDR_TEXT], text[256];

			if (!ban || told[number])
				continue;
			told[number] = true;
			conf_cidr_format(&names[i], name);
			conf_cidr_format(ban, banned);
			snprintf(text, sizeof(text),
				 "%s: the ban of %s stays, and holds %s, which is never to be "
				 "banned",
				 interface, banned, name);
			warn(text);
		}
	return 0;
}

int edge_never_lift(struct edge_batch *b, const struct conf_cidrs *never,
		    void (*warn)(const char *text), struct error *err)
{
	_cleanup_(edge_banned_list_fini) struct edge_banned_list list = {0};
	_cleanup_free_ struct conf_cidr *names = NULL, *banned = NULL;
	struct conf_cidr_index sorted, bans;
	int rc, lifted;

	rc = never->n ? edge_bans_read(b->edge, &list, err) : 0;
	if (rc < 0 || list.n == 0)
		return rc;
	names = calloc(never->n, sizeof(*names));
	banned = calloc(list.n, sizeof(*banned));
	if (!names || !banned)
		return error_sys(err, ENOMEM, "%s: bans", b->edge->name);
	memcpy(names, never->items, never->n * sizeof(*names));
	for (size_t i = 0; i < list.n; i++)
		banned[i] = list.items[i].cidr;
	conf_cidr_index_init(&sorted, names, never->n, sizeof(*names));
	conf_cidr_index_init(&bans, banned, list.n, sizeof(*banned));
	lifted = lift(b, &sorted, &bans, err);
	if (lifted < 0)
		return lifted;
	rc = warn ? warn_of_wider(b->edge->name, &sorted, &bans, warn, err) : 0;
	return rc < 0 ? rc : lifted;
}
