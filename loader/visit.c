/* SPDX-License-Identifier: Apache-2.0 */
#include "loader/visit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "edge/sweep.h"

void visit_report(struct visit *v, const struct edge *e, const char *done, size_t n)
{
	if (v->json)
		json_array_append_new(v->json, json_pack("{s:s, s:I}", "interface", e->name, done,
							 (json_int_t)n));
	else
		printf("%s: %s: %zu %s\n", e->name, v->o->family, n, done);
}

/* Stage it on one interface. How many entries it is about. */
static int stage(struct visit *v, const struct visit_change *c, const struct edge *e,
		 struct edge_batch *b)
{
	int rc = edge_sweep(e, &v->err);

	if (rc >= 0)
		rc = edge_batch_begin(b, e, &v->err);
	return rc < 0 ? rc : c->stage(v, b);
}

/* Stage it everywhere, then let it count everywhere: a failure leaves all as it was. */
static int change(struct visit *v, const struct visit_change *c)
{
	size_t n = v->edges.n;
	_cleanup_free_ struct edge_batch *batches = calloc(n + 1, sizeof(*batches));
	_cleanup_free_ size_t *sizes = calloc(n + 1, sizeof(*sizes));
	int rc = 0;

	if (!batches || !sizes)
		return error_sys(&v->err, ENOMEM, "interfaces");
	for (size_t i = 0; rc >= 0 && i < n; i++) {
		rc = stage(v, c, &v->edges.items[i], &batches[i]);
		sizes[i] = (size_t)rc;
	}
	if (rc >= 0)
		rc = edge_batch_commit_all(batches, n, false, &v->err);
	for (size_t i = 0; i < n; i++)
		if (rc < 0)
			edge_batch_abort(&batches[i]); /* nothing to do where none was begun */
		else
			c->report(v, &v->edges.items[i], c->done, sizes[i]);
	return rc;
}

/* The change that the command is, or NULL. */
static const struct visit_change *find(const struct visit_change *c, const char *action)
{
	while (c && c->action && strcmp(c->action, action) != 0)
		c++;
	return c && c->action ? c : NULL;
}

static int run(struct visit *v, const struct visit_change *c, visit_show *show)
{
	_cleanup_close_ int lock = -1;
	int rc = command_open(v->o, c ? &lock : NULL, &v->edges, &v->err);

	if (rc == 0 && c)
		return change(v, c);
	for (size_t i = 0; rc == 0 && i < v->edges.n; i++)
		rc = show(v, &v->edges.items[i]);
	return rc;
}

enum status visit_run(struct visit *v, const struct visit_change *changes, visit_show *show)
{
	const struct visit_change *c = find(changes, v->o->action);
	enum status status = STATUS_DONE;

	v->json = v->o->json ? json_array() : NULL;
	if (run(v, c, show) < 0)
		status = command_fail(&v->err);
	else if (v->json)
		command_print(v->json);
	json_decref(v->json);
	edges_fini(&v->edges);
	return c ? status : command_shown(status);
}

enum status visit_refuse(const struct visit *v)
{
	fprintf(stderr, "sluice %s: %s\n", v->o->family, v->err.text);
	return v->err.code == EINVAL ? STATUS_USAGE : STATUS_FAILED;
}
