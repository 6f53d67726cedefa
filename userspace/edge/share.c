/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/share.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <xdp/libxdp.h>
#include <xdp/prog_dispatcher.h>

#include "base/cleanup.h"
#include "edge/pin.h"

#define TRIES 10

DEFINE_CLEANUP(DIR *, closedir)
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

/* Where libxdp pins, and its lock. */
static void path_of(char ret[PATH_MAX], uint32_t ifindex, uint32_t dispatcher, size_t place)
{
	const char *bpffs = secure_getenv(XDP_BPFFS_ENVVAR);
	int at = snprintf(ret, PATH_MAX, "%s/xdp", bpffs ? bpffs : "/sys/fs/bpf");

	if (ifindex && at < PATH_MAX)
		snprintf(ret + at, (size_t)(PATH_MAX - at),
			 "/dispatch-%" PRIu32 "-%" PRIu32 "/prog%zu-prog", ifindex, dispatcher,
			 place);
}

/* What a program's only map says, when it is a dispatcher of the version that is known here. */
static bool read_config(uint32_t program_id, struct xdp_dispatcher_config *ret)
{
	_cleanup_close_ int fd = bpf_prog_get_fd_by_id(program_id);
	struct bpf_map_info map = {0};
	_cleanup_close_ int config = -1;
	uint32_t len = sizeof(map);
	uint32_t id = 0, key = 0;
	struct bpf_prog_info info = {.nr_map_ids = 1, .map_ids = (uint64_t)(uintptr_t)&id};

	if (edge_program_info(fd, &info) < 0 || strcmp(info.name, "xdp_dispatcher") != 0 ||
	    info.nr_map_ids != 1)
		return false;
	config = bpf_map_get_fd_by_id(id);
	return config >= 0 && bpf_obj_get_info_by_fd(config, &map, &len) == 0 &&
	       map.value_size == sizeof(*ret) && bpf_map_lookup_elem(config, &key, ret) == 0 &&
	       ret->magic == XDP_DISPATCHER_MAGIC &&
	       ret->dispatcher_version == XDP_DISPATCHER_VERSION &&
	       ret->num_progs_enabled <= SHARE_MAX;
}

static bool read_programs(uint32_t ifindex, struct share *s)
{
	struct xdp_dispatcher_config config;

	if (!read_config(s->dispatcher, &config))
		return false;
	for (; s->n < config.num_progs_enabled; s->n++) {
		_cleanup_close_ int fd = -1;
		struct bpf_prog_info info = {0};
		char path[PATH_MAX];

		path_of(path, ifindex, s->dispatcher, s->n);
		fd = bpf_obj_get(path);
		if (edge_program_info(fd, &info) < 0)
			return false;
		memcpy(s->programs[s->n].name, info.name, sizeof(info.name));
		s->programs[s->n].id = info.id;
		s->programs[s->n].priority = config.run_prios[s->n];
	}
	return true;
}

static bool is_on(uint32_t ifindex, uint32_t program_id)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);

	return bpf_xdp_query((int)ifindex, 0, &query) == 0 && query.prog_id == program_id;
}

/* By the pins and the dispatcher's map: libxdp of Debian 12 leaks descriptors when it is asked. */
struct share share_read(uint32_t ifindex)
{
	/* One that somebody replaces meanwhile has lost its pins: then there is another one. */
	for (int tries = 0; tries < TRIES; tries++) {
		LIBBPF_OPTS(bpf_xdp_query_opts, query);
		struct share s = {.dispatcher = 0};

		if (bpf_xdp_query((int)ifindex, 0, &query) < 0 || !query.prog_id)
			break;
		s.dispatcher = query.prog_id;
		s.mode = query.attach_mode == XDP_ATTACHED_SKB ? CONF_XDP_GENERIC : CONF_XDP_NATIVE;
		if (read_programs(ifindex, &s))
			return s;
		if (is_on(ifindex, s.dispatcher))
			break;
	}
	return (struct share){.dispatcher = 0};
}

static bool has(const struct share *s, uint32_t program_id)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->programs[i].id == program_id)
			return true;
	return false;
}

bool share_holds(uint32_t ifindex, uint32_t program_id)
{
	struct share s = share_read(ifindex);

	return has(&s, program_id);
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

static int leave(int program, uint32_t ifindex, enum conf_xdp_mode mode)
{
	struct xdp_program *p = xdp_program__from_fd(program);
	int rc = (int)libxdp_get_error(p);

	if (rc < 0)
		return rc;
	/* The mode is named: without, libxdp of Debian 12 asks for native where it can be. */
	rc = xdp_program__detach(p, (int)ifindex, mode_of(mode), 0);
	xdp_program__close(p);
	return rc;
}

int share_leave(uint32_t ifindex, uint32_t program_id, struct share_left *ret_left)
{
	struct share s = share_read(ifindex);
	_cleanup_close_ int program = -1;
	struct xdp_multiprog *before = NULL;
	libbpf_print_fn_t print;
	int rc;

	if (!has(&s, program_id))
		return 0;
	program = bpf_prog_get_fd_by_id(program_id);
	if (program < 0)
		return -errno;
	print = begin();
	if (ret_left)
		before = xdp_multiprog__get_from_ifindex((int)ifindex);
	if (ret_left && libxdp_get_error(before))
		before = NULL;
	rc = leave(program, ifindex, s.mode);
	libbpf_set_print(print);
	if (rc < 0) {
		xdp_multiprog__close(before);
		return share_holds(ifindex, program_id) ? rc : 0;
	}
	if (ret_left)
		*ret_left = (struct share_left){before, ifindex, program_id};
	return 0;
}

static struct xdp_program *find(const struct xdp_multiprog *mp, uint32_t program_id)
{
	struct xdp_program *p = xdp_multiprog__next_prog(NULL, mp);

	while (p && xdp_program__id(p) != program_id)
		p = xdp_multiprog__next_prog(p, mp);
	return p;
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

	return edge_program_info(fd, &info) == 0 && info.id == program_id;
}

/* Whether a pin in the directory is the program's; or remove them all. */
static bool visit(const char *path, uint32_t program_id, bool remove)
{
	_cleanup_(closedirp) DIR *dir = opendir(path);
	bool found = false;

	for (const struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
		char pin[2 * PATH_MAX];

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
	_cleanup_(closedirp) DIR *dir = NULL;
	_cleanup_close_ int lock = -1;
	char root[PATH_MAX];

	path_of(root, 0, 0, 0);
	lock = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = lock < 0 ? NULL : opendir(root);
	if (!dir || flock(lock, LOCK_EX) < 0)
		return;
	for (const struct dirent *e = readdir(dir); e; e = readdir(dir)) {
		uint32_t ifindex, dispatcher;
		char path[PATH_MAX + sizeof(e->d_name)];

		snprintf(path, sizeof(path), "%s/%s", root, e->d_name);
		if (sscanf(e->d_name, "dispatch-%" SCNu32 "-%" SCNu32, &ifindex, &dispatcher) !=
			    2 ||
		    is_on(ifindex, dispatcher) || !visit(path, program_id, false))
			continue;
		visit(path, program_id, true);
		rmdir(path);
	}
}
