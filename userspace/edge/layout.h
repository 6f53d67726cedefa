/* SPDX-License-Identifier: Apache-2.0 */
/* Whether two versions mean the same by the bytes of a key or value: their BTF side by side. */
#ifndef EDGE_LAYOUT_H
#define EDGE_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include <bpf/btf.h>

#define LAYOUT_WHERE 128 /* bytes, enough for a member's path */

struct layout {
	const struct btf *btf;
	uint32_t type;
};

/*
 * Every member of old is in now, by its name, at its place, of the same kind and size, down to the last struct; enumerators
 * have their numbers. may_grow: now may have more members, behind the last, in holes, or in place of
 * what was "unused", which was zeros. When not, ret_where is the path of the first member that differs, "counters.passed.bytes",
 * or the type's name.
 */
bool layout_same(struct layout old, struct layout now, bool may_grow, char ret_where[LAYOUT_WHERE]);

#endif
