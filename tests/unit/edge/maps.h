/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An interface without a program: the guard's maps, with little room, and struct edge on them. Include first; setup and
 * teardown are for cmocka_unit_test_setup_teardown.
 */
#ifndef TESTS_UNIT_EDGE_MAPS_H
#define TESTS_UNIT_EDGE_MAPS_H

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/clock.h"
#include "bpf/guard.skel.h"
#include "conf/cidr.h"
#include "edge/lists.h"

#define ROOM 4 /* entries of each trie and hash */

static struct edge edge;

static inline int map_new(const struct bpf_map *model)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = bpf_map__map_flags(model));
	enum bpf_map_type type = bpf_map__type(model);
	bool small = type == BPF_MAP_TYPE_LPM_TRIE || type == BPF_MAP_TYPE_HASH;
	int fd;

	if (type == BPF_MAP_TYPE_ARRAY_OF_MAPS)
		return -1; /* needs a map to hold */
	fd = bpf_map_create(type, bpf_map__name(model), bpf_map__key_size(model),
			    bpf_map__value_size(model), small ? ROOM : bpf_map__max_entries(model),
			    &opts);

	assert_true(fd >= 0);
	return fd;
}

static inline int setup(void **state)
{
	struct guard *g = guard__open();

	(void)state;
	assert_non_null(g);
	edge = (struct edge){.name = "test0", .hook = HOOK_NONE};
#define EDGE_MAP(map) edge.map = map_new(g->maps.map);
	EDGE_MAPS(EDGE_MAP)
#undef EDGE_MAP
	guard__destroy(g);
	edge.shared = mmap(NULL, sizeof(*edge.shared), PROT_READ | PROT_WRITE, MAP_SHARED,
			   edge.state, 0);
	edge.in_use = mmap(NULL, sizeof(*edge.in_use), PROT_READ | PROT_WRITE, MAP_SHARED,
			   edge.lengths, 0);
	edge.ban_filter_words = mmap(NULL, BAN_FILTER_WORDS * sizeof(uint64_t),
				     PROT_READ | PROT_WRITE, MAP_SHARED, edge.ban_filter, 0);
	assert_true(edge.shared != MAP_FAILED && edge.in_use != MAP_FAILED &&
		    edge.ban_filter_words != MAP_FAILED);
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	edge_close(&edge);
	return 0;
}

static inline struct conf_cidr cidr(const char *text)
{
	struct conf_cidr c;

	assert_null(conf_cidr_parse(slice_str(text), &c));
	return c;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
