/* SPDX-License-Identifier: Apache-2.0 */
/* Entries of lists as people and scripts see them. */
#ifndef LOADER_ENTRY_H
#define LOADER_ENTRY_H

#include <jansson.h>

#include "edge/lists.h"

/* "operator", "file" */
const char *entry_origin(const struct edge_entry *entry);

/* Prefix, origin, and what there is of end and note. */
json_t *entry_json(const struct edge *e, const struct edge_entry *entry);

/* End and note, and the end of the line. */
void entry_print_note(const struct edge *e, const struct edge_entry *entry);

#endif
