/* SPDX-License-Identifier: Apache-2.0 */
/* The secret by which a guard's buckets and verified sources are found in its maps. */
#ifndef EDGE_SEED_H
#define EDGE_SEED_H

#include <stdint.h>

/* That of the program pinned for an interface, of this build or another one. -ENOENT: it has none, or there is no program; -errno. */
int edge_seed(const char *name, uint64_t *ret);

#endif
