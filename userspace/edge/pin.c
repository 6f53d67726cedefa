/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/pin.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/cleanup.h"
#include "edge/edge.h"
#include "edge/hook.h"

DEFINE_CLEANUP(DIR *, closedir)
DEFINE_CLEANUP(struct btf *, btf__free)

#define DECIDED EDGE_ROOT "/:decided"

static const char *const prefixes[EDGE_DIRS] = {
	[EDGE_DIR] = "",
	[EDGE_DIR_NEW] = ":new:",
	[EDGE_DIR_OLD] = ":old:",
	[EDGE_DIR_UPGRADE] = ":up:",
	[EDGE_DIR_GONE] = ":gone:",
	[EDGE_DIR_LISTS] = ":lists:",
	[EDGE_DIR_POLICY] = ":policy:",
	[EDGE_DIR_FEEDS] = ":feeds:",
};

void edge_path(char ret[EDGE_PATH], enum edge_dir dir, const char *name, const char *object)
{
	int at = snprintf(ret, EDGE_PATH, "%s/%s", EDGE_ROOT, prefixes[dir]);
	int n = snprintf(ret + at, (size_t)(EDGE_PATH - at), "%.*s", IF_NAMESIZE, name);

	for (int i = 0; i < n; i++)
		if (ret[at + i] == '.')
			ret[at + i] = ':';
	if (object)
		snprintf(ret + at + n, (size_t)(EDGE_PATH - at - n), "/%s", object);
}

bool edge_is_left(const char *entry, enum edge_dir *ret_dir, const char **ret_name)
{
	for (int i = EDGE_DIR + 1; i < EDGE_DIRS; i++) {
		size_t len = strlen(prefixes[i]);

		if (strncmp(entry, prefixes[i], len) != 0)
			continue;
		*ret_dir = (enum edge_dir)i;
		*ret_name = entry + len;
		return true;
	}
	return false;
}

int edge_mark(enum edge_dir dir, const char *name, struct error *err)
{
	char path[EDGE_PATH];

	edge_path(path, dir, name, NULL);
	return mkdir(path, 0700) < 0 ? error_sys(err, errno, "%s", path) : 0;
}

int edge_decide(struct error *err)
{
	return mkdir(DECIDED, 0700) < 0 ? error_sys(err, errno, DECIDED) : 0;
}

bool edge_decided(void)
{
	return access(DECIDED, F_OK) == 0;
}

void edge_done(void)
{
	rmdir(DECIDED);
}

void edge_remove(enum edge_dir dir, const char *name)
{
	_cleanup_(closedirp) DIR *d = NULL;
	char path[EDGE_PATH];
	char object[2 * EDGE_PATH];
	struct hook hook;

	if (hook_open(dir, name, &hook) == 0) {
		hook_detach(&hook);
		hook_close(&hook);
	}
	edge_path(path, dir, name, NULL);
	d = opendir(path);
	if (!d)
		return;
	for (const struct dirent *e = readdir(d); e; e = readdir(d)) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(object, sizeof(object), "%s/%.*s", path, EDGE_PATH - 1, e->d_name);
		unlink(object);
	}
	rmdir(path);
}

int edge_rename(const char *name, enum edge_dir from, enum edge_dir to)
{
	char old[EDGE_PATH];
	char new[EDGE_PATH];

	edge_path(old, from, name, NULL);
	edge_path(new, to, name, NULL);
	return rename(old, new) < 0 ? -errno : 0;
}

int edge_put(const char *name)
{
	char new[EDGE_PATH];
	char there[EDGE_PATH];

	edge_path(new, EDGE_DIR_NEW, name, NULL);
	edge_path(there, EDGE_DIR, name, NULL);
	if (renameat2(AT_FDCWD, new, AT_FDCWD, there, RENAME_EXCHANGE) == 0)
		return 0;
	if (errno != ENOENT)
		return -errno;
	return rename(new, there) == 0 || rename(there, new) == 0 ? 0 : -errno;
}

void edge_put_if_live(const char *name)
{
	struct hook_state state;
	struct hook hook;

	if (hook_open(EDGE_DIR_NEW, name, &hook) < 0)
		return;
	if (hook_read(&hook, &state) == 0 && state.ifindex)
		edge_put(name);
	hook_close(&hook);
}

/* What an upgrade changes: what runs, and the program to come. */
struct change {
	struct hook hook;
	int program;
};

static bool open_change(const char *name, struct change *ret)
{
	int program = edge_get_in(EDGE_DIR_UPGRADE, name, "program");

	if (program >= 0 && hook_open(EDGE_DIR, name, &ret->hook) == 0) {
		ret->program = program;
		return true;
	}
	closep(&program);
	return false;
}

static void close_change(struct change *c)
{
	hook_close(&c->hook);
	closep(&c->program);
}

static uint32_t program_id(int fd)
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) < 0 ? 0 : info.id;
}

void edge_switch(const char *name)
{
	struct change c;

	if (!open_change(name, &c))
		return;
	if (!hook_is_shared(&c.hook))
		bpf_link_update(c.hook.link, c.program, NULL);
	else if (share_holds(c.hook.ifindex, program_id(c.program)))
		hook_leave(&c.hook, NULL);
	close_change(&c);
}

static bool runs(const struct change *c)
{
	uint32_t id = program_id(c->program);
	struct hook_state state;

	if (!id || hook_read(&c->hook, &state) < 0)
		return false;
	if (hook_is_shared(&c->hook))
		return !state.ifindex && share_holds(c->hook.ifindex, id);
	return state.program_id == id;
}

static void put_in_place(const char *name, const char *object)
{
	char from[EDGE_PATH];
	char to[EDGE_PATH];

	edge_path(from, EDGE_DIR_UPGRADE, name, object);
	edge_path(to, EDGE_DIR, name, object);
	rename(from, to);
}

static void put_all_in_place(const char *name)
{
	struct dirent **found;
	char path[EDGE_PATH];
	int n;

	edge_path(path, EDGE_DIR_UPGRADE, name, NULL);
	n = scandir(path, &found, NULL, NULL);
	for (int i = 0; i < n; i++) {
		if (found[i]->d_name[0] != '.' && strcmp(found[i]->d_name, "program") != 0)
			put_in_place(name, found[i]->d_name);
		free(found[i]);
	}
	if (n >= 0)
		free(found);
	put_in_place(name, "program"); /* last: by it, runs() knows */
}

void edge_finish(const char *name)
{
	struct change c;

	if (open_change(name, &c)) {
		if (runs(&c)) {
			put_all_in_place(name);
			if (hook_is_shared(&c.hook))
				hook_detach(&c.hook);
		}
		close_change(&c);
	}
	edge_remove(EDGE_DIR_UPGRADE, name);
}

int edge_program_info(int fd, struct bpf_prog_info *ret)
{
	uint32_t len = sizeof(*ret);

	if (fd < 0)
		return -EBADF;
	return bpf_obj_get_info_by_fd(fd, ret, &len) < 0 ? -errno : 0;
}

int edge_get_in(enum edge_dir dir, const char *name, const char *object)
{
	char path[EDGE_PATH];
	int fd;

	edge_path(path, dir, name, object);
	fd = bpf_obj_get(path);
	return fd < 0 ? -errno : fd;
}

int edge_get(const char *name, const char *object)
{
	return edge_get_in(EDGE_DIR, name, object);
}

bool edge_same_types(const struct bpf_map_info *old, const struct bpf_object *obj,
		     const struct bpf_map *model, bool may_grow, char ret_where[LAYOUT_WHERE])
{
	const struct btf *now = bpf_object__btf(obj);
	const uint32_t key = bpf_map__btf_key_type_id(model);
	const uint32_t value = bpf_map__btf_value_type_id(model);
	_cleanup_(btf__freep) struct btf *btf = NULL;

	ret_where[0] = '\0';
	if (!old->btf_id || !old->btf_value_type_id || !value)
		return true;
	btf = btf__load_from_kernel_by_id(old->btf_id);
	if (!btf)
		return false;
	return layout_same((struct layout){btf, old->btf_key_type_id}, (struct layout){now, key},
			   false, ret_where) &&
	       layout_same((struct layout){btf, old->btf_value_type_id},
			   (struct layout){now, value}, may_grow, ret_where);
}

bool edge_is_sized(const struct bpf_map *model)
{
	return strcmp(bpf_map__name(model), "bans") == 0;
}

/* What to do about a guard that another version has attached. */
static int other_version(const char *name, struct error *err, const char *what)
{
	return error_set(err, EPROTO,
			 "%s: %s: it was attached by another version; 'sluice upgrade --interface "
			 "%s' takes it over, or, where that is refused, 'sluice detach' and attach "
			 "again",
			 name, what, name);
}

int edge_get_map(const char *name, const struct bpf_object *obj, const struct bpf_map *model,
		 struct error *err)
{
	_cleanup_close_ int fd = edge_get(name, bpf_map__name(model));
	const char *map = bpf_map__name(model);
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);
	char where[LAYOUT_WHERE], what[LAYOUT_WHERE + 128];

	if (fd == -ENOENT) {
		snprintf(what, sizeof(what), "there is no pinned map %s", map);
		return other_version(name, err, what);
	}
	if (fd < 0)
		return error_sys(err, -fd, "%s: pinned map %s", name, map);
	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return error_sys(err, errno, "%s: pinned map %s", name, map);
	if (info.type != bpf_map__type(model) || info.key_size != bpf_map__key_size(model) ||
	    info.value_size != bpf_map__value_size(model) ||
	    (info.max_entries != bpf_map__max_entries(model) && !edge_is_sized(model)) ||
	    info.map_flags != bpf_map__map_flags(model)) {
		snprintf(what, sizeof(what),
			 "the pinned map %s is of another layout (type %u, key %u, value %u bytes, "
			 "%u entries; expected type %d, %u, %u, %u)",
			 map, info.type, info.key_size, info.value_size, info.max_entries,
			 bpf_map__type(model), bpf_map__key_size(model), bpf_map__value_size(model),
			 bpf_map__max_entries(model));
		return other_version(name, err, what);
	}
	errno = 0;
	if (edge_same_types(&info, obj, model, false, where))
		return take_fd(fd);
	if (errno == ENOMEM)
		return error_sys(err, ENOMEM, "%s: pinned map %s", name, map);
	snprintf(what, sizeof(what),
		 "the pinned map %s is of another layout ('%s' is not what it was)", map, where);
	return other_version(name, err, what);
}
