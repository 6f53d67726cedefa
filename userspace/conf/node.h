/* SPDX-License-Identifier: Apache-2.0 */
/* A YAML document as a tree of located nodes, and the list of everything that is wrong with it. */
#ifndef CONF_NODE_H
#define CONF_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/slice.h"

enum conf_kind {
	CONF_SCALAR,
	CONF_MAP,
	CONF_LIST,
};

struct conf_node {
	enum conf_kind kind;
	const char *path; /* "routes[2].to"; "" for the root */
	unsigned int line;
	unsigned int column; /* both from 1 */
	struct slice text;   /* of a scalar, ${NAME} expanded */
	bool bad;	     /* it could not be: further errors in this node follow from that */
	struct slice *keys;  /* of a map, beside items; NULL for a list */
	struct conf_node **items;
	size_t n;
};

/* All errors of one file, "file:line:column: path: message" a line. */
struct conf_diag {
	const char *file;
	struct buf text;
	size_t errors;
	bool repeated; /* the last one had been said before and was dropped */
};

void conf_diag_init(struct conf_diag *d);
void conf_diag_fini(struct conf_diag *d);

/*
 * node may be NULL: the whole file is meant. Dropped is what has been said in the same words of the same
 * place, and what follows from a value that is not there.
 */
void conf_diag_add(struct conf_diag *d, const struct conf_node *node, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void conf_diag_print(const struct conf_diag *d, FILE *to);

/*
 * Parse text; strings and nodes live in the arena. Refused: a second document, aliases, duplicate keys, nesting over
 * 32, unset variables. 0, or -EINVAL with the reasons in diag; *ret_root is set when the whole document could be read,
 * else NULL.
 */
int conf_node_parse(struct slice text, struct arena *arena, struct conf_diag *diag,
		    struct conf_node **ret_root);

/* Value of a key of a map, or NULL. */
const struct conf_node *conf_node_get(const struct conf_node *map, const char *key);

/* Append " (did you mean 'x'?)" to the last error when one of the names is close to what was written. */
void conf_diag_suggest(struct conf_diag *d, struct slice written, const struct slice *names,
		       size_t n);

#endif
