/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/schema.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "conf/cidr.h"

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit durations[] = {
	{"ms", NSEC_PER_MSEC},	    {"s", NSEC_PER_SEC},	 {"m", 60 * NSEC_PER_SEC},
	{"h", 3600 * NSEC_PER_SEC}, {"d", 86400 * NSEC_PER_SEC}, {NULL, 0},
};
static const struct unit sizes[] = {
	{"", 1}, {"B", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {NULL, 0},
};
static const struct unit rates[] = {{"/s", 1}, {"k/s", 1000}, {"M/s", 1000000}, {NULL, 0}};
static const struct unit byte_rates[] = {
	{"/s", 1},	    {"B/s", 1},		{"KiB/s", 1 << 10},
	{"MiB/s", 1 << 20}, {"GiB/s", 1 << 30}, {NULL, 0},
};
static const struct unit plain[] = {{"", 1}, {NULL, 0}};

static bool number(struct slice text, const struct unit *units, uint64_t *ret)
{
	uint64_t value = 0;
	size_t i = 0;

	for (; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++)
		if (__builtin_mul_overflow(value, 10U, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(text.ptr[i] - '0'), &value))
			return false;
	if (i == 0)
		return false;
	for (; units->name; units++)
		if (slice_eq(slice_skip(text, i), slice_str(units->name)))
			return !__builtin_mul_overflow(value, units->factor, ret);
	return false;
}

bool conf_parse_duration(struct slice text, uint64_t *ret)
{
	return number(text, durations, ret);
}

bool conf_parse_number(struct slice text, uint64_t *ret)
{
	return number(text, plain, ret);
}

bool conf_parse_rate(struct slice text, uint64_t *ret)
{
	return number(text, rates, ret);
}

/* As it could be written, in the largest unit of which it is a multiple. */
static void format(uint64_t value, const struct unit *units, char ret[32])
{
	const struct unit *best = units;

	for (; units->name; units++)
		if (units->factor > best->factor && value && value % units->factor == 0)
			best = units;
	snprintf(ret, 32, "%llu%s", (unsigned long long)(value / best->factor), best->name);
}

static void parse_number(struct conf_parse *p, const struct conf_option *o,
			 const struct conf_node *node, struct slice text, uint64_t *ret)
{
	static const struct {
		const struct unit *units;
		const char *shape;
	} numbers[] = {
		[CONF_UINT] = {plain, "a whole number"},
		[CONF_INT] = {plain, "a whole number"},
		[CONF_DURATION] = {durations, "a duration such as 500ms, 5s or 10m"},
		[CONF_SIZE] = {sizes, "a size such as 512 or 64KiB"},
		[CONF_RATE] = {rates, "a rate such as 100/s or 10k/s"},
		[CONF_BYTE_RATE] = {byte_rates, "a rate of bytes such as 64KiB/s or 10MiB/s"},
	};
	char min[32], max[32];
	uint64_t value;

	if (!number(text, numbers[o->type].units, &value)) {
		conf_diag_add(p->diag, node, "'%.*s' is not %s", SLICE_FMT(text),
			      numbers[o->type].shape);
		return;
	}
	if (o->max && (value < o->min || value > o->max)) {
		format(o->min, numbers[o->type].units, min);
		format(o->max, numbers[o->type].units, max);
		conf_diag_add(p->diag, node, "%.*s is out of range (%s to %s)", SLICE_FMT(text),
			      min, max);
		return;
	}
	*ret = value;
}

static void parse_enum(struct conf_parse *p, const struct conf_option *o,
		       const struct conf_node *node, struct slice text, int *ret)
{
	struct slice names[16];
	size_t n = 0;

	for (; n < 16 && o->names[n]; n++) {
		names[n] = slice_str(o->names[n]);
		if (slice_eq(names[n], text)) {
			*ret = (int)n;
			return;
		}
	}
	conf_diag_add(p->diag, node, "'%.*s' is not known here", SLICE_FMT(text));
	conf_diag_suggest(p->diag, text, names, n);
}

bool conf_parse_address(struct conf_parse *p, const struct conf_node *node, struct slice text,
			struct conf_sockaddr *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&ret->ss;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&ret->ss;
	char host[INET6_ADDRSTRLEN + 2];
	uint64_t port = 0;
	size_t colon = text.len;

	while (colon && text.ptr[colon - 1] != ':')
		colon--;
	*ret = (struct conf_sockaddr){.text = text};
	if (colon < 2 || colon > sizeof(host) || !number(slice_skip(text, colon), plain, &port) ||
	    port == 0 || port > 65535)
		goto bad;
	memcpy(host, text.ptr, colon - 1);
	host[colon - 1] = '\0';
	if (host[0] == '[' && host[colon - 2] == ']') {
		host[colon - 2] = '\0';
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)port);
		ret->len = sizeof(*v6);
		if (inet_pton(AF_INET6, host + 1, &v6->sin6_addr) == 1)
			return true;
	} else {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		ret->len = sizeof(*v4);
		if (inet_pton(AF_INET, host, &v4->sin_addr) == 1)
			return true;
	}
bad:
	conf_diag_add(p->diag, node,
		      "'%.*s' is not an address such as 127.0.0.1:8080 or [::1]:8080",
		      SLICE_FMT(text));
	return false;
}

bool conf_parse_cidr(struct conf_parse *p, const struct conf_node *node, struct conf_cidr *ret)
{
	const char *why = node->kind == CONF_SCALAR
				  ? conf_cidr_parse(node->text, ret)
				  : "is not an address or prefix such as 10.0.0.0/8";

	if (why)
		conf_diag_add(p->diag, node, "'%.*s' %s", SLICE_FMT(node->text), why);
	return !why;
}

static bool want(struct conf_parse *p, const struct conf_node *node, enum conf_kind kind)
{
	static const char *const what[] = {"a single value", "a map", "a list"};

	if (node->kind == kind)
		return true;
	conf_diag_add(p->diag, node, "%s is expected here", what[kind]);
	return false;
}

static void *array(struct conf_parse *p, size_t size, size_t n)
{
	void *items = arena_zalloc(p->arena, size * n + 1);

	if (!items)
		conf_diag_add(p->diag, NULL,
			      "out of memory, or larger than a configuration may be");
	return items;
}

void *conf_parse_list(struct conf_parse *p, const struct conf_node *node, size_t size,
		      const char *what)
{
	if (node->kind == CONF_LIST)
		return array(p, size, node->n);
	conf_diag_add(p->diag, node, "%s is expected here", what);
	return NULL;
}

static void parse_strings(struct conf_parse *p, const struct conf_node *node,
			  struct conf_strings *ret)
{
	size_t n = node->kind == CONF_LIST ? node->n : 1;

	ret->items = array(p, sizeof(*ret->items), n);
	if (!ret->items)
		return;
	for (size_t i = 0; i < n; i++) {
		const struct conf_node *item = node->kind == CONF_LIST ? node->items[i] : node;

		if (want(p, item, CONF_SCALAR))
			ret->items[ret->n++] = item->text;
	}
}

static void parse_pairs(struct conf_parse *p, const struct conf_node *node, struct conf_pairs *ret)
{
	if (!want(p, node, CONF_MAP))
		return;
	ret->items = array(p, sizeof(*ret->items), node->n);
	for (size_t i = 0; ret->items && i < node->n; i++) {
		const struct conf_node *value = node->items[i];

		if (!want(p, value, CONF_SCALAR))
			continue;
		ret->items[ret->n++] = (struct conf_pair){
			.name = node->keys[i],
			.value = value->text,
			.any = slice_eq(value->text, SLICE("*")),
		};
	}
}

static void parse_array(struct conf_parse *p, const struct conf_option *o,
			const struct conf_node *node, char *out)
{
	const struct conf_table *t = o->table;
	bool map = o->type == CONF_MAP_OF;
	char *items;

	if (!want(p, node, map ? CONF_MAP : CONF_LIST))
		return;
	items = array(p, t->size, node->n);
	if (!items)
		return;
	for (size_t i = 0; i < node->n; i++) {
		if (map)
			*(struct slice *)(void *)(items + i * t->size) = node->keys[i];
		conf_fill(p, t, node->items[i], items + i * t->size);
	}
	memcpy(out + o->offset, &items, sizeof(items));
	memcpy(out + o->count, &node->n, sizeof(node->n));
}

void conf_fill_option(struct conf_parse *p, const struct conf_option *o,
		      const struct conf_node *node, void *out)
{
	void *field = (char *)out + o->offset;

	if (o->type <= CONF_ENUM || o->type == CONF_ADDRESS)
		if (!want(p, node, CONF_SCALAR))
			return;
	switch (o->type) {
	case CONF_STRING:
		*(struct slice *)field = node->text;
		break;
	case CONF_BOOL:
		if (slice_eq(node->text, SLICE("true")))
			*(bool *)field = true;
		else if (slice_eq(node->text, SLICE("false")))
			*(bool *)field = false;
		else
			conf_diag_add(p->diag, node, "'%.*s' is neither true nor false",
				      SLICE_FMT(node->text));
		break;
	case CONF_INT: {
		bool minus = slice_starts(node->text, SLICE("-"));
		uint64_t value = 0;

		parse_number(p, o, node, slice_skip(node->text, minus), &value);
		if (value > INT64_MAX) {
			conf_diag_add(p->diag, node, "'%.*s' is too large", SLICE_FMT(node->text));
			break;
		}
		*(int64_t *)field = minus ? -(int64_t)value : (int64_t)value;
		break;
	}
	case CONF_UINT:
	case CONF_DURATION:
	case CONF_SIZE:
	case CONF_RATE:
	case CONF_BYTE_RATE:
		parse_number(p, o, node, node->text, field);
		break;
	case CONF_ENUM:
		parse_enum(p, o, node, node->text, field);
		break;
	case CONF_STRINGS:
		parse_strings(p, node, field);
		break;
	case CONF_PAIRS:
		parse_pairs(p, node, field);
		break;
	case CONF_ADDRESS:
		conf_parse_address(p, node, node->text, field);
		break;
	case CONF_STRUCT:
		conf_fill(p, o->table, node, field);
		break;
	case CONF_LIST_OF:
	case CONF_MAP_OF:
		parse_array(p, o, node, out);
		break;
	case CONF_CUSTOM:
		o->parse(p, node, field);
		break;
	}
}

static void unknown_keys(struct conf_parse *p, const struct conf_table *t,
			 const struct conf_node *node)
{
	struct slice names[64];
	size_t n = 0;

	while (n < 64 && t->options[n].name) {
		names[n] = slice_str(t->options[n].name);
		n++;
	}
	for (size_t i = 0; i < node->n; i++) {
		size_t j = 0;

		while (j < n && !slice_eq(names[j], node->keys[i]))
			j++;
		if (j < n)
			continue;
		conf_diag_add(p->diag, node->items[i], "unknown key");
		conf_diag_suggest(p->diag, node->keys[i], names, n);
	}
}

static void defaults(struct conf_parse *p, const struct conf_option *o,
		     const struct conf_node *parent, char *out)
{
	struct conf_node node = {.kind = CONF_SCALAR, .path = o->name};

	if (o->required && parent) {
		conf_diag_add(p->diag, parent, "'%s' is missing", o->name);
	} else if (o->fallback) {
		node.text = slice_str(o->fallback);
		conf_fill_option(p, o, &node, out);
	} else if (o->type == CONF_STRUCT) {
		conf_fill(p, o->table, NULL, out + o->offset);
	}
}

void conf_fill(struct conf_parse *p, const struct conf_table *t, const struct conf_node *node,
	       void *out)
{
	bool scalar = node && node->kind == CONF_SCALAR && t->scalar;

	if (node && !scalar && !want(p, node, CONF_MAP))
		return;
	if (scalar)
		t->scalar(p, node, out);
	else if (node)
		unknown_keys(p, t, node);
	for (const struct conf_option *o = t->options; o->name; o++) {
		const struct conf_node *value = node ? conf_node_get(node, o->name) : NULL;

		if (value)
			conf_fill_option(p, o, value, out);
		else
			defaults(p, o, scalar ? NULL : node, out);
	}
	if (node && t->check)
		t->check(p, node, out);
}
