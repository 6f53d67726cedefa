/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/inventory.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/cleanup.h"
#include "bpf/feed_format.h"
#include "edge/pin.h"
#include "edge/share.h"

static uint64_t memory_of(int fd)
{
	_cleanup_(fclosep) FILE *f = NULL;
	uint64_t bytes = 0;
	char line[128];

	snprintf(line, sizeof(line), "/proc/self/fdinfo/%d", fd);
	f = fopen(line, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "memlock: %" SCNu64, &bytes) == 1)
			break;
	return bytes;
}

/*
 * Of the maps that are the values of this one, feeds: each slot's stand together. Until 6.8 the kernel waits with each answer
 * until no packet is in flight, so none is asked for behind the first that is missing.
 */
static uint64_t memory_within(int fd, uint32_t entries)
{
	uint64_t bytes = 0;

	for (uint32_t key = 0; key < entries; key++) {
		_cleanup_close_ int inner = -1;
		uint32_t id;

		if (bpf_map_lookup_elem(fd, &key, &id) < 0) {
			key |= FEED_CHUNKS - 1;
			continue;
		}
		inner = bpf_map_get_fd_by_id(id);
		if (inner >= 0)
			bytes += memory_of(inner);
	}
	return bytes;
}

static bool comes_and_goes(uint32_t type)
{
	return type == BPF_MAP_TYPE_HASH || type == BPF_MAP_TYPE_LPM_TRIE ||
	       type == BPF_MAP_TYPE_LRU_HASH;
}

/* One that others change meanwhile is counted about right. */
static uint32_t count(int fd, const struct bpf_map_info *info)
{
	_cleanup_free_ char *key = calloc(1, info->key_size);
	char *last = NULL;
	uint32_t n = 0;

	while (key && n < info->max_entries && bpf_map_get_next_key(fd, last, key) == 0) {
		last = key;
		n++;
	}
	return n;
}

static int measure(int fd, struct edge_map_size *ret)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return -errno;
	snprintf(ret->name, sizeof(ret->name), "%s", info.name);
	ret->type = libbpf_bpf_map_type_str(info.type);
	ret->counted = comes_and_goes(info.type);
	ret->max_entries = info.max_entries;
	ret->entries = ret->counted ? count(fd, &info) : info.max_entries;
	ret->bytes = memory_of(fd);
	if (info.type == BPF_MAP_TYPE_ARRAY_OF_MAPS)
		ret->bytes += memory_within(fd, info.max_entries);
	return 0;
}

static int is_map(const struct dirent *e)
{
	return e->d_name[0] != '.' && strcmp(e->d_name, "link") != 0 &&
	       strcmp(e->d_name, "program") != 0;
}

/* Readers hold no lock: what was there when the interface was opened may have been detached since. */
static int gone(const char *name, const char *what, int code, struct error *err)
{
	return code == ENOENT ? error_set(err, ENOENT, "%s is not attached", name)
			      : error_sys(err, code, "%s: %s", name, what);
}

int edge_map_sizes(const char *name, struct edge_map_size **ret, size_t *ret_n, struct error *err)
{
	struct edge_map_size *sizes;
	struct dirent **found;
	char path[EDGE_PATH];
	size_t n_sizes = 0;
	int rc = 0;
	int n;

	edge_path(path, EDGE_DIR, name, NULL);
	n = scandir(path, &found, is_map, alphasort);
	if (n < 0)
		return gone(name, "pinned maps", errno, err);
	sizes = calloc((size_t)n + 1, sizeof(*sizes));
	if (!sizes)
		rc = error_sys(err, ENOMEM, "%s: maps", name);
	for (int i = 0; i < n; i++) {
		_cleanup_close_ int fd = rc == 0 ? edge_get(name, found[i]->d_name) : -1;

		if (rc == 0) {
			rc = fd < 0 ? fd : measure(fd, &sizes[n_sizes++]);
			if (rc < 0)
				gone(name, found[i]->d_name, -rc, err);
		}
		free(found[i]);
	}
	free(found);
	if (rc < 0) {
		free(sizes);
		return rc;
	}
	*ret = sizes;
	*ret_n = n_sizes;
	return 0;
}

/* A program that passes everything, which claims to know frames of several pieces. */
static bool takes_frags(void)
{
	static const struct bpf_insn pass[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = XDP_PASS},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .prog_flags = BPF_F_XDP_HAS_FRAGS);
	_cleanup_close_ int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "frags", "GPL", pass, 2, &opts);

	return fd >= 0;
}

static bool has_helper(enum bpf_func_id helper)
{
	return libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, helper, NULL) == 1;
}

const struct edge_feature *edge_features(void)
{
	static _Thread_local struct edge_feature features[10];
	const struct edge_feature found[] = {
		{"xdp.frags", "frames of several pages, large MTU", takes_frags()},
		{"bpf_loop", "loops that the verifier need not unroll", has_helper(BPF_FUNC_loop)},
		{"ringbuf", "sluice watch",
		 libbpf_probe_bpf_map_type(BPF_MAP_TYPE_RINGBUF, NULL) == 1},
		{"ktime_get_coarse_ns", "the cheap clock",
		 has_helper(BPF_FUNC_ktime_get_coarse_ns)},
		{"skc_lookup_tcp", "listeners and connections",
		 has_helper(BPF_FUNC_skc_lookup_tcp)},
		{"tcp_gen_syncookie", "SYN cookies of the kernel",
		 has_helper(BPF_FUNC_tcp_gen_syncookie)},
		{"tcp_raw_gen_syncookie", "SYN cookies without a listener's lock",
		 has_helper(BPF_FUNC_tcp_raw_gen_syncookie_ipv4)},
		{"freplace", "libxdp's dispatcher, interfaces shared with other programs",
		 share_check(NULL) == 0},
		{NULL, NULL, false},
	};

	memcpy(features, found, sizeof(found));
	return features;
}

int edge_run(const struct edge *e, struct edge_run *ret, struct error *err)
{
	_cleanup_close_ int fd = -1;
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);
	struct hook_state hook;
	int rc = hook_read(&e->hook, &hook);

	if (rc < 0)
		return error_sys(err, -rc, "%s: link", e->name);
	fd = bpf_prog_get_fd_by_id(hook.program_id);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return error_sys(err, errno, "%s: program %u", e->name, hook.program_id);
	*ret = (struct edge_run){hook.program_id, info.run_cnt, info.run_time_ns};
	return 0;
}
