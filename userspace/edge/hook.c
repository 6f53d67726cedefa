/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/hook.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/cleanup.h"
#include "bpf/abi.h"
#include "edge/edge.h"
#include "edge/pin.h"

/* The map state of this build or of another one: what it does not know is 0. */
static int read_state(enum edge_dir dir, const char *name, struct state *ret)
{
	_cleanup_close_ int fd = edge_get_in(dir, name, "state");
	_cleanup_free_ void *value = NULL;
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);
	uint32_t key = 0;

	if (fd < 0)
		return fd;
	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return -errno;
	value = calloc(1, info.value_size + sizeof(*ret));
	if (!value)
		return -ENOMEM;
	if (bpf_map_lookup_elem(fd, &key, value) < 0)
		return -errno;
	memcpy(ret, value, sizeof(*ret));
	return 0;
}

static int open_shared(enum edge_dir dir, const char *name, struct hook *ret)
{
	_cleanup_close_ int fd = edge_get_in(dir, name, "program");
	struct bpf_prog_info info = {0};
	struct state state = {0};
	int rc = fd < 0 ? fd : edge_program_info(fd, &info);

	if (rc == 0 && info.type != BPF_PROG_TYPE_EXT)
		rc = -ENOENT;
	if (rc < 0)
		return rc;
	rc = read_state(dir, name, &state);
	if (rc == -ENOENT && dir == EDGE_DIR_UPGRADE)
		rc = read_state(EDGE_DIR, name, &state);
	if (rc == 0)
		*ret = (struct hook){
			.link = -1,
			.program = take_fd(fd),
			.ifindex = state.ifindex,
			.netns = state.netns,
		};
	return rc;
}

int hook_open(enum edge_dir dir, const char *name, struct hook *ret)
{
	int link = edge_get_in(dir, name, "link");

	if (link == -ENOENT)
		return open_shared(dir, name, ret);
	if (link < 0)
		return link;
	*ret = (struct hook){.link = link, .program = -1};
	return 0;
}

void hook_close(struct hook *h)
{
	closep(&h->link);
	closep(&h->program);
	*h = HOOK_NONE;
}

uint64_t hook_netns(void)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len) < 0)
		return 0;
	return cookie;
}

bool hook_is_elsewhere(const struct hook *h)
{
	return hook_is_shared(h) && h->netns != hook_netns();
}

int hook_check_here(const struct hook *h, const char *name, struct error *err)
{
	char pins[EDGE_PATH];

	if (!hook_is_elsewhere(h))
		return 0;
	edge_path(pins, EDGE_DIR, name, NULL);
	return error_set(err, EXDEV,
			 "%s is shared with other programs in another network namespace: run this "
			 "there (nsenter --net=/run/netns/NAME), or, when that has gone for good, "
			 "remove %s",
			 name, pins);
}

uint32_t hook_id(const struct hook *h)
{
	struct hook_state s = {.link_id = 0};
	struct bpf_prog_info info = {0};

	if (hook_is_shared(h))
		return edge_program_info(h->program, &info) < 0 ? 0 : info.id;
	return hook_read(h, &s) < 0 ? 0 : s.link_id;
}

static int read_shared(const struct hook *h, struct hook_state *ret)
{
	struct bpf_prog_info info = {0};
	int rc = edge_program_info(h->program, &info);
	bool attached;

	if (rc < 0)
		return rc;
	attached = hook_is_elsewhere(h) || share_holds(h->ifindex, info.id);
	*ret = (struct hook_state){
		.program_id = info.id,
		.ifindex = attached ? h->ifindex : 0,
	};
	return 0;
}

int hook_read(const struct hook *h, struct hook_state *ret)
{
	struct bpf_link_info info = {0};
	uint32_t len = sizeof(info);

	if (hook_is_shared(h))
		return read_shared(h, ret);
	if (bpf_obj_get_info_by_fd(h->link, &info, &len) < 0)
		return -errno;
	*ret = (struct hook_state){
		.ifindex = info.xdp.ifindex,
		.program_id = info.prog_id,
		.link_id = info.id,
	};
	return 0;
}

bool hook_guards(const char *name)
{
	struct hook_state state = {.ifindex = 0};
	struct hook hook = HOOK_NONE;
	int rc = hook_open(EDGE_DIR, name, &hook);

	if (rc < 0)
		return false;
	rc = hook_read(&hook, &state);
	hook_close(&hook);
	return rc == 0 && state.ifindex && state.ifindex == if_nametoindex(name);
}

int hook_update(const struct hook *h, int from, int to)
{
	LIBBPF_OPTS(bpf_link_update_opts, opts, .flags = BPF_F_REPLACE,
		    .old_prog_fd = (uint32_t)from);

	return bpf_link_update(h->link, to, &opts) < 0 ? -errno : 0;
}

int hook_leave(const struct hook *h, struct share_left *ret_left)
{
	return share_leave(h->ifindex, hook_id(h), ret_left);
}

void hook_detach(const struct hook *h)
{
	if (h->link >= 0)
		bpf_link_detach(h->link); /* somebody else may hold it, too */
	if (!hook_is_shared(h) || hook_is_elsewhere(h))
		return;
	hook_leave(h, NULL);
	share_forget(hook_id(h));
}
