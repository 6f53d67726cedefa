/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/layout.h"

#include <stdio.h>
#include <string.h>

#define MAX_DEPTH 16

static bool same(struct layout old, struct layout now, bool may_grow, int depth,
		 char where[LAYOUT_WHERE]);

static const struct btf_type *strip(struct layout l)
{
	const struct btf_type *t = btf__type_by_id(l.btf, l.type);

	while (t && (btf_is_mod(t) || btf_is_typedef(t)))
		t = btf__type_by_id(l.btf, t->type);
	return t;
}

static const char *name_of(const struct btf *btf, uint32_t offset)
{
	const char *name = btf__name_by_offset(btf, offset);

	return name ? name : "";
}

/* The path is known from its end: each level puts its member's name before what is there. */
static void put_before(char where[LAYOUT_WHERE], const char *name)
{
	char rest[LAYOUT_WHERE];

	if (!*name)
		return;
	snprintf(rest, sizeof(rest), "%s", where);
	snprintf(where, LAYOUT_WHERE, "%.63s%s%.62s", name, *rest ? "." : "", rest);
}

/* By name; one without, a union for instance, by its place. */
static const struct btf_member *find(const struct btf *btf, const struct btf_type *t,
				     const char *name, uint32_t offset)
{
	const struct btf_member *m = btf_members(t);

	for (int i = 0; i < btf_vlen(t); i++)
		if (strcmp(name_of(btf, m[i].name_off), name) == 0 &&
		    (*name || m[i].offset == offset))
			return &m[i];
	return NULL;
}

static bool same_members(struct layout old, struct layout now, bool may_grow, int depth,
			 char where[LAYOUT_WHERE])
{
	const struct btf_type *from = strip(old);
	const struct btf_type *to = strip(now);

	for (int i = 0; i < btf_vlen(from); i++) {
		const struct btf_member *m = &btf_members(from)[i];
		const char *name = name_of(old.btf, m->name_off);
		const struct btf_member *n = find(now.btf, to, name, m->offset);

		/* It was zeros. */
		if (may_grow && strncmp(name, "unused", strlen("unused")) == 0)
			continue;
		if (n && n->offset == m->offset &&
		    same((struct layout){old.btf, m->type}, (struct layout){now.btf, n->type},
			 false, depth + 1, where))
			continue;
		put_before(where, name);
		return false;
	}
	return may_grow ? from->size <= to->size
			: from->size == to->size && btf_vlen(from) == btf_vlen(to);
}

static bool same_enum(struct layout old, struct layout now)
{
	const struct btf_type *from = strip(old);
	const struct btf_type *to = strip(now);

	for (int i = 0; i < btf_vlen(from); i++) {
		const struct btf_enum *e = &btf_enum(from)[i];
		const char *name = name_of(old.btf, e->name_off);
		int j;

		for (j = 0; j < btf_vlen(to); j++)
			if (strcmp(name_of(now.btf, btf_enum(to)[j].name_off), name) == 0)
				break;
		if (j == btf_vlen(to) || btf_enum(to)[j].val != e->val)
			return false;
	}
	return from->size == to->size;
}

static bool same(struct layout old, struct layout now, bool may_grow, int depth,
		 char where[LAYOUT_WHERE])
{
	const struct btf_type *from = strip(old);
	const struct btf_type *to = strip(now);

	where[0] = '\0';
	if (!from || !to || btf_kind(from) != btf_kind(to) || depth > MAX_DEPTH)
		return false;
	switch (btf_kind(from)) {
	case BTF_KIND_INT:
		return from->size == to->size && btf_int_encoding(from) == btf_int_encoding(to);
	case BTF_KIND_ENUM:
		return same_enum(old, now);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return same_members(old, now, may_grow, depth, where);
	case BTF_KIND_ARRAY:
		return btf_array(from)->nelems == btf_array(to)->nelems &&
		       same((struct layout){old.btf, btf_array(from)->type},
			    (struct layout){now.btf, btf_array(to)->type}, false, depth + 1, where);
	default:
		return false; /* nothing else has a place in a map that outlives its program */
	}
}

bool layout_same(struct layout old, struct layout now, bool may_grow, char ret_where[LAYOUT_WHERE])
{
	const struct btf_type *t = strip(now);

	if (same(old, now, may_grow, 0, ret_where))
		return true;
	put_before(ret_where, t ? name_of(now.btf, t->name_off) : "");
	return false;
}
