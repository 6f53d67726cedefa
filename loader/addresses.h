/* SPDX-License-Identifier: Apache-2.0 */
/* The addresses and prefixes that a command is about: its arguments and, with --file, the lines of a file or of standard input. */
#ifndef LOADER_ADDRESSES_H
#define LOADER_ADDRESSES_H

#include "base/slice.h"
#include "loader/command.h"

/* -EINVAL: bad usage, one is not an address or none is given where the action wants some; else -errno. err has the place. */
int addresses_read(const struct options *o, struct conf_cidrs *ret, struct error *err);
/* Neither arguments nor a file, which may be empty and then is about nobody. */
static inline bool addresses_not_given(const struct options *o)
{
	return o->n_args == 0 && !o->input;
}

/* Each once, in order. */
void addresses_unique(struct conf_cidrs *a);

void addresses_fini(struct conf_cidrs *a);

/* How messages call it. */
const char *lines_name(const char *path);

/* Call fn for every line of a file, "-": standard input, until it fails; err then begins with the place. */
int lines_read(const char *path, int (*fn)(struct slice line, void *arg, struct error *err),
	       void *arg, struct error *err);

#endif
