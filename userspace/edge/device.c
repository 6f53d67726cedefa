/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/device.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "edge/links.h"

static void fill(struct device *d, const struct links *all, const struct link *own)
{
	memcpy(d->name, own->name, sizeof(d->name));
	memcpy(d->kind, own->kind, sizeof(d->kind));
	d->ethernet = own->ethernet;
	for (size_t i = 0; i < all->n; i++) {
		const struct link *l = &all->items[i];

		if (own->master && l->index == own->master) {
			memcpy(d->master, l->name, sizeof(d->master));
			memcpy(d->master_kind, l->kind, sizeof(d->master_kind));
		}
		if (l != own && d->n_lower < DEVICE_LOWERS &&
		    (l->master == own->index || l->index == own->below))
			memcpy(d->lower[d->n_lower++], l->name, sizeof(l->name));
	}
}

int device_read(const char *name, struct device *ret, struct error *err)
{
	struct device d = {.n_lower = 0};
	struct links all = {0};
	int rc = links_read(&all);
	size_t i;

	for (i = 0; i < all.n && strcmp(all.items[i].name, name) != 0; i++)
		;
	if (rc == 0 && i < all.n)
		fill(&d, &all, &all.items[i]);
	links_fini(&all);
	if (rc < 0)
		return error_sys(err, -rc, "%s: rtnetlink", name);
	if (!*d.name)
		return error_set(err, ENODEV, "there is no interface '%s'", name);
	*ret = d;
	return 0;
}

static void name_lowers(const struct device *d, char *ret, size_t room)
{
	size_t at = 0;

	*ret = '\0';
	for (size_t i = 0; i < d->n_lower && at < room; i++)
		at += (size_t)snprintf(ret + at, room - at, "%s%s", i ? ", " : "", d->lower[i]);
}

static bool is(const struct device *d, const char *kind)
{
	return strcmp(d->kind, kind) == 0;
}

void device_explain(const struct device *d, enum conf_xdp_mode asked, enum conf_xdp_mode obtained,
		    int errnum, char ret[DEVICE_TEXT])
{
	const char *end = obtained == CONF_XDP_GENERIC
				  ? "so the guard runs in generic mode"
				  : "and --mode generic works on every Ethernet interface";
	char lowers[DEVICE_LOWERS * (IF_NAMESIZE + 2)];

	*ret = '\0';
	if (asked == CONF_XDP_GENERIC || obtained == CONF_XDP_NATIVE)
		return;
	name_lowers(d, lowers, sizeof(lowers));
	if (is(d, "bond") && d->n_lower)
		snprintf(ret, DEVICE_TEXT,
			 "%s is a bond, which takes a native program when all of its members do "
			 "(%s); they do not (%s), %s",
			 d->name, lowers, strerror(errnum), end);
	else if (is(d, "vlan") && d->n_lower)
		snprintf(ret, DEVICE_TEXT,
			 "%s is a VLAN device, which takes no native program, %s; %s below it may "
			 "take one, and the guard there reads up to two tags",
			 d->name, end, lowers);
	else if (d->n_lower)
		snprintf(ret, DEVICE_TEXT, "%s is a %s on %s and takes no native program (%s), %s",
			 d->name, *d->kind ? d->kind : "device", lowers, strerror(errnum), end);
	else
		snprintf(ret, DEVICE_TEXT,
			 "%s: its driver takes no native program as it is set up now (%s), %s",
			 d->name, strerror(errnum), end);
}
