/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/local.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

static bool is(const struct link *l, const char *kind)
{
	return strcmp(l->kind, kind) == 0;
}

/*
 * Whether this host takes frames to the address of l that come in by m: l is a device on m or has m as a member, or the other way
 * round where members answer by addresses of their own. Frames to a macvtap are a virtual machine's.
 */
static bool takes(const struct link *l, const struct link *m)
{
	if (l->index == m->master)
		return true;
	if (l->below == m->index)
		return is(l, "vlan") || is(l, "macvlan") || is(l, "ipvlan");
	if (l->master == m->index)
		return is(m, "bond") || is(m, "team");
	return is(l, "openvswitch") && is(m, "openvswitch");
}

/* Mark all that takes what comes in by the first one that is marked. */
static void mark(const struct links *all, bool *in)
{
	bool grew = true;

	while (grew) {
		grew = false;
		for (size_t m = 0; m < all->n; m++)
			for (size_t l = 0; in[m] && l < all->n; l++) {
				if (in[l] || !takes(&all->items[l], &all->items[m]))
					continue;
				in[l] = true;
				grew = true;
			}
	}
}

static bool has(const struct local *local, const uint8_t mac[6])
{
	for (size_t i = 0; i < local->macs; i++)
		if (memcmp(local->mac[i].addr, mac, 6) == 0)
			return true;
	return false;
}

/* False: there is no room. */
static bool add(struct local *local, const struct link *l)
{
	if (!l->has_mac || has(local, l->mac))
		return true;
	if (local->macs == LOCAL_MACS)
		return false;
	memcpy(local->mac[local->macs++].addr, l->mac, sizeof(l->mac));
	return true;
}

/*
 * The routes are asked by an interface that forwards, for they say nothing by another. IPv6 packets are forwarded whatever their
 * interface says, when the whole host does.
 */
static void find_routes(const struct links *all, const bool *in, const struct link *own,
			struct local *ret)
{
	for (size_t i = 0; i < all->n; i++) {
		const struct link *l = &all->items[i];

		if (l->forwards4 && in[i] && (!ret->route4 || l == own))
			ret->route4 = (uint32_t)l->index;
		if (l->forwards6 && (!ret->route6 || l == own))
			ret->route6 = (uint32_t)l->index;
	}
}

bool local_find(const struct links *all, int index, struct local *ret)
{
	_cleanup_free_ bool *in = calloc(all->n + 1, sizeof(*in));
	struct local local = {0};
	bool room = true;
	size_t own;

	*ret = (struct local){0};
	for (own = 0; own < all->n && all->items[own].index != index; own++)
		;
	if (!in || own == all->n)
		return false;
	in[own] = true;
	mark(all, in);
	find_routes(all, in, &all->items[own], &local);
	room = all->items[own].has_mac && add(&local, &all->items[own]);
	for (size_t i = 0; room && i < all->n; i++)
		room = !in[i] || add(&local, &all->items[i]);
	if (!room) {
		local.macs = 0;
		memset(local.mac, 0, sizeof(local.mac));
	}
	*ret = local;
	return true;
}

int local_read(const char *name, int index, struct local *ret, struct error *err)
{
	struct links all;
	int rc = links_read(&all);

	if (rc < 0)
		return error_sys(err, -rc, "%s: rtnetlink", name);
	if (!local_find(&all, index, ret))
		rc = error_set(err, ENODEV, "there is no interface '%s'", name);
	links_fini(&all);
	return rc;
}
