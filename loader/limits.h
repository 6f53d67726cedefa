/* SPDX-License-Identifier: Apache-2.0 */
/* What sluice status says of mode, limits, tiers and verified sources. */
#ifndef LOADER_LIMITS_H
#define LOADER_LIMITS_H

#include <jansson.h>

#include "edge/edge.h"

void limits_print(const struct edge *e, const struct policy *policy);

/* Adds shadow, limits, tiers and verified to the object. */
void limits_json(const struct edge *e, const struct policy *policy, json_t *into);

#endif
