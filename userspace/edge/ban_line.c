/* SPDX-License-Identifier: Apache-2.0 */
/* Verdicts as lines of text. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "conf/cidr.h"
#include "conf/schema.h"
#include "edge/bans.h"

static int read_text(const json_t *value, const char *key, char *out, size_t size,
		     struct error *err)
{
	if (!json_is_string(value))
		return error_set(err, EINVAL, "'%s' is not a string", key);
	text_clean(out, size, slice_make(json_string_value(value), json_string_length(value)));
	return 0;
}

static int read_prefix(const json_t *value, struct edge_ban *ban, struct error *err)
{
	struct slice text = slice_make(json_string_value(value), json_string_length(value));
	const char *why = json_is_string(value) ? conf_cidr_parse(text, &ban->cidr)
						: "is not a string";

	return why ? error_set(err, EINVAL, "'prefix': '%.*s' %s", SLICE_FMT(text), why) : 0;
}

/* "10m", or seconds. */
static int read_ttl(const json_t *value, struct edge_ban *ban, struct error *err)
{
	json_int_t seconds = json_integer_value(value);

	if (json_is_integer(value) && seconds > 0 && seconds <= UINT32_MAX) {
		ban->ttl = (uint64_t)seconds * NSEC_PER_SEC;
		return 0;
	}
	if (json_is_string(value) &&
	    conf_parse_duration(slice_str(json_string_value(value)), &ban->ttl) && ban->ttl)
		return 0;
	return error_set(err, EINVAL, "'ttl' is not a duration such as \"10m\", or seconds");
}

static int read_until(const json_t *value, struct edge_ban *ban, struct error *err)
{
	json_int_t now = (json_int_t)(clock_wall() / NSEC_PER_SEC);
	json_int_t until = json_integer_value(value);

	if (!json_is_integer(value) || until <= now)
		return error_set(err, EINVAL,
				 "'until' is not a time to come (Unix time, in seconds)");
	if (until - now > UINT32_MAX)
		return error_set(err, EINVAL, "'until' is too far ahead (Unix time, in seconds)");
	ban->ttl = (uint64_t)(until - now) * NSEC_PER_SEC;
	return 0;
}

static int read_member(const char *key, const json_t *value, struct edge_ban *ban,
		       struct error *err)
{
	if (strcmp(key, "prefix") == 0)
		return read_prefix(value, ban, err);
	if (strcmp(key, "reason") == 0)
		return read_text(value, key, ban->why, sizeof(ban->why), err);
	if (strcmp(key, "by") == 0)
		return read_text(value, key, ban->by, sizeof(ban->by), err);
	if (strcmp(key, "ttl") == 0)
		return read_ttl(value, ban, err);
	if (strcmp(key, "until") == 0)
		return read_until(value, ban, err);
	return error_set(err, EINVAL, "'%s' is not known: prefix, reason, by, ttl, until", key);
}

static int parse_json(struct slice line, struct edge_ban *ban, struct error *err)
{
	json_error_t why;
	_cleanup_(json_decrefp)
		json_t *root = json_loadb(line.ptr, line.len, JSON_REJECT_DUPLICATES, &why);
	const char *key;
	json_t *value;

	if (!root)
		return error_set(err, EINVAL, "%s", why.text);
	if (!json_object_get(root, "prefix"))
		return error_set(err, EINVAL, "'prefix' is missing");
	json_object_foreach(root, key, value)
	{
		int rc = read_member(key, value, ban, err);

		if (rc < 0)
			return rc;
	}
	return 1;
}

int edge_ban_parse(struct slice line, struct edge_ban *ret, struct error *err)
{
	struct edge_ban ban = *ret;
	const char *why;
	int rc;

	line = slice_trim(line);
	if (slice_starts(line, SLICE("{"))) {
		rc = parse_json(line, &ban, err);
	} else {
		line = slice_first(line, slice_index(line, '#'));
		line = slice_trim(slice_first(line, slice_index(line, ';')));
		if (line.len == 0)
			return 0;
		why = conf_cidr_parse(line, &ban.cidr);
		rc = why ? error_set(err, EINVAL, "'%.*s' %s", SLICE_FMT(line), why) : 1;
	}
	if (rc > 0)
		*ret = ban;
	return rc;
}
