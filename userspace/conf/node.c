/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/node.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <yaml.h>

#define MAX_DEPTH  32
#define MAX_DIAG   65536

#define SUGGESTION " (did you mean '"

struct parser {
	yaml_parser_t yaml;
	struct arena *arena;
	struct conf_diag *diag;
};

void conf_diag_init(struct conf_diag *d)
{
	*d = (struct conf_diag){.file = ""};
	buf_init(&d->text, MAX_DIAG);
}

void conf_diag_fini(struct conf_diag *d)
{
	buf_fini(&d->text);
}

/* One filter that many routes use, one key file that many filters use: one error. */
static bool said(struct slice before, struct slice line)
{
	while (line.len && before.len) {
		struct slice old = slice_cut(&before, '\n');
		struct slice rest = slice_skip(old, old.len < line.len ? old.len : line.len - 1);

		if (slice_starts(old, slice_first(line, line.len - 1)) &&
		    (rest.len == 0 || slice_starts(rest, SLICE(SUGGESTION))))
			return true;
	}
	return false;
}

void conf_diag_add(struct conf_diag *d, const struct conf_node *node, const char *fmt, ...)
{
	char text[640];
	size_t start = buf_len(&d->text);
	va_list ap;

	d->repeated = node && node->bad;
	if (d->repeated)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!node)
		buf_printf(&d->text, "%s: %s\n", d->file, text);
	else
		buf_printf(&d->text, "%s:%u:%u: %s%s%s\n", d->file, node->line, node->column,
			   node->path, node->path[0] ? ": " : "", text);
	d->repeated = said(slice_first(buf_slice(&d->text), start),
			   slice_skip(buf_slice(&d->text), start));
	if (d->repeated)
		d->text.tail = d->text.head + start;
	else
		d->errors++;
}

void conf_diag_print(const struct conf_diag *d, FILE *to)
{
	struct slice s = buf_slice(&d->text);

	fprintf(to, "%.*s", SLICE_FMT(s));
}

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t m = a < b ? a : b;

	return m < c ? m : c;
}

/* Levenshtein distance; long names are never close. */
static size_t distance(struct slice a, struct slice b)
{
	size_t row[65];

	if (a.len > 64 || b.len > 64)
		return SIZE_MAX;
	for (size_t j = 0; j <= b.len; j++)
		row[j] = j;
	for (size_t i = 1; i <= a.len; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b.len; j++) {
			size_t up = row[j];

			row[j] = min3(up + 1, row[j - 1] + 1,
				      diagonal + (a.ptr[i - 1] != b.ptr[j - 1]));
			diagonal = up;
		}
	}
	return row[b.len];
}

void conf_diag_suggest(struct conf_diag *d, struct slice written, const struct slice *names,
		       size_t n)
{
	size_t best = written.len / 3 + 1;
	const struct slice *found = NULL;

	for (size_t i = 0; i < n; i++) {
		size_t dist = distance(written, names[i]);

		if (dist < best || (dist == best && !found)) {
			best = dist;
			found = &names[i];
		}
	}
	if (!found || d->repeated || d->text.failed)
		return;
	d->text.tail--; /* the newline */
	buf_printf(&d->text, SUGGESTION "%.*s'?)\n", SLICE_FMT(*found));
}

const struct conf_node *conf_node_get(const struct conf_node *map, const char *key)
{
	for (size_t i = 0; map->kind == CONF_MAP && i < map->n; i++)
		if (slice_eq(map->keys[i], slice_str(key)))
			return map->items[i];
	return NULL;
}

static struct conf_node *node_new(struct parser *p, const yaml_event_t *e, const char *path)
{
	struct conf_node *node = arena_new(p->arena, struct conf_node);

	if (!node)
		return NULL;
	node->path = path;
	node->line = (unsigned int)e->start_mark.line + 1;
	node->column = (unsigned int)e->start_mark.column + 1;
	return node;
}

/* ${NAME} and ${NAME:-default}; "$$" is a dollar sign. */
static int expand(struct parser *p, struct conf_node *node, struct slice in)
{
	struct buf out;
	int rc = 0;

	buf_init(&out, 1 << 20);
	while (in.len) {
		struct slice name, rest;
		char key[128];
		const char *value;
		size_t at = slice_index(in, '$');

		buf_put(&out, slice_first(in, at));
		in = slice_skip(in, at);
		if (in.len == 0)
			break;
		if (in.len < 2 || (in.ptr[1] != '{' && in.ptr[1] != '$')) {
			buf_put(&out, slice_first(in, 1));
			in = slice_skip(in, 1);
			continue;
		}
		if (in.ptr[1] == '$') {
			buf_put(&out, SLICE("$"));
			in = slice_skip(in, 2);
			continue;
		}
		rest = slice_skip(in, 2);
		at = slice_index(rest, '}');
		if (at == rest.len) {
			conf_diag_add(p->diag, node, "'${' without '}'");
			rc = -EINVAL;
			break;
		}
		name = slice_first(rest, at);
		in = slice_skip(rest, at + 1);
		at = slice_index(name, ':');
		snprintf(key, sizeof(key), "%.*s", SLICE_FMT(slice_first(name, at)));
		value = getenv(key);
		if (value && *value) {
			buf_puts(&out, value);
		} else if (at + 1 < name.len && name.ptr[at + 1] == '-') {
			buf_put(&out, slice_skip(name, at + 2));
		} else {
			conf_diag_add(p->diag, node, "environment variable '%s' is not set", key);
			rc = -EINVAL;
		}
	}
	node->text = arena_dup(p->arena, buf_slice(&out));
	buf_fini(&out);
	return rc;
}

static int parse_node(struct parser *p, const yaml_event_t *e, const char *path, int depth,
		      struct conf_node **ret_node);

static int next_event(struct parser *p, yaml_event_t *e)
{
	const yaml_parser_t *y = &p->yaml;
	struct conf_node at = {.path = ""};

	if (yaml_parser_parse(&p->yaml, e))
		return 0;
	at.line = (unsigned int)y->problem_mark.line + 1;
	at.column = (unsigned int)y->problem_mark.column + 1;
	conf_diag_add(p->diag, &at, "%s", y->problem ? y->problem : "out of memory");
	return -EINVAL;
}

static int add_item(struct parser *p, struct conf_node *node, struct slice key,
		    struct conf_node *item, size_t *cap)
{
	if (node->n == *cap) {
		size_t more = *cap ? *cap * 2 : 8;
		struct conf_node **items = arena_alloc(p->arena, more * sizeof(struct conf_node *));
		struct slice *keys = arena_alloc(p->arena, more * sizeof(*keys));

		if (!items || !keys)
			return -ENOMEM;
		if (node->n) {
			memcpy(items, node->items, node->n * sizeof(struct conf_node *));
			memcpy(keys, node->keys, node->n * sizeof(*keys));
		}
		node->items = items;
		node->keys = keys;
		*cap = more;
	}
	node->keys[node->n] = key;
	node->items[node->n++] = item;
	return 0;
}

/* The key event of a map entry and the node of its value's path. */
static int parse_key(struct parser *p, const yaml_event_t *e, struct conf_node *map,
		     struct slice *ret_key, bool *ret_again)
{
	struct conf_node *at = node_new(p, e, map->path);
	struct slice key;

	if (!at)
		return -ENOMEM;
	if (e->type != YAML_SCALAR_EVENT) {
		conf_diag_add(p->diag, at, "a key must be a plain word");
		return -EINVAL;
	}
	key = arena_dup(p->arena,
			slice_make((const char *)e->data.scalar.value, e->data.scalar.length));
	if (!key.ptr)
		return -ENOMEM;
	for (size_t i = 0; i < map->n; i++) {
		if (!slice_eq(map->keys[i], key))
			continue;
		conf_diag_add(p->diag, at, "'%.*s' stands here twice", SLICE_FMT(key));
		*ret_again = true;
	}
	*ret_key = key;
	return 0;
}

static int parse_items(struct parser *p, struct conf_node *node, int depth)
{
	yaml_event_type_t end = node->kind == CONF_MAP ? YAML_MAPPING_END_EVENT
						       : YAML_SEQUENCE_END_EVENT;
	size_t cap = 0;

	for (;;) {
		struct slice key = {0};
		bool again = false; /* read on, so that further errors are seen, too */
		struct conf_node *item = NULL;
		const char *path;
		yaml_event_t e;
		int rc = next_event(p, &e);

		if (rc < 0)
			return rc;
		if (e.type == end) {
			yaml_event_delete(&e);
			return 0;
		}
		if (node->kind == CONF_MAP) {
			rc = parse_key(p, &e, node, &key, &again);
			yaml_event_delete(&e);
			if (rc < 0 || (rc = next_event(p, &e)) < 0)
				return rc;
			path = arena_printf(p->arena, "%s%s%.*s", node->path,
					    node->path[0] ? "." : "", SLICE_FMT(key));
		} else {
			path = arena_printf(p->arena, "%s[%zu]", node->path, node->n);
		}
		rc = path ? parse_node(p, &e, path, depth + 1, &item) : -ENOMEM;
		yaml_event_delete(&e);
		if (rc == 0 && !again)
			rc = add_item(p, node, key, item, &cap);
		if (rc < 0)
			return rc;
	}
}

static int parse_node(struct parser *p, const yaml_event_t *e, const char *path, int depth,
		      struct conf_node **ret_node)
{
	struct conf_node *node = node_new(p, e, path);

	if (!node)
		return -ENOMEM;
	*ret_node = node;
	if (depth > MAX_DEPTH) {
		conf_diag_add(p->diag, node, "nested deeper than %d", MAX_DEPTH);
		return -EINVAL;
	}
	switch (e->type) {
	case YAML_SCALAR_EVENT:
		node->kind = CONF_SCALAR;
		/* An unset variable is reported and the rest still checked. */
		node->bad = expand(p, node,
				   slice_make((const char *)e->data.scalar.value,
					      e->data.scalar.length)) < 0;
		return node->text.ptr ? 0 : -ENOMEM;
	case YAML_MAPPING_START_EVENT:
		node->kind = CONF_MAP;
		return parse_items(p, node, depth);
	case YAML_SEQUENCE_START_EVENT:
		node->kind = CONF_LIST;
		return parse_items(p, node, depth);
	default:
		conf_diag_add(p->diag, node, "aliases are not supported: write the value out");
		return -EINVAL;
	}
}

static int parse_document(struct parser *p, struct conf_node **ret_root)
{
	yaml_event_t e;
	int rc;

	/* stream start, document start, the root, document end, stream end */
	for (int i = 0; i < 3; i++) {
		rc = next_event(p, &e);
		if (rc < 0)
			return rc;
		if (i == 1 && e.type != YAML_DOCUMENT_START_EVENT) {
			yaml_event_delete(&e);
			conf_diag_add(p->diag, NULL, "the file is empty");
			return -EINVAL;
		}
		if (i < 2)
			yaml_event_delete(&e);
	}
	rc = parse_node(p, &e, "", 0, ret_root);
	yaml_event_delete(&e);
	for (int i = 0; rc == 0 && i < 2; i++) {
		rc = next_event(p, &e);
		if (rc < 0)
			return rc;
		if (i == 1 && e.type != YAML_STREAM_END_EVENT) {
			conf_diag_add(p->diag, NULL, "one document is expected, there is a second");
			rc = -EINVAL;
		}
		yaml_event_delete(&e);
	}
	return rc;
}

int conf_node_parse(struct slice text, struct arena *arena, struct conf_diag *diag,
		    struct conf_node **ret_root)
{
	struct parser p = {.arena = arena, .diag = diag};
	struct conf_node *root = NULL;
	int rc;

	*ret_root = NULL;
	if (!yaml_parser_initialize(&p.yaml))
		return -ENOMEM;
	yaml_parser_set_input_string(&p.yaml, (const unsigned char *)text.ptr, text.len);
	rc = parse_document(&p, &root);
	yaml_parser_delete(&p.yaml);
	if (rc == 0)
		*ret_root = root;
	if (rc == 0 && diag->errors)
		rc = -EINVAL;
	if (rc == -ENOMEM)
		conf_diag_add(diag, NULL, "out of memory, or larger than a configuration may be");
	return rc;
}
