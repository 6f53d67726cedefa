/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/device.h"

#include <errno.h>
#include <linux/if_arp.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"

/* One interface of the dump. */
struct link {
	char name[IF_NAMESIZE];
	char kind[16];
	int index;
	int below; /* IFLA_LINK, when it is of this namespace; 0: none */
	int master;
	bool ethernet;
};

struct links {
	struct link *items;
	size_t n;
};

static void read_kind(const struct rtattr *info, char ret[16])
{
	const struct rtattr *a = RTA_DATA(info);
	int len = (int)RTA_PAYLOAD(info);

	for (; RTA_OK(a, len); a = RTA_NEXT(a, len))
		if (a->rta_type == IFLA_INFO_KIND)
			snprintf(ret, 16, "%.*s", (int)RTA_PAYLOAD(a), (const char *)RTA_DATA(a));
}

static int read_int(const struct rtattr *a)
{
	int value = 0;

	if (RTA_PAYLOAD(a) >= sizeof(value))
		memcpy(&value, RTA_DATA(a), sizeof(value));
	return value;
}

static struct link read_link(const struct nlmsghdr *h)
{
	const struct ifinfomsg *info = NLMSG_DATA(h);
	const struct rtattr *a = IFLA_RTA(info);
	int len = (int)IFLA_PAYLOAD(h);
	struct link link = {.index = info->ifi_index};
	bool elsewhere = false;

	link.ethernet = info->ifi_type == ARPHRD_ETHER || info->ifi_type == ARPHRD_LOOPBACK;
	for (; RTA_OK(a, len); a = RTA_NEXT(a, len)) {
		if (a->rta_type == IFLA_IFNAME)
			snprintf(link.name, sizeof(link.name), "%.*s", (int)RTA_PAYLOAD(a),
				 (const char *)RTA_DATA(a));
		else if (a->rta_type == IFLA_LINKINFO)
			read_kind(a, link.kind);
		else if (a->rta_type == IFLA_LINK)
			link.below = read_int(a);
		else if (a->rta_type == IFLA_MASTER)
			link.master = read_int(a);
		else if (a->rta_type == IFLA_LINK_NETNSID)
			elsewhere = true;
	}
	/* That of veth is its other end, next to it and not below. */
	if (elsewhere || strcmp(link.kind, "veth") == 0)
		link.below = 0;
	return link;
}

static int append(struct links *all, const struct nlmsghdr *h)
{
	void *grown = reallocarray(all->items, all->n + 1, sizeof(*all->items));

	if (!grown)
		return -ENOMEM;
	all->items = grown;
	all->items[all->n++] = read_link(h);
	return 0;
}

static int receive(int fd, struct links *all)
{
	static const size_t room = 65536;
	_cleanup_free_ char *buf = malloc(room);

	if (!buf)
		return -ENOMEM;
	for (;;) {
		ssize_t n = recv(fd, buf, room, 0);
		struct nlmsghdr *h = (struct nlmsghdr *)buf;

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		for (int len = (int)n; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
			if (h->nlmsg_type == NLMSG_DONE)
				return 0;
			if (h->nlmsg_type == NLMSG_ERROR)
				return ((struct nlmsgerr *)NLMSG_DATA(h))->error;
			if (h->nlmsg_type == RTM_NEWLINK && append(all, h) < 0)
				return -ENOMEM;
		}
	}
}

static int dump(struct links *all)
{
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct {
		struct nlmsghdr h;
		struct ifinfomsg info;
	} ask = {
		.h = {.nlmsg_len = sizeof(ask),
		      .nlmsg_type = RTM_GETLINK,
		      .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
	};

	if (fd < 0 || send(fd, &ask, sizeof(ask), 0) < 0)
		return -errno;
	return receive(fd, all);
}

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
	int rc = dump(&all);
	size_t i;

	for (i = 0; i < all.n && strcmp(all.items[i].name, name) != 0; i++)
		;
	if (rc == 0 && i < all.n)
		fill(&d, &all, &all.items[i]);
	free(all.items);
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
