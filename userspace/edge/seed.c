/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/seed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>

#include "base/cleanup.h"
#include "edge/pin.h"

DEFINE_CLEANUP(struct btf *, btf__free)

/* Where a variable of a program's data is, by the types of the map that holds it; -1: it is not there. */
static int offset_of(const struct bpf_map_info *info, const char *variable)
{
	_cleanup_(btf__freep) struct btf *btf = btf__load_from_kernel_by_id(info->btf_id);
	const struct btf_type *section;

	section = btf ? btf__type_by_id(btf, info->btf_value_type_id) : NULL;
	if (!section || !btf_is_datasec(section))
		return -1;
	for (int i = 0; i < btf_vlen(section); i++) {
		const struct btf_var_secinfo *var = btf_var_secinfos(section) + i;
		const struct btf_type *t = btf__type_by_id(btf, var->type);

		if (strcmp(btf__name_by_offset(btf, t->name_off), variable) == 0)
			return (int)var->offset;
	}
	return -1;
}

/* The seed in a program's constants; -ENOENT: this map has none. */
static int seed_in(uint32_t id, uint64_t *ret)
{
	_cleanup_close_ int fd = bpf_map_get_fd_by_id(id);
	struct bpf_map_info info = {0};
	_cleanup_free_ char *data = NULL;
	uint32_t len = sizeof(info);
	uint32_t key = 0;
	int at;

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return -errno;
	if (!strstr(info.name, ".rodata"))
		return -ENOENT;
	at = offset_of(&info, "bucket_seed");
	data = calloc(1, info.value_size);
	if (!data || at < 0 || (uint32_t)at + sizeof(*ret) > info.value_size ||
	    bpf_map_lookup_elem(fd, &key, data) < 0)
		return -ENOENT;
	memcpy(ret, data + at, sizeof(*ret));
	return 0;
}

int edge_seed(const char *name, uint64_t *ret)
{
	_cleanup_close_ int fd = edge_get(name, "program");
	struct bpf_prog_info info = {0};
	uint32_t ids[64];
	int rc;

	if (fd < 0)
		return fd;
	info.nr_map_ids = sizeof(ids) / sizeof(ids[0]);
	info.map_ids = (uint64_t)(uintptr_t)ids;
	rc = edge_program_info(fd, &info);
	for (uint32_t i = 0; rc == 0 && i < info.nr_map_ids && i < sizeof(ids) / sizeof(ids[0]);
	     i++)
		if (seed_in(ids[i], ret) == 0)
			return 0;
	return rc < 0 ? rc : -ENOENT;
}
