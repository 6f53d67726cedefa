/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/never.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "conf/cidr.h"
#include "edge/bans.h"

static int compare(const void *a, const void *b)
{
	return conf_cidr_compare(a, b);
}

/* Of the sorted ones, that of this length around a prefix; NULL: there is none. */
static struct conf_cidr *around(const struct conf_cidrs *sorted, const struct conf_cidr *cidr,
				int length)
{
	struct conf_cidr key = conf_cidr_around(cidr, (uint8_t)length);

	return sorted->n ? bsearch(&key, sorted->items, sorted->n, sizeof(key), compare) : NULL;
}

static bool is_named(const struct conf_cidrs *never, const struct conf_cidr *ban)
{
	for (int length = 0; length <= ban->prefixlen; length++)
		if (around(never, ban, length))
			return true;
	return false;
}

/* Lift those that are named; bans become those that stay. How many. */
static int lift(struct edge_batch *b, const struct conf_cidrs *never, struct conf_cidrs *bans,
		struct error *err)
{
	size_t kept = 0;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < bans->n; i++)
		if (is_named(never, &bans->items[i]))
			rc = edge_unban(b, &bans->items[i], err);
		else
			bans->items[kept++] = bans->items[i];
	if (rc < 0)
		return rc;
	rc = (int)(bans->n - kept);
	bans->n = kept;
	return rc;
}

/* Each ban that stays around a name, once. */
static int warn_of_wider(const char *interface, const struct conf_cidrs *never,
			 const struct conf_cidrs *bans, void (*warn)(const char *text),
			 struct error *err)
{
	_cleanup_free_ bool *told = calloc(bans->n + 1, sizeof(*told));

	if (!told)
		return error_sys(err, ENOMEM, "%s: bans", interface);
	for (size_t i = 0; i < never->n; i++)
		for (int length = 0; length < never->items[i].prefixlen; length++) {
			const struct conf_cidr *ban = around(bans, &never->items[i], length);
			char name[CONF_CIDR_TEXT], banned[CONF_CIDR_TEXT], text[256];

			if (!ban || told[ban - bans->items])
				continue;
			told[ban - bans->items] = true;
			conf_cidr_format(&never->items[i], name);
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
	struct conf_cidrs sorted, bans;
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
	qsort(names, never->n, sizeof(*names), compare);
	qsort(banned, list.n, sizeof(*banned), compare);
	sorted = (struct conf_cidrs){names, never->n};
	bans = (struct conf_cidrs){banned, list.n};
	lifted = lift(b, &sorted, &bans, err);
	if (lifted < 0)
		return lifted;
	rc = warn ? warn_of_wider(b->edge->name, &sorted, &bans, warn, err) : 0;
	return rc < 0 ? rc : lifted;
}
