/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands have in common. */
#include "loader/command.h"

#include <errno.h>
#include <stdio.h>

#include "edge/edge.h"

enum status command_fail(const struct error *err)
{
	fprintf(stderr, "sluice: %s\n", err->text);
	return err->code == ENOENT ? STATUS_NOT_FOUND : STATUS_FAILED;
}

struct each {
	int (*fn)(const char *name, void *arg);
	void *arg;
	size_t n;
};

static int count_and_call(const char *name, void *arg)
{
	struct each *e = arg;

	e->n++;
	return e->fn(name, e->arg);
}

int command_each(const struct options *o, int (*fn)(const char *name, void *arg), void *arg,
		 struct error *err)
{
	struct each e = {fn, arg, 0};
	int rc;

	if (o->interface)
		return fn(o->interface, arg);
	rc = edge_each(count_and_call, &e, err);
	if (rc == 0 && e.n == 0)
		return error_set(err, ENOENT, "the guard is not attached to any interface");
	return rc;
}
