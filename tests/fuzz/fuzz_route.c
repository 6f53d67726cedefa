/* SPDX-License-Identifier: Apache-2.0 */
/* Routes as YAML, a line "---", a request head: the router says what a model says that tries every route. */
#include <assert.h>
#include <stdint.h>

#include "conf/load.h"
#include "http/h1.h"
#include "http/uri.h"
#include "tests/unit/route/linear.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct http_head head;

static void compare_both(const struct config *cfg, struct slice host, struct slice path)
{
	struct router_match want = {0}, got = {0};
	struct linear model;
	struct arena arena;
	struct router *router;
	enum router_status rc;

	arena_init(&arena, 4096, 64 << 20);
	linear_init(&model, cfg);
	if (router_new(cfg, &arena, NULL, &router) == 0) {
		rc = linear_find(&model, &head, host, path, &want);
		assert(router_find(router, &head, host, path, &got) == rc);
		assert(rc != ROUTER_FOUND || got.route == want.route);
		assert(rc != ROUTER_METHOD || got.allowed == want.allowed);
	}
	linear_fini(&model);
	arena_fini(&arena);
}

static void request(const struct config *cfg, struct slice in)
{
	char path_text[4096], host_text[512];
	struct slice path, host;
	size_t used;

	if (h1_parse_request(&head, in, &used) != H1_OK || head.path.len > sizeof(path_text) ||
	    head.host.len > sizeof(host_text) || head.path.ptr[0] != '/' ||
	    uri_normalize(head.path, path_text, &path) == URI_BAD)
		return;
	host = uri_host(head.host, host_text);
	compare_both(cfg, host, path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char begin[] = "version: 1\n"
				    "listeners: [{name: l, address: 127.0.0.1:1}]\n"
				    "services: {s: {endpoints: [http://127.0.0.1:1]}}\n"
				    "routes:\n";
	struct slice in = slice_make((const char *)data, size);
	const char *line = size ? memmem(data, size, "\n---\n", 5) : NULL;
	struct conf_diag diag;
	struct config *cfg = NULL;
	struct buf text;

	if (!line)
		return 0;
	buf_init(&text, 1 << 20);
	buf_puts(&text, begin);
	buf_put(&text, slice_first(in, (size_t)(line - in.ptr) + 1));
	conf_diag_init(&diag);
	if (!text.failed && config_load_text("fuzz.yaml", buf_slice(&text), &diag, &cfg) == 0)
		request(cfg, slice_skip(in, (size_t)(line - in.ptr) + 5));
	config_free(cfg);
	conf_diag_fini(&diag);
	buf_fini(&text);
	return 0;
}
