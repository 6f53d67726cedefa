/* SPDX-License-Identifier: Apache-2.0 */
/* The router's order of precedence case by case, and against a model that tries every route. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <stdio.h>
#include <unistd.h>

#include "tests/unit/route/linear.h"

#define MAX_ROUTES 64
#define MAX_ITEMS  3

/* A configuration with room for its lists, so that tests can write it down or roll dice for it. */
struct table {
	struct config cfg;
	struct conf_route routes[MAX_ROUTES];
	struct slice hosts[MAX_ROUTES][MAX_ITEMS];
	struct slice methods[MAX_ROUTES][MAX_ITEMS];
	struct conf_pair headers[MAX_ROUTES][MAX_ITEMS];
	struct conf_pair cookies[MAX_ROUTES][MAX_ITEMS];
	struct arena arena;
	struct router *router;
};

static struct table table;
static struct http_head head;

static void clear(void)
{
	memset(&table, 0, sizeof(table));
	table.cfg.routes = table.routes;
	arena_init(&table.arena, 4096, 64 << 20);
}

static struct conf_match *add(const char *path)
{
	size_t i = table.cfg.n_routes++;
	struct conf_match *m = &table.routes[i].match;

	m->path = slice_str(path);
	m->hosts.items = table.hosts[i];
	m->methods.items = table.methods[i];
	m->headers.items = table.headers[i];
	m->cookies.items = table.cookies[i];
	return m;
}

static void push(struct conf_strings *list, const char *text)
{
	list->items[list->n++] = slice_str(text);
}

static void pair(struct conf_pairs *list, const char *name, const char *value)
{
	list->items[list->n++] = (struct conf_pair){.name = slice_str(name),
						    .value = slice_str(value),
						    .any = slice_eq(slice_str(value), SLICE("*"))};
}

static void build(void)
{
	struct error err;

	assert_int_equal(router_new(&table.cfg, &table.arena, &err, &table.router), 0);
}

static void done(void)
{
	arena_fini(&table.arena);
}

static void request(const char *method)
{
	static const char *const names[] = {
		[HTTP_GET] = "GET",	    [HTTP_HEAD] = "HEAD",     [HTTP_POST] = "POST",
		[HTTP_PUT] = "PUT",	    [HTTP_DELETE] = "DELETE", [HTTP_CONNECT] = "CONNECT",
		[HTTP_OPTIONS] = "OPTIONS", [HTTP_TRACE] = "TRACE",   [HTTP_PATCH] = "PATCH",
	};

	memset(&head, 0, sizeof(head));
	head.method_name = slice_str(method);
	for (size_t i = HTTP_GET; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], method) == 0)
			head.method = (enum http_method)i;
}

/* The route that takes it; -404 or -405 when none does. */
static int find(const char *host, const char *path, unsigned int *ret_allowed)
{
	struct router_match m = {0};

	switch (router_find(table.router, &head, slice_str(host), slice_str(path), &m)) {
	case ROUTER_FOUND:
		return (int)m.route;
	case ROUTER_METHOD:
		*ret_allowed = m.allowed;
		return -405;
	default:
		return -404;
	}
}

/* Paths here are at most 255 bytes. */
static void append(char *out, const char *text)
{
	size_t len = strlen(out);

	assert_true(len + strlen(text) < 256);
	memcpy(out + len, text, strlen(text) + 1);
}

static int get(const char *host, const char *path)
{
	unsigned int allowed;

	request("GET");
	return find(host, path, &allowed);
}

static void test_paths(void **state)
{
	(void)state;
	clear();
	add("/*");
	add("/users/*");
	add("/users/{id}");
	add("/users/me");
	add("/users/{id}/posts");
	add("/users/me/{what}");
	build();
	assert_int_equal(get("a", "/"), 0);
	assert_int_equal(get("a", "/x/y"), 0);
	assert_int_equal(get("a", "/user"), 0);
	assert_int_equal(get("a", "/userss"), 0);
	assert_int_equal(get("a", "/users"), 1);
	assert_int_equal(get("a", "/users/"), 1);
	assert_int_equal(get("a", "/users/1"), 2);
	assert_int_equal(get("a", "/users/1/"), 1);
	assert_int_equal(get("a", "/users/me"), 3);
	assert_int_equal(get("a", "/users/mee"), 2);
	assert_int_equal(get("a", "/users/m"), 2);
	assert_int_equal(get("a", "/users/1/posts"), 4);
	assert_int_equal(get("a", "/users/1/post"), 1);
	/* Both fit: the first in the file. */
	assert_int_equal(get("a", "/users/me/posts"), 4);
	assert_int_equal(get("a", "/users/me/likes"), 5);
	done();
}

static void test_empty(void **state)
{
	(void)state;
	clear();
	build();
	assert_int_equal(get("a", "/"), -404);
	done();
	clear();
	add("/only");
	build();
	assert_int_equal(get("a", "/"), -404);
	assert_int_equal(get("a", "/onl"), -404);
	assert_int_equal(get("a", "/only/"), -404);
	assert_int_equal(get("a", "/only"), 0);
	done();
}

static void test_hosts(void **state)
{
	(void)state;
	clear();
	add("/*");
	push(&add("/*")->hosts, "*.example.com");
	push(&add("/*")->hosts, "*.eu.example.com");
	push(&add("/*")->hosts, "example.com");
	push(&add("/*")->hosts, "www.eu.example.com");
	/* Any host, but a better path: the host counts first. */
	add("/exact");
	build();
	assert_int_equal(get("other.org", "/"), 0);
	assert_int_equal(get("", "/"), 0);
	assert_int_equal(get("a.example.com", "/"), 1);
	assert_int_equal(get("a.b.example.com", "/"), 1);
	assert_int_equal(get("aexample.com", "/"), 0);
	assert_int_equal(get(".example.com", "/"), 0);
	assert_int_equal(get("eu.example.com", "/"), 1);
	assert_int_equal(get("x.eu.example.com", "/"), 2);
	assert_int_equal(get("example.com", "/"), 3);
	assert_int_equal(get("www.eu.example.com", "/"), 4);
	assert_int_equal(get("www.eu.example.com", "/exact"), 4);
	assert_int_equal(get("other.org", "/exact"), 5);
	done();
}

/* A route is as specific as the least specific of its hosts; a longer host than there can be matches no name. */
static void test_many_hosts(void **state)
{
	char longest[400];
	struct conf_match *m;

	(void)state;
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	clear();
	m = add("/*");
	push(&m->hosts, "a.example.com");
	push(&m->hosts, "*.example.com");
	push(&add("/*")->hosts, "a.example.com");
	push(&add("/*")->hosts, longest);
	build();
	assert_int_equal(get("a.example.com", "/"), 1);
	assert_int_equal(get("b.example.com", "/"), 0);
	assert_int_equal(get(longest, "/"), -404);
	done();
}

static void test_priority(void **state)
{
	(void)state;
	clear();
	push(&add("/a")->hosts, "h");
	add("/*");
	table.routes[1].priority = 1;
	add("/a");
	table.routes[2].priority = -1;
	build();
	assert_int_equal(get("h", "/a"), 1);
	assert_int_equal(get("x", "/a"), 1);
	done();
}

static void test_conditions(void **state)
{
	unsigned int allowed;

	(void)state;
	clear();
	add("/a");
	pair(&add("/a")->headers, "x-env", "beta");
	pair(&add("/a")->cookies, "ab", "b");
	pair(&add("/a")->headers, "x-debug", "*");
	build();
	assert_int_equal(get("h", "/a"), 0);
	request("GET");
	http_head_add(&head, SLICE("X-Env"), SLICE("beta"));
	assert_int_equal(find("h", "/a", &allowed), 1);
	head.fields[0].value = SLICE("Beta");
	assert_int_equal(find("h", "/a", &allowed), 0);
	request("GET");
	http_head_add(&head, SLICE("Cookie"), SLICE("x=1; ab=b"));
	assert_int_equal(find("h", "/a", &allowed), 2);
	request("GET");
	http_head_add(&head, SLICE("x-debug"), SLICE(""));
	assert_int_equal(find("h", "/a", &allowed), 3);
	done();
}

static void test_methods(void **state)
{
	unsigned int allowed = 0;

	(void)state;
	clear();
	push(&add("/a")->methods, "PUT");
	push(&add("/a")->methods, "DELETE");
	push(&add("/*")->methods, "PATCH");
	push(&add("/b")->methods, "PURGE");
	build();
	assert_int_equal(get("h", "/a"), -405);
	request("GET");
	assert_int_equal(find("h", "/a", &allowed), -405);
	assert_int_equal(allowed, 1U << HTTP_PUT | 1U << HTTP_DELETE | 1U << HTTP_PATCH);
	request("DELETE");
	assert_int_equal(find("h", "/a", &allowed), 1);
	request("PURGE");
	assert_int_equal(find("h", "/b", &allowed), 3);
	request("PURGES");
	assert_int_equal(find("h", "/b", &allowed), -405);
	assert_int_equal(allowed, 1U << HTTP_PATCH);
	done();
}

/* Every way through names and parameters fits but for the last segment. */
static void test_no_blow_up(void **state)
{
	static char paths[MAX_ROUTES][256];
	static char deep[60000];
	size_t len = 0;

	(void)state;
	clear();
	for (size_t i = 0; i < 40; i++) {
		for (size_t j = 0; j < 40; j++)
			append(paths[i], j == i ? "/{p}" : "/a");
		add(paths[i]);
	}
	build();
	alarm(20);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(get("h", "/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a"
					  "/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/b/c"),
				 -404);
	while (len + 3 < sizeof(deep))
		len += (size_t)sprintf(deep + len, "/a");
	assert_int_equal(get("h", deep), -404);
	alarm(0);
	done();
}

static unsigned int below(unsigned int n)
{
	return (unsigned int)random() % n;
}

static const char *one_of(const char *const *items, size_t n)
{
	return items[below((unsigned int)n)];
}

#define ONE_OF(...)                                                                                \
	one_of((const char *const[]){__VA_ARGS__},                                                 \
	       sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static char texts[MAX_ROUTES][256];

static void random_path(char *out, bool pattern)
{
	unsigned int segments = below(4);

	*out = '\0';
	for (unsigned int i = 0; i < segments; i++) {
		append(out, "/");
		append(out, pattern && below(3) == 0 ? ONE_OF("{p}", "{q}", "a{p}", "{")
						     : ONE_OF("a", "b", "ab", "aa", "a{p}"));
	}
	if (below(4) == 0 || !*out)
		append(out, "/");
	if (pattern && below(3) == 0)
		append(out, out[strlen(out) - 1] == '/' ? "*" : "/*");
}

static void random_table(void)
{
	unsigned int n = below(4) ? below(12) : below(MAX_ROUTES);
	bool one_place = below(3) == 0;

	clear();
	for (unsigned int i = 0; i < n; i++) {
		struct conf_match *m;

		random_path(texts[i], true);
		m = add(one_place ? "/a" : texts[i]);
		table.routes[i].priority = below(5) ? 0 : (int)below(3) - 1;
		for (unsigned int j = below(3); j && !one_place; j--)
			push(&m->hosts, ONE_OF("a.com", "b.a.com", "*.a.com", "*.b.a.com", "*a.com",
					       "*", "", "*."));
		for (unsigned int j = below(4) ? 0 : below(3); j; j--)
			push(&m->methods, ONE_OF("GET", "PUT", "PURGE", "TRACE", "get"));
		for (unsigned int j = below(3); j; j--)
			pair(&m->headers, ONE_OF("x", "xy", "cookie", "host"),
			     ONE_OF("1", "2", "", "*", "k=1"));
		for (unsigned int j = below(3); j; j--)
			pair(&m->cookies, ONE_OF("x", "k", "kk"), ONE_OF("1", "2", "", "*"));
	}
	build();
}

static void random_request(void)
{
	request(ONE_OF("GET", "GET", "PUT", "PURGE", "OTHER", "TRACE", "CONNECT"));
	for (unsigned int i = below(4); i; i--)
		http_head_add(&head, slice_str(ONE_OF("x", "X", "xy", "XY", "Host", "z")),
			      slice_str(ONE_OF("1", "2", "", "3")));
	for (unsigned int i = below(3); i; i--)
		http_head_add(&head, SLICE("Cookie"),
			      slice_str(ONE_OF("k=1", "x=1; k=2", "k", "kk=; x=2", "; k=1;k=2")));
}

static void test_random(void **state)
{
	unsigned int seen[3] = {0};

	(void)state;
	srandom(7);
	for (int i = 0; i < 4000; i++) {
		struct linear model;

		random_table();
		linear_init(&model, &table.cfg);
		for (int j = 0; j < 40; j++) {
			struct router_match want = {0}, got = {0};
			struct slice host = slice_str(ONE_OF("a.com", "b.a.com", "c.b.a.com", "",
							     "xa.com", ".a.com", "*", "*.a.com"));
			char path[256];
			enum router_status rc;

			random_path(path, false);
			random_request();
			rc = linear_find(&model, &head, host, slice_str(path), &want);
			assert_int_equal(
				router_find(table.router, &head, host, slice_str(path), &got), rc);
			if (rc == ROUTER_FOUND)
				assert_int_equal(got.route, want.route);
			if (rc == ROUTER_METHOD)
				assert_int_equal(got.allowed, want.allowed);
			seen[rc]++;
		}
		linear_fini(&model);
		done();
	}
	for (size_t i = 0; i < 3; i++)
		assert_true(seen[i] > 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),	 cmocka_unit_test(test_empty),
		cmocka_unit_test(test_hosts),	 cmocka_unit_test(test_many_hosts),
		cmocka_unit_test(test_priority), cmocka_unit_test(test_conditions),
		cmocka_unit_test(test_methods),	 cmocka_unit_test(test_no_blow_up),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
