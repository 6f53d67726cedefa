/* SPDX-License-Identifier: Apache-2.0 */
/* What a command does on the interfaces that it is about: change all of them or none, or show each. */
#ifndef LOADER_VISIT_H
#define LOADER_VISIT_H

#include <jansson.h>

#include "edge/batch.h"
#include "loader/command.h"

/* Begins with {.o = o}; commands embed it. */
struct visit {
	const struct options *o;
	struct edges edges;
	struct error err;
	json_t *json; /* an array, what is to be printed; NULL: text */
};

/* An action that changes something. */
struct visit_change {
	const char *action; /* "add" */
	const char *done;   /* "added" */
	/* Stage it on an interface, one of v->edges. How many entries it is about, or -errno. */
	int (*stage)(struct visit *v, struct edge_batch *b);
	/* Say to how many entries it was done. */
	void (*report)(struct visit *v, const struct edge *e, const char *done, size_t n);
};

/* Print what an interface has, or append it to v->json. */
typedef int visit_show(struct visit *v, const struct edge *e);

/*
 * Do what o->action says: the change of that name (of a table that ends with a row without one; NULL: there is none), else
 * show. Prints the JSON, or what has failed.
 */
enum status visit_run(struct visit *v, const struct visit_change *changes, visit_show *show);

/* What the arguments' failure, in v->err, makes of the command; it was not run. */
enum status visit_refuse(const struct visit *v);

/* "eth0: ban: 3 added" */
void visit_report(struct visit *v, const struct edge *e, const char *done, size_t n);

#endif
