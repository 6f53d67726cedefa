/* SPDX-License-Identifier: Apache-2.0 */
#include "route/strip.h"

struct slice strip_target(const struct conf_route *route, struct slice path, struct slice query,
			  struct arena *arena)
{
	struct slice prefix = route->strip_prefix;
	char *out;
	size_t len;

	if (prefix.len && prefix.ptr[prefix.len - 1] == '/')
		prefix.len--;
	if (prefix.len && slice_starts(path, prefix) &&
	    (path.len == prefix.len || path.ptr[prefix.len] == '/'))
		path = slice_skip(path, prefix.len);
	if (path.len == 0)
		path = SLICE("/");
	if (!query.ptr)
		return path;
	len = path.len + 1 + query.len;
	out = arena_alloc(arena, len);
	if (!out)
		return slice_make(NULL, 0);
	memcpy(out, path.ptr, path.len);
	out[path.len] = '?';
	memcpy(out + path.len + 1, query.ptr, query.len);
	return slice_make(out, len);
}
