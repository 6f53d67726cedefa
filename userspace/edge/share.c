/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/share.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <xdp/libxdp.h>

#include "base/cleanup.h"

#define DISPATCHERS "/sys/fs/bpf/xdp" /* where libxdp pins, and its lock */

DEFINE_CLEANUP(DIR *, closedir)
DEFINE_CLEANUP(struct xdp_multiprog *, xdp_multiprog__close)
DEFINE_CLEANUP(struct xdp_program *, xdp_program__close)

static _Thread_local char said[256];

static void keep(const char *fmt, va_list ap)
{
	vsnprintf(said, sizeof(said), fmt, ap);
	said[strcspn(said, "\n")] = '\0';
}

static int keep_of_libxdp(enum libxdp_print_level level, const char *fmt, va_list ap)
{
	if (level != LIBXDP_DEBUG)
		keep(fmt, ap);
	return 0;
}

static int keep_of_libbpf(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	if (level == LIBBPF_WARN)
		keep(fmt, ap);
	return 0;
}

static libbpf_print_fn_t begin(void)
{
	said[0] = '\0';
	libxdp_set_print(keep_of_libxdp);
	return libbpf_set_print(keep_of_libbpf);
}

const char *share_said(void)
{
	return said;
}

static bool is_on(uint32_t ifindex, uint32_t program_id)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);

	return bpf_xdp_query((int)ifindex, 0, &query) == 0 && query.prog_id == program_id;
}

/*
 * NULL: it has no program, or one that is no dispatcher which libxdp knows and has pinned. A dispatcher that somebody replaces
 * meanwhile has lost its pins, too: then there is another one.
 */
static struct xdp_multiprog *get(uint32_t ifindex)
{
	libxdp_set_print(keep_of_libxdp);
	for (int tries = 0; tries < 10; tries++) {
		struct xdp_multiprog *mp = xdp_multiprog__get_from_ifindex((int)ifindex);
		uint32_t id;

		if (libxdp_get_error(mp))
			return NULL;
		if (!xdp_multiprog__is_legacy(mp))
			return mp;
		id = xdp_program__id(xdp_multiprog__main_prog(mp));
		xdp_multiprog__close(mp);
		if (is_on(ifindex, id))
			return NULL;
	}
	return NULL;
}

struct share share_read(uint32_t ifindex)
{
	_cleanup_(xdp_multiprog__closep) struct xdp_multiprog *mp = get(ifindex);
	struct share s = {.dispatcher = 0};

	if (!mp)
		return s;
	s.dispatcher = xdp_program__id(xdp_multiprog__main_prog(mp));
	s.mode = xdp_multiprog__attach_mode(mp) == XDP_MODE_SKB ? CONF_XDP_GENERIC
								: CONF_XDP_NATIVE;
	for (struct xdp_program *p = xdp_multiprog__next_prog(NULL, mp); p && s.n < SHARE_MAX;
	     p = xdp_multiprog__next_prog(p, mp)) {
		snprintf(s.programs[s.n].name, sizeof(s.programs[s.n].name), "%s",
			 xdp_program__name(p));
		s.programs[s.n].id = xdp_program__id(p);
		s.programs[s.n++].priority = xdp_program__run_prio(p);
	}
	return s;
}

bool share_holds(uint32_t ifindex, uint32_t program_id)
{
	struct share s = share_read(ifindex);

	for (size_t i = 0; i < s.n; i++)
		if (s.programs[i].id == program_id)
			return true;
	return false;
}

/* A program to be replaced, xdp_pass of libxdp's own object file, to be closed. Its descriptor, or -errno. */
static int open_target(struct xdp_program **ret, struct error *err)
{
	struct xdp_program *p = xdp_program__find_file("xdp-dispatcher.o", NULL, NULL);
	int rc = (int)libxdp_get_error(p);
	struct bpf_object *obj;

	if (rc < 0)
		return error_sys(err, -rc, "libxdp's xdp-dispatcher.o");
	*ret = p;
	obj = xdp_program__bpf_obj(p);
	rc = bpf_object__load(obj);
	if (rc < 0)
		return error_sys(err, -rc, "the kernel does not take libxdp's dispatcher (%s)",
				 said);
	return bpf_program__fd(bpf_object__find_program_by_name(obj, "xdp_pass"));
}

static void make_extension(struct bpf_program *p, int target)
{
	bpf_program__set_type(p, BPF_PROG_TYPE_EXT);
	bpf_program__set_expected_attach_type(p, 0);
	bpf_program__set_attach_target(p, target, "xdp_pass");
}

/* Another copy of the target in its place. 0, or -errno. */
static int try_extension(int target)
{
	struct xdp_program *opened = xdp_program__find_file("xdp-dispatcher.o", NULL, NULL);
	_cleanup_(xdp_program__closep) struct xdp_program *p = NULL;
	struct bpf_program *copy, *i = NULL;
	_cleanup_close_ int link = -1;
	struct bpf_object *obj;
	int rc = (int)libxdp_get_error(opened);

	if (rc < 0)
		return rc;
	p = opened;
	obj = xdp_program__bpf_obj(p);
	copy = bpf_object__find_program_by_name(obj, "xdp_pass");
	while ((i = bpf_object__next_program(obj, i)))
		bpf_program__set_autoload(i, i == copy);
	make_extension(copy, target);
	rc = bpf_object__load(obj);
	if (rc < 0)
		return rc;
	link = bpf_raw_tracepoint_open(NULL, bpf_program__fd(copy));
	return link < 0 ? -errno : 0;
}

int share_check(struct error *err)
{
	_cleanup_(xdp_program__closep) struct xdp_program *p = NULL;
	libbpf_print_fn_t before = begin();
	int target = open_target(&p, err);
	int rc = target < 0 ? target : try_extension(target);

	libbpf_set_print(before);
	if (rc == 0 || target < 0)
		return rc;
	return error_set(err, EOPNOTSUPP,
			 "this kernel refuses extension programs (freplace), of which libxdp's "
			 "dispatcher is made: %s",
			 strerror(-rc));
}

/*
 * libxdp forgets that a program takes frames of several pieces when it did not load it itself, and of what it offers only the
 * test run does that without attaching: here one without a packet, of which the answer is an error.
 */
static int load_only(struct xdp_program *p, struct error *err)
{
	LIBBPF_OPTS(bpf_test_run_opts, nothing);
	int rc = xdp_program__test_run(p, &nothing, 0);

	return xdp_program__fd(p) >= 0
		       ? 0
		       : error_sys(err, rc < 0 ? -rc : EINVAL,
				   "the kernel does not take the packet program as an "
				   "extension (%s)",
				   said);
}

static int load_extension(struct bpf_object *obj, struct xdp_program **ret, struct error *err)
{
	_cleanup_(xdp_program__closep) struct xdp_program *target = NULL;
	int fd = open_target(&target, err);
	struct xdp_program *p;
	int rc;

	if (fd < 0)
		return fd;
	p = xdp_program__from_bpf_obj(obj, "xdp.frags");
	rc = (int)libxdp_get_error(p);
	if (rc < 0)
		return error_sys(err, -rc, "the packet program");
	*ret = p;
	xdp_program__set_run_prio(p, SHARE_PRIORITY);
	xdp_program__set_xdp_frags_support(p, true);
	make_extension(bpf_object__next_program(obj, NULL), fd);
	return load_only(p, err);
}

int share_load(struct bpf_object *obj, struct xdp_program **ret, struct error *err)
{
	_cleanup_(xdp_program__closep) struct xdp_program *p = NULL;
	libbpf_print_fn_t before = begin();
	int rc = load_extension(obj, &p, err);

	libbpf_set_print(before);
	if (rc == 0)
		*ret = take_ptr(p);
	return rc;
}

static enum xdp_attach_mode mode_of(enum conf_xdp_mode mode)
{
	return mode == CONF_XDP_NATIVE ? XDP_MODE_NATIVE : XDP_MODE_SKB;
}

int share_join(struct xdp_program *p, uint32_t ifindex, enum conf_xdp_mode mode)
{
	libbpf_print_fn_t before = begin();
	int rc = xdp_program__attach(p, (int)ifindex, mode_of(mode), 0);

	libbpf_set_print(before);
	if (rc == 0 && !share_holds(ifindex, xdp_program__id(p)))
		rc = -ENOTSUP;
	return rc < 0 ? rc : 0;
}

static struct xdp_program *find(const struct xdp_multiprog *mp, uint32_t program_id)
{
	struct xdp_program *p = xdp_multiprog__next_prog(NULL, mp);

	while (p && xdp_program__id(p) != program_id)
		p = xdp_multiprog__next_prog(p, mp);
	return p;
}

int share_leave(uint32_t ifindex, uint32_t program_id, struct share_left *ret_left)
{
	_cleanup_(xdp_multiprog__closep) struct xdp_multiprog *mp = get(ifindex);
	struct xdp_program *p = mp ? find(mp, program_id) : NULL;
	libbpf_print_fn_t before;
	int rc;

	if (!p)
		return 0;
	before = begin();
	/* The mode is named: without, libxdp of Debian 12 asks for native where it can be. */
	rc = xdp_program__detach(p, (int)ifindex, xdp_multiprog__attach_mode(mp), 0);
	libbpf_set_print(before);
	if (rc < 0)
		return rc;
	if (ret_left)
		*ret_left = (struct share_left){take_ptr(mp), ifindex, program_id};
	return 0;
}

int share_return(const struct share_left *left)
{
	libbpf_print_fn_t before;
	int rc;

	if (!left->before)
		return 0;
	before = begin();
	rc = xdp_program__attach(find(left->before, left->program_id), (int)left->ifindex,
				 xdp_multiprog__attach_mode(left->before), 0);
	libbpf_set_print(before);
	return rc;
}

void share_left_fini(struct share_left *left)
{
	xdp_multiprog__close(left->before);
	left->before = NULL;
}

static bool is_pin_of(const char *path, uint32_t program_id)
{
	_cleanup_close_ int fd = strstr(path, "-prog") ? bpf_obj_get(path) : -1;
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);

	return fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &len) == 0 && info.id == program_id;
}

/* Whether a pin in the directory is the program's; or remove them all. */
static bool visit(const char *path, uint32_t program_id, bool remove)
{
	_cleanup_(closedirp) DIR *dir = opendir(path);
	bool found = false;

	for (const struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
		char pin[512];

		snprintf(pin, sizeof(pin), "%s/%s", path, e->d_name);
		if (e->d_name[0] == '.')
			continue;
		if (remove)
			unlink(pin);
		else
			found |= is_pin_of(pin, program_id);
	}
	return found;
}

void share_forget(uint32_t program_id)
{
	_cleanup_close_ int lock = open(DISPATCHERS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(closedirp) DIR *dir = lock < 0 ? NULL : opendir(DISPATCHERS);

	if (!dir || flock(lock, LOCK_EX) < 0)
		return;
	for (const struct dirent *e = readdir(dir); e; e = readdir(dir)) {
		uint32_t ifindex, dispatcher;
		char path[sizeof(DISPATCHERS) + sizeof(e->d_name)];

		snprintf(path, sizeof(path), "%s/%s", DISPATCHERS, e->d_name);
		if (sscanf(e->d_name, "dispatch-%" SCNu32 "-%" SCNu32, &ifindex, &dispatcher) !=
			    2 ||
		    is_on(ifindex, dispatcher) || !visit(path, program_id, false))
			continue;
		visit(path, program_id, true);
		rmdir(path);
	}
}
