/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/migrate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <bpf/bpf.h>

#include "base/cleanup.h"
#include "edge/pin.h"

static int map_info(int fd, struct bpf_map_info *ret)
{
	uint32_t len = sizeof(*ret);

	memset(ret, 0, sizeof(*ret));
	return bpf_obj_get_info_by_fd(fd, ret, &len) < 0 ? -errno : 0;
}

/* Whether the entries of a pinned map can be copied into one made after the model, and mean the same there. */
static bool only_grew(const struct bpf_map_info *old, const struct bpf_object *obj,
		      const struct bpf_map *model)
{
	uint32_t entries = bpf_map__max_entries(model);
	char where[LAYOUT_WHERE];

	if (old->type != bpf_map__type(model) || old->key_size != bpf_map__key_size(model) ||
	    old->map_flags != bpf_map__map_flags(model) ||
	    old->value_size > bpf_map__value_size(model))
		return false;
	switch (old->type) {
	case BPF_MAP_TYPE_ARRAY:
	case BPF_MAP_TYPE_PERCPU_ARRAY:
		if (old->max_entries != entries)
			return false;
		break;
	case BPF_MAP_TYPE_HASH:
	case BPF_MAP_TYPE_LPM_TRIE:
		if (old->max_entries > entries)
			return false;
		break;
	default:
		return false;
	}
	return edge_same_types(old, obj, model, true, where);
}

int edge_reuse_maps(struct bpf_object *obj, const char *name, bool sized, struct error *err)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj)
	{
		_cleanup_close_ int fd = -1;
		_cleanup_close_ int same = -1;
		struct bpf_map_info info;
		char where[LAYOUT_WHERE];
		int rc;

		if (bpf_map__is_internal(map))
			continue;
		fd = edge_get(name, bpf_map__name(map));
		if (fd == -ENOENT)
			continue;
		if (fd >= 0 && edge_is_sized(map) && map_info(fd, &info) == 0 &&
		    !(sized && info.max_entries < bpf_map__max_entries(map)))
			bpf_map__set_max_entries(map, info.max_entries);
		if (fd >= 0 && map_info(fd, &info) == 0 && only_grew(&info, obj, map) &&
		    (info.value_size != bpf_map__value_size(map) ||
		     info.max_entries != bpf_map__max_entries(map) ||
		     !edge_same_types(&info, obj, map, false, where)))
			continue;
		same = edge_get_map(name, obj, map, err);
		if (same < 0)
			return same;
		rc = bpf_map__reuse_fd(map, same);
		if (rc < 0)
			return error_sys(err, -rc, "%s: map %s", name, bpf_map__name(map));
	}
	return 0;
}

static size_t buffer_size(const struct bpf_map_info *info, int cpus)
{
	if (info->type == BPF_MAP_TYPE_PERCPU_ARRAY)
		return (info->value_size + 7) / 8 * 8 * (size_t)cpus;
	return info->value_size;
}

static int copy(int from, const struct bpf_map_info *old, int to, const struct bpf_map_info *new)
{
	int cpus = libbpf_num_possible_cpus();
	size_t old_size = buffer_size(old, cpus);
	size_t new_size = buffer_size(new, cpus);
	_cleanup_free_ char *key = calloc(1, old->key_size);
	_cleanup_free_ char *in = calloc(1, old_size);
	_cleanup_free_ char *out = calloc(1, new_size);
	size_t n = old->type == BPF_MAP_TYPE_PERCPU_ARRAY ? (size_t)cpus : 1;
	char *last = NULL;

	if (cpus < 0 || !key || !in || !out)
		return -ENOMEM;
	while (bpf_map_get_next_key(from, last, key) == 0) {
		last = key;
		if (bpf_map_lookup_elem(from, key, in) < 0)
			continue; /* removed meanwhile */
		for (size_t i = 0; i < n; i++)
			memcpy(out + i * (new_size / n), in + i * (old_size / n), old->value_size);
		if (bpf_map_update_elem(to, key, out, BPF_ANY) < 0)
			return -errno;
	}
	return errno == ENOENT ? 0 : -errno;
}

/* 1: the map was made anew; its pinned predecessor is in ret_old, or -1. */
static int is_new(const char *name, const struct bpf_map *map, int *ret_old,
		  struct bpf_map_info *old, struct bpf_map_info *new)
{
	_cleanup_close_ int fd = edge_get(name, bpf_map__name(map));
	int rc = map_info(bpf_map__fd(map), new);

	*ret_old = -1;
	if (fd == -ENOENT)
		return rc < 0 ? rc : 1;
	if (rc == 0)
		rc = fd < 0 ? fd : map_info(fd, old);
	if (rc < 0)
		return rc;
	if (old->id == new->id)
		return 0;
	*ret_old = take_fd(fd);
	return 1;
}

int edge_copy_maps(struct bpf_object *obj, const char *name, struct error *err)
{
	struct bpf_map_info old = {0}, new = {0};
	struct bpf_map *map;
	int n = 0;

	bpf_object__for_each_map(map, obj)
	{
		_cleanup_close_ int fd = -1;
		int rc;

		if (bpf_map__is_internal(map))
			continue;
		rc = is_new(name, map, &fd, &old, &new);
		if (rc > 0)
			n++;
		if (fd >= 0)
			rc = copy(fd, &old, bpf_map__fd(map), &new);
		if (rc < 0)
			return error_sys(err, -rc, "%s: copying map %s", name, bpf_map__name(map));
	}
	return n;
}

static int pin(const char *name, const char *object, int fd, struct error *err)
{
	char path[EDGE_PATH];

	edge_path(path, EDGE_DIR_UPGRADE, name, object);
	return bpf_obj_pin(fd, path) < 0 ? error_sys(err, errno, "%s", path) : 0;
}

int edge_prepare(struct bpf_object *obj, const char *name, int program, struct error *err)
{
	struct bpf_map_info old = {0}, new = {0};
	char path[EDGE_PATH];
	struct bpf_map *map;

	edge_path(path, EDGE_DIR_UPGRADE, name, NULL);
	if (mkdir(path, 0700) < 0)
		return error_sys(err, errno, "%s", path);
	bpf_object__for_each_map(map, obj)
	{
		_cleanup_close_ int fd = -1;
		int rc = bpf_map__is_internal(map) ? 0 : is_new(name, map, &fd, &old, &new);

		if (rc < 0)
			return error_sys(err, -rc, "%s: map %s", name, bpf_map__name(map));
		if (rc > 0)
			rc = pin(name, bpf_map__name(map), bpf_map__fd(map), err);
		if (rc < 0)
			return rc;
	}
	return pin(name, "program", program, err);
}
