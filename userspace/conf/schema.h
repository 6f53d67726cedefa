/* SPDX-License-Identifier: Apache-2.0 */
/* Option tables: one row an option gives parsing, default, range and error text. No key is read by hand twice. */
#ifndef CONF_SCHEMA_H
#define CONF_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/config.h"
#include "conf/node.h"

enum conf_type {
	CONF_STRING,	/* struct slice */
	CONF_BOOL,	/* bool: true, false */
	CONF_UINT,	/* uint64_t */
	CONF_INT,	/* int64_t */
	CONF_DURATION,	/* uint64_t ns: 20ms, 5s, 10m, 1h */
	CONF_SIZE,	/* uint64_t bytes: 512, 64KiB, 1MiB, 1GiB */
	CONF_RATE,	/* uint64_t a second: 100/s, 10k/s */
	CONF_BYTE_RATE, /* uint64_t bytes a second: 512/s, 64KiB/s, 10MiB/s */
	CONF_ENUM,	/* int: index into names */
	CONF_STRINGS,	/* struct conf_strings: a list, or one scalar */
	CONF_PAIRS,	/* struct conf_pairs: a map of scalars */
	CONF_ADDRESS,	/* struct conf_sockaddr: 127.0.0.1:80, [::1]:80 */
	CONF_STRUCT,	/* a struct filled by table */
	CONF_LIST_OF,	/* pointer to an array of structs, its size_t count at count */
	CONF_MAP_OF,	/* the same; the key goes to the struct's first member, a slice */
	CONF_CUSTOM,	/* parse() */
};

struct conf_table;

struct conf_parse {
	struct arena *arena;
	struct conf_diag *diag;
	const char *dir; /* of the file, for relative paths */
};

struct conf_option {
	const char *name;
	enum conf_type type;
	size_t offset;
	const char *fallback; /* as YAML text; NULL: zero, or an error when required */
	bool required;
	uint64_t min;
	uint64_t max;		  /* 0: no limits */
	size_t count;		  /* CONF_LIST_OF, CONF_MAP_OF: offset of the count */
	const char *const *names; /* CONF_ENUM: NULL-terminated */
	const struct conf_table *table;
	void (*parse)(struct conf_parse *p, const struct conf_node *node, void *field);
	const char *
		form; /* CONF_CUSTOM: what stands there, for the manual; its table is of the map it may be */
	const char *help; /* a sentence for the manual */
};

struct conf_table {
	const struct conf_option *options; /* ended by a row without name */
	size_t size;			   /* of the struct */
	/* Optional: a scalar stands for the struct (an endpoint's URL); what else to check when it is filled. */
	void (*scalar)(struct conf_parse *p, const struct conf_node *node, void *out);
	void (*check)(struct conf_parse *p, const struct conf_node *node, void *out);
};

/* Fill out from node (NULL: all defaults); every error goes to p->diag. out must be zeroed. */
void conf_fill(struct conf_parse *p, const struct conf_table *t, const struct conf_node *node,
	       void *out);

/* One option, as conf_fill does; for what stands for a struct. */
void conf_fill_option(struct conf_parse *p, const struct conf_option *o,
		      const struct conf_node *node, void *out);

/* Room for an element each of a list, zeroed. NULL: p->diag says why; where node is no list, that what ("a list of ports") is expected. */
void *conf_parse_list(struct conf_parse *p, const struct conf_node *node, size_t size,
		      const char *what);

/* "500ms", "10m": nanoseconds. False: it is not a duration. */
bool conf_parse_duration(struct slice text, uint64_t *ret);

/* Digits and nothing else. */
bool conf_parse_number(struct slice text, uint64_t *ret);

/* "100/s", "10k/s": how many a second. */
bool conf_parse_rate(struct slice text, uint64_t *ret);

/* "10.0.0.0/8", "2001:db8::1". False with the reason in diag. */
bool conf_parse_cidr(struct conf_parse *p, const struct conf_node *node, struct conf_cidr *ret);
bool conf_parse_address(struct conf_parse *p, const struct conf_node *node, struct slice text,
			struct conf_sockaddr *ret);

#endif
