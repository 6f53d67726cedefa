/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/links.h"

#include <errno.h>
#include <linux/if_arp.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"

static int type_of(const struct rtattr *a)
{
	return a->rta_type & NLA_TYPE_MASK;
}

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

/* The first setting of either family's is forwarding (linux/ip.h, linux/ipv6.h: enum of DEVCONF). */
static bool read_forwarding(const struct rtattr *family, int conf)
{
	const struct rtattr *a = RTA_DATA(family);
	int len = (int)RTA_PAYLOAD(family);

	for (; RTA_OK(a, len); a = RTA_NEXT(a, len))
		if (type_of(a) == conf)
			return read_int(a) != 0;
	return false;
}

static void read_families(const struct rtattr *spec, struct link *l)
{
	const struct rtattr *a = RTA_DATA(spec);
	int len = (int)RTA_PAYLOAD(spec);

	for (; RTA_OK(a, len); a = RTA_NEXT(a, len))
		if (type_of(a) == AF_INET)
			l->forwards4 = read_forwarding(a, IFLA_INET_CONF);
		else if (type_of(a) == AF_INET6)
			l->forwards6 = read_forwarding(a, IFLA_INET6_CONF);
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
		else if (a->rta_type == IFLA_ADDRESS && RTA_PAYLOAD(a) == sizeof(link.mac)) {
			memcpy(link.mac, RTA_DATA(a), sizeof(link.mac));
			link.has_mac = true;
		} else if (type_of(a) == IFLA_AF_SPEC) {
			read_families(a, &link);
		}
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

static int dump(struct links *ret)
{
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct {
		struct nlmsghdr h;
		struct ifinfomsg info;
		struct rtattr a;
		uint32_t filter;
	} ask = {
		.h = {.nlmsg_len = sizeof(ask),
		      .nlmsg_type = RTM_GETLINK,
		      .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.a = {.rta_len = RTA_LENGTH(sizeof(ask.filter)), .rta_type = IFLA_EXT_MASK},
		.filter = RTEXT_FILTER_SKIP_STATS,
	};

	if (fd < 0 || send(fd, &ask, sizeof(ask), 0) < 0)
		return -errno;
	return receive(fd, ret);
}

int links_read(struct links *ret)
{
	struct links all = {0};
	int rc = dump(&all);

	if (rc < 0)
		links_fini(&all);
	else
		*ret = all;
	return rc;
}

void links_fini(struct links *all)
{
	free(all->items);
	*all = (struct links){0};
}
