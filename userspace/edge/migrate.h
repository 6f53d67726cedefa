/* SPDX-License-Identifier: Apache-2.0 */
/* Pinned maps of one version for the program of another: the same, or copied when their values only grew. */
#ifndef EDGE_MIGRATE_H
#define EDGE_MIGRATE_H

#include <bpf/libbpf.h>

#include "base/error.h"

/*
 * Before obj is loaded: give it the pinned maps of an interface. A map that is not pinned yet, or whose values only grew
 * (every member stays at its place), is made anew when obj is loaded; sized: so is one that is smaller than obj wants it, and may
 * be of any size. -EPROTO: of another layout.
 */
int edge_reuse_maps(struct bpf_object *obj, const char *name, bool sized, struct error *err);

/* After: copy the entries into the maps that were made anew. How many maps those are. */
int edge_copy_maps(struct bpf_object *obj, const char *name, struct error *err);

/* Pin the maps that were made anew and the program aside, to be put in place by edge_finish. */
int edge_prepare(struct bpf_object *obj, const char *name, int program, struct error *err);

#endif
