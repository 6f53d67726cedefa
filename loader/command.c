/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands have in common. */
#include "loader/command.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "edge/edge.h"

enum status command_status(const struct error *err)
{
	/* Not a file that is missing, for instance. */
	return err->code == ENOENT && !err->of_system ? STATUS_NOT_FOUND : STATUS_FAILED;
}

enum status command_fail(const struct error *err)
{
	fprintf(stderr, "sluice: %s\n", err->text);
	return command_status(err);
}

enum status command_shown(enum status status)
{
	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fprintf(stderr, "sluice: standard output: %s\n", strerror(errno ? errno : EIO));
	return STATUS_FAILED;
}

void command_warn(const char *text)
{
	fprintf(stderr, "sluice: warning: %s\n", text);
}

const char *command_user(void)
{
	const char *name = getenv("SUDO_USER");
	const struct passwd *user = name ? NULL : getpwuid(getuid());

	return name ? name : user ? user->pw_name : "unknown";
}

struct each {
	int (*fn)(const char *name, void *arg);
	void *arg;
	size_t n;
};

static int count_and_call(const char *name, void *arg)
{
	struct each *e = arg;
	int rc = e->fn(name, e->arg);

	if (rc == -ENOENT)
		return 0; /* detached since it was listed */
	e->n++;
	return rc;
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

struct open {
	struct edges *edges;
	struct error *err;
};

static int open_one(const char *name, void *arg)
{
	struct open *open = arg;
	struct edges *e = open->edges;
	void *grown = reallocarray(e->items, e->n + 1, sizeof(*e->items));
	int rc;

	if (!grown)
		return error_sys(open->err, ENOMEM, "%s", name);
	e->items = grown;
	rc = edge_open(name, &e->items[e->n], open->err);
	e->n += rc == 0;
	return rc;
}

int command_open(const struct options *o, int *ret_lock, struct edges *ret, struct error *err)
{
	struct open open = {ret, err};
	int lock = ret_lock ? edge_lock(err) : 0;

	*ret = (struct edges){0};
	if (lock < 0)
		return lock;
	if (ret_lock)
		*ret_lock = lock;
	return command_each(o, open_one, &open, err);
}

json_t *command_text(struct slice text)
{
	json_t *string = json_stringn(text.ptr ? text.ptr : "", text.len);
	_cleanup_free_ char *clean = string ? NULL : malloc(text.len + 1);

	if (clean) {
		text_clean(clean, text.len + 1, text);
		string = json_string(clean);
	}
	return string;
}

void command_print(const json_t *json)
{
	json_dumpf(json, stdout, JSON_INDENT(2));
	putchar('\n');
}

void edges_fini(struct edges *e)
{
	for (size_t i = 0; i < e->n; i++)
		edge_close(&e->items[i]);
	free(e->items);
	*e = (struct edges){0};
}
