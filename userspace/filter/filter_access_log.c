/* SPDX-License-Identifier: Apache-2.0 */
/* The access_log entry of filters: its options. It looks at no request: proxy/account.c writes when one is over. */
#include <errno.h>

#include "conf/node.h"
#include "conf/schema.h"
#include "filter/filter_types.h"
#include "observe/access_log.h"

#define AT(member) .offset = offsetof(struct access_log, member)

static const struct conf_option option_rows[] = {
	{"path", CONF_STRING, AT(path),
	 .help = "The file, relative to this one's directory; /dev/stdout and pipes work."},
	{"query", CONF_BOOL, AT(query), .fallback = "true",
	 .help = "Whether paths are logged with their query."},
	{"enabled", CONF_BOOL, AT(enabled), .fallback = "true",
	 .help = "Whether there is a log; a route can do without the one that all others have."},
	{0},
};
static const struct conf_table access_log_options = {option_rows, sizeof(struct access_log), NULL,
						     NULL};

/* As every file name in a configuration. */
static struct slice resolve(struct arena *arena, const struct config *cfg, struct slice path)
{
	size_t dir = cfg->path.len;

	while (dir && cfg->path.ptr[dir - 1] != '/')
		dir--;
	if (path.ptr[0] == '/' || dir == 0)
		return path;
	return slice_str(arena_printf(arena, "%.*s%.*s", (int)dir, cfg->path.ptr, SLICE_FMT(path)));
}

static int access_log_compile(const struct config *cfg, const struct conf_filter *conf,
			      struct arena *arena, struct conf_diag *diag,
			      struct filter **ret_filter)
{
	struct conf_parse parse = {.arena = arena, .diag = diag, .dir = "."};
	struct access_log *l = arena_new(arena, struct access_log);
	size_t errors = diag->errors;

	if (!l)
		return -ENOMEM;
	conf_fill(&parse, &access_log_options, conf->node, l);
	if (diag->errors == errors && l->enabled && l->path.len == 0)
		conf_diag_add(diag, conf->node, "a path is needed");
	if (diag->errors > errors)
		return -EINVAL;
	if (l->enabled)
		l->path = resolve(arena, cfg, l->path);
	if (l->enabled && !l->path.ptr)
		return -ENOMEM;
	*ret_filter = (struct filter *)l;
	return 0;
}

const struct filter_type filter_access_log = {
	.name = "access_log",
	.options = &access_log_options,
	.compile = access_log_compile,
};
