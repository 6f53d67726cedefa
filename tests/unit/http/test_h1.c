/* SPDX-License-Identifier: Apache-2.0 */
/* What a head says, and every ambiguity that must be refused. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "http/chunked.h"
#include "http/h1.h"
#include "http/uri.h"

static struct http_head head;

static enum h1_status parse(const char *text)
{
	size_t used;

	return h1_parse_request(&head, slice_str(text), &used);
}

static void test_request(void **state)
{
	static const char text[] =
		"POST /p?q=1 HTTP/1.1\r\nHost: Example.com:80\r\nCookie: a=1; b=2\r\n"
		"Content-Length: 5\r\nExpect: 100-continue\r\n\r\nhello";
	struct slice value;
	size_t used;

	(void)state;
	assert_int_equal(h1_parse_request(&head, SLICE(text), &used), H1_OK);
	assert_int_equal(used, sizeof(text) - 1 - 5);
	assert_int_equal(head.method, HTTP_POST);
	assert_true(slice_eq(head.path, SLICE("/p")));
	assert_true(slice_eq(head.query, SLICE("q=1")));
	assert_true(slice_eq(head.host, SLICE("Example.com:80")));
	assert_true(head.has_length && head.length == 5);
	assert_true(head.expect_continue && head.keep_alive);
	assert_true(http_head_cookie(&head, SLICE("b"), &value));
	assert_true(slice_eq(value, SLICE("2")));
	assert_false(http_head_cookie(&head, SLICE("c"), &value));
	for (size_t n = 0; n < used; n++) {
		size_t ignored;

		assert_int_equal(h1_parse_request(&head, slice_make(text, n), &ignored),
				 H1_PARTIAL);
	}
}

static void test_refused(void **state)
{
	static const char *const bad[] = {
		"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: "
		"chunked\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: "
		"1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
		"x\r\n\r\n",
		"GET / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
		"GET / HTTP/1.1\nHost: a\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nX : a\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\n: a\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n",
		"GET / HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
		"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /#f HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET a HTTP/1.1\r\nHost: a\r\n\r\n",
		"G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET / http/1.1\r\nHost: a\r\n\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (parse(bad[i]) != H1_BAD)
			fail_msg("accepted: %s", bad[i]);
	assert_int_equal(parse("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), H1_VERSION);
	assert_int_equal(parse("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n"),
			 H1_UNSUPPORTED);
}

static void test_chunked(void **state)
{
	static const char text[] = "5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nX-T: v\r\n\r\nGET";

	(void)state;
	/* In two pieces, cut at every byte, the same body comes out. */
	for (size_t cut = 0; cut < sizeof(text); cut++) {
		struct slice pieces[2] = {slice_make(text, cut),
					  slice_make(text + cut, sizeof(text) - 1 - cut)};
		enum chunked_event e = CHUNKED_MORE;
		char body[32];
		size_t len = 0;
		bool field = false;
		struct chunked c;
		struct slice part;

		if (cut == sizeof(text) - 1)
			break;
		chunked_init(&c);
		for (int i = 0; i < 2 && e != CHUNKED_END; i++)
			while ((e = chunked_next(&c, &pieces[i], &part)) != CHUNKED_MORE &&
			       e != CHUNKED_END) {
				assert_int_not_equal(e, CHUNKED_BAD);
				if (e == CHUNKED_FIELD) {
					field = slice_eq(part, SLICE("X-T: v"));
					continue;
				}
				memcpy(body + len, part.ptr, part.len);
				len += part.len;
			}
		assert_int_equal(e, CHUNKED_END);
		assert_true(field);
		assert_true(slice_eq(slice_make(body, len), SLICE("hello world")));
	}
}

static void test_bad_chunks(void **state)
{
	static const char *const bad[] = {
		"g\r\n",
		"\r\n",
		"1\n",
		"1\r\nab",
		"-1\r\n",
		"0x1\r\n",
		"fffffffffffffffff\r\n",
		"1\r\na\n",
		"0\r\nbad line\r\n",
		"0\r\n x: y\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct slice in = slice_str(bad[i]);
		enum chunked_event e;
		struct slice part;
		struct chunked c;

		chunked_init(&c);
		while ((e = chunked_next(&c, &in, &part)) == CHUNKED_DATA)
			;
		if (e != CHUNKED_BAD)
			fail_msg("accepted: %s", bad[i]);
	}
}

static void test_uri(void **state)
{
	static const struct {
		const char *in;
		const char *out; /* NULL: refused */
	} cases[] = {
		{"/a/b", "/a/b"},    {"/a/./b", "/a/b"},     {"/a/../b", "/b"},
		{"//a///b", "/a/b"}, {"/%41%7e", "/A~"},     {"/a%3f", "/a%3F"},
		{"/a/..", "/"},	     {"/a/.", "/a/"},	     {"/%2e%2e/a", NULL},
		{"/..", NULL},	     {"/a%2fb", NULL},	     {"/a%5cb", NULL},
		{"/a\\b", NULL},     {"/a%00", NULL},	     {"/a%4", NULL},
		{"/a%zz", NULL},     {"/a/b/../../c", "/c"}, {"/.well-known", "/.well-known"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice path = {0};
		char out[64];
		enum uri_status rc = uri_normalize(slice_str(cases[i].in), out, &path);

		if ((rc == URI_BAD) != (cases[i].out == NULL) ||
		    (cases[i].out && !slice_eq(path, slice_str(cases[i].out))))
			fail_msg("%s gave %.*s", cases[i].in, SLICE_FMT(path));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_chunked), cmocka_unit_test(test_bad_chunks),
		cmocka_unit_test(test_uri),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
