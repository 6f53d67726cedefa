/* SPDX-License-Identifier: Apache-2.0 */
/* The part of sluice status that is about the kernel: program, maps, features. */
#ifndef LOADER_INVENTORY_H
#define LOADER_INVENTORY_H

#include <jansson.h>

#include "edge/edge.h"

/* Lines behind the others. */
int inventory_print(const struct edge *e, const struct edge_status *s, struct error *err);

/* Members of the interface's object. */
int inventory_json(const struct edge *e, const struct edge_status *s, json_t *to,
		   struct error *err);

/* "3d2h", "4m10s": two units at most; room for 16 bytes. */
void inventory_age(uint64_t nsec, char ret[16]);

#endif
