/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "conf/load_edge.h"
#include "conf/schema.h"

#define MAX_FILE	 (16U << 20)
#define MAX_ARENA	 (1U << 30)

#define AT(type, member) .offset = offsetof(type, member)

static const char *const roles[] = {"public", "admin", NULL};
#define LISTENER(m) .offset = offsetof(struct conf_listener, m)
#define LISTENER_TIMEOUT(m)                                                                        \
	.offset = offsetof(struct conf_listener, timeouts.m) -                                     \
		  offsetof(struct conf_listener, timeouts)
#define LISTENER_LIMIT(m)                                                                          \
	.offset = offsetof(struct conf_listener, limits.m) - offsetof(struct conf_listener, limits)

static const struct conf_option listener_timeouts[] = {
	{"headers", CONF_DURATION, LISTENER_TIMEOUT(headers), .fallback = "10s",
	 .help = "From the first byte of a request to the end of its head."},
	{"idle", CONF_DURATION, LISTENER_TIMEOUT(idle), .fallback = "60s",
	 .help = "Between requests, and without progress in a body."},
	{0},
};
static const struct conf_table listener_timeouts_table = {listener_timeouts, 0, 0, 0};

static const struct conf_option listener_limits[] = {
	{"connections", CONF_UINT, LISTENER_LIMIT(connections), .fallback = "65536", .min = 1,
	 .max = 10000000, .help = "Open connections, over all workers."},
	{"headers", CONF_SIZE, LISTENER_LIMIT(headers), .fallback = "16KiB", .min = 1024,
	 .max = 1 << 20, .help = "Bytes of a request's head."},
	{"requests", CONF_UINT, LISTENER_LIMIT(requests),
	 .help = "Requests of one connection; 0: any number."},
	{0},
};
static const struct conf_table listener_limits_table = {listener_limits, 0, 0, 0};

static const struct conf_option listener_options[] = {
	{"name", CONF_STRING, LISTENER(name), .required = true,
	 .help = "For messages and metrics."},
	{"address", CONF_ADDRESS, LISTENER(address), .required = true, .help = "Where it listens."},
	{"role", CONF_ENUM, LISTENER(role), .fallback = "public", .names = roles,
	 .help = "Whether it serves routes, or /metrics, /status and /ready."},
	{"timeouts", CONF_STRUCT, LISTENER(timeouts), .table = &listener_timeouts_table,
	 .help = "Of its connections."},
	{"limits", CONF_STRUCT, LISTENER(limits), .table = &listener_limits_table,
	 .help = "Of its connections."},
	{0},
};
static const struct conf_table listener_table = {listener_options, sizeof(struct conf_listener), 0,
						 0};

static void parse_url(struct conf_parse *p, const struct conf_node *node, void *out)
{
	static const struct slice scheme = SLICE_INIT("http://");
	struct conf_endpoint *e = out;

	e->url = node->text;
	if (node->kind != CONF_SCALAR || !slice_starts(e->url, scheme)) {
		conf_diag_add(p->diag, node, "an endpoint is a URL such as http://127.0.0.1:9000");
		return;
	}
	e->authority = slice_skip(e->url, scheme.len);
	conf_parse_address(p, node, e->authority, &e->address);
}

static const struct conf_option endpoint_options[] = {
	{"url", CONF_CUSTOM, .offset = 0, .required = true, .parse = parse_url,
	 .form = "http://ADDRESS:PORT", .help = "Where it is."},
	{"weight", CONF_UINT, AT(struct conf_endpoint, weight), .fallback = "1", .min = 1,
	 .max = 1000, .help = "Its share of the requests, beside the other endpoints'."},
	{0},
};
static const struct conf_table endpoint_table = {endpoint_options, sizeof(struct conf_endpoint),
						 parse_url, 0};

#define SERVICE_TIMEOUT(m)                                                                         \
	.offset = offsetof(struct conf_service, timeouts.m) -                                      \
		  offsetof(struct conf_service, timeouts)

#define SERVICE_LIMIT(m)                                                                           \
	.offset = offsetof(struct conf_service, limits.m) - offsetof(struct conf_service, limits)

static const struct conf_option service_timeouts[] = {
	{"connect", CONF_DURATION, SERVICE_TIMEOUT(connect), .fallback = "5s",
	 .help = "To connect to an endpoint."},
	{"request", CONF_DURATION, SERVICE_TIMEOUT(request), .fallback = "15s",
	 .help = "Until the response's head is there, connecting included."},
	{"idle", CONF_DURATION, SERVICE_TIMEOUT(idle), .fallback = "60s",
	 .help = "Of a kept connection."},
	{0},
};
static const struct conf_table service_timeouts_table = {service_timeouts, 0, 0, 0};

static const struct conf_option service_limits[] = {
	{"connections", CONF_UINT, SERVICE_LIMIT(connections), .fallback = "1024", .min = 1,
	 .max = 1000000, .help = "Open connections to all endpoints, over all workers."},
	{"pending", CONF_UINT, SERVICE_LIMIT(pending), .fallback = "1024", .max = 1000000,
	 .help = "Requests that wait for a connection."},
	{0},
};
static const struct conf_table service_limits_table = {service_limits, 0, 0, 0};

static void check_service(struct conf_parse *p, const struct conf_node *node, void *out)
{
	const struct conf_service *s = out;

	if (s->n_endpoints == 0)
		conf_diag_add(p->diag, node, "a service needs an endpoint");
}

static const struct conf_option service_options[] = {
	{"endpoints", CONF_LIST_OF, AT(struct conf_service, endpoints), .required = true,
	 .count = offsetof(struct conf_service, n_endpoints), .table = &endpoint_table,
	 .help = "The servers; a URL alone will do."},
	{"timeouts", CONF_STRUCT, AT(struct conf_service, timeouts),
	 .table = &service_timeouts_table, .help = "Of requests to it."},
	{"limits", CONF_STRUCT, AT(struct conf_service, limits), .table = &service_limits_table,
	 .help = "Of connections to it."},
	{0},
};
static const struct conf_table service_table = {service_options, sizeof(struct conf_service), 0,
						check_service};

static void lower(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] >= 'A' && s.ptr[i] <= 'Z')
			((char *)s.ptr)[i] |= 0x20; /* the arena's copy */
}

/* NULL, or what is wrong with a route's path. */
static const char *check_path(struct slice path)
{
	size_t star = slice_index(path, '*');
	size_t brace = slice_index(path, '{');

	if (path.len == 0 || path.ptr[0] != '/')
		return "path: must start with '/'";
	for (size_t i = 0; i < path.len; i++)
		if ((unsigned char)path.ptr[i] <= ' ' || path.ptr[i] == 0x7f)
			return "path: no request has spaces or control characters in its path";
	if (star < path.len && (star + 1 != path.len || path.ptr[star - 1] != '/'))
		return "path: '*' may only stand at the end, as in /prefix/*";
	if (star < path.len && brace < path.len)
		return "path: parameters and '*' don't go together";
	while (path.len) {
		struct slice segment = slice_cut(&path, '/');

		brace = slice_index(segment, '{');
		if (brace < segment.len &&
		    (brace > 0 || segment.len < 3 || slice_index(segment, '}') != segment.len - 1))
			return "path: a parameter is a whole segment, as in /users/{id}";
	}
	return NULL;
}

static void check_match(struct conf_parse *p, const struct conf_node *node, void *out)
{
	struct conf_match *m = out;
	const char *wrong = check_path(m->path);

	for (size_t i = 0; i < m->hosts.n; i++)
		lower(m->hosts.items[i]);
	for (size_t i = 0; i < m->headers.n; i++)
		lower(m->headers.items[i].name);
	if (wrong)
		conf_diag_add(p->diag, node, "%s", wrong);
}

static const struct conf_option match_options[] = {
	{"hosts", CONF_STRINGS, AT(struct conf_match, hosts),
	 .help = "Host names, *.example.com too; none: any."},
	{"path", CONF_STRING, AT(struct conf_match, path), .fallback = "/*",
	 .help = "/exact, /prefix/* or /users/{id}/posts."},
	{"methods", CONF_STRINGS, AT(struct conf_match, methods), .help = "Methods; none: any."},
	{"headers", CONF_PAIRS, AT(struct conf_match, headers),
	 .help = "Fields and the values that they must have, \"*\" for any."},
	{"cookies", CONF_PAIRS, AT(struct conf_match, cookies),
	 .help = "Cookies and the values that they must have, \"*\" for any."},
	{0},
};
static const struct conf_table match_table = {match_options, sizeof(struct conf_match), 0,
					      check_match};

static void parse_filters(struct conf_parse *p, const struct conf_node *node, void *field)
{
	struct conf_filters *out = field;

	out->items = conf_parse_list(p, node, sizeof(*out->items), "a list");
	for (size_t i = 0; out->items && i < node->n; i++) {
		const struct conf_node *item = node->items[i];

		if (item->kind == CONF_MAP && item->n == 1)
			out->items[out->n++] = (struct conf_filter){item->keys[0], item->items[0]};
		else
			conf_diag_add(p->diag, item,
				      "a filter is a map of its name to its options");
	}
}

static void parse_node(struct conf_parse *p, const struct conf_node *node, void *field)
{
	(void)p;
	*(const struct conf_node **)field = node;
}

static void remember(struct conf_parse *p, const struct conf_node *node, void *out)
{
	(void)p;
	((struct conf_route *)out)->node = node;
}

struct split_row {
	const struct conf_node *service;
	uint64_t weight;
};

static const struct conf_option split_options[] = {
	{"service", CONF_CUSTOM, AT(struct split_row, service), .required = true,
	 .parse = parse_node, .form = "service", .help = "Its name."},
	{"weight", CONF_UINT, AT(struct split_row, weight), .required = true, .min = 0,
	 .max = 1000000, .help = "Its share of the requests, beside the others'."},
	{0},
};
static const struct conf_table split_table = {split_options, sizeof(struct split_row), 0, 0};

struct to_map {
	struct split_row *rows;
	size_t n;
	struct {
		struct slice cookie;
		struct slice header;
	} sticky;
};

static const struct conf_option sticky_options[] = {
	{"cookie", CONF_STRING, .offset = 0, .help = "The cookie whose value decides."},
	{"header", CONF_STRING, .offset = sizeof(struct slice),
	 .help = "The field whose value decides."},
	{0},
};
static const struct conf_table sticky_table = {sticky_options, 0, 0, 0};

static const struct conf_option to_options[] = {
	{"split", CONF_LIST_OF, AT(struct to_map, rows), .required = true,
	 .count = offsetof(struct to_map, n), .table = &split_table,
	 .help = "Several services by weight."},
	{"sticky", CONF_STRUCT, AT(struct to_map, sticky), .table = &sticky_table,
	 .help = "Requests of the same value go to the same service."},
	{0},
};
static const struct conf_table to_table = {to_options, sizeof(struct to_map), 0, 0};

static const struct conf_option route_options[] = {
	{"name", CONF_STRING, AT(struct conf_route, name), .required = true,
	 .help = "For messages, metrics and the log."},
	{"match", CONF_STRUCT, AT(struct conf_route, match), .table = &match_table,
	 .help = "Which requests are the route's."},
	/* Names services, which may stand further down: resolved when all is read. */
	{"to", CONF_CUSTOM, AT(struct conf_route, node), .required = true, .parse = parse_node,
	 .table = &to_table, .form = "service, or split",
	 .help = "The service, or several by weight."},
	{"strip_prefix", CONF_STRING, AT(struct conf_route, strip_prefix),
	 .help = "Taken off the path before it goes on."},
	{"preserve_host", CONF_BOOL, AT(struct conf_route, preserve_host), .fallback = "false",
	 .help = "Whether the service sees the client's Host."},
	{"priority", CONF_INT, AT(struct conf_route, priority), .fallback = "0",
	 .help = "Higher first, before everything else."},
	{"filters", CONF_CUSTOM, AT(struct conf_route, filters), .parse = parse_filters,
	 .form = "list of filters",
	 .help = "What is done with its requests; one of the same name as a general one stands for "
		 "it."},
	{0},
};
static const struct conf_table route_table = {route_options, sizeof(struct conf_route), 0,
					      remember};

static void resolve_file(struct conf_parse *p, const struct conf_node *node, void *field)
{
	char *path;

	if (node->kind != CONF_SCALAR || node->text.len == 0) {
		conf_diag_add(p->diag, node, "a file name is expected here");
		return;
	}
	path = node->text.ptr[0] == '/'
		       ? arena_printf(p->arena, "%.*s", SLICE_FMT(node->text))
		       : arena_printf(p->arena, "%s/%.*s", p->dir, SLICE_FMT(node->text));
	*(struct slice *)field = slice_str(path);
}

static void check_key(struct conf_parse *p, const struct conf_node *node, void *out)
{
	struct conf_key *k = out;

	k->node = node;
	if ((k->public_key_file.len != 0) == (k->secret_file.len != 0))
		conf_diag_add(p->diag, node, "a key has one of public_key_file and secret_file");
}

static const struct conf_option key_options[] = {
	{"kid", CONF_STRING, AT(struct conf_key, kid),
	 .help = "The token's kid that it is for; none: any."},
	{"algorithm", CONF_STRING, AT(struct conf_key, algorithm), .required = true,
	 .help = "Of the tokens that it verifies: HS256 to HS512, RS256 to RS512, PS256 to PS512, "
		 "ES256 to ES512, EdDSA."},
	{"public_key_file", CONF_CUSTOM, AT(struct conf_key, public_key_file),
	 .parse = resolve_file, .form = "file", .help = "PEM, for all but HS."},
	{"secret_file", CONF_CUSTOM, AT(struct conf_key, secret_file), .parse = resolve_file,
	 .form = "file", .help = "The secret, for HS."},
	{0},
};
static const struct conf_table key_table = {key_options, sizeof(struct conf_key), 0, check_key};

static const struct conf_option issuer_options[] = {
	{"name", CONF_STRING, AT(struct conf_issuer, name), .required = true,
	 .help = "By which filters call it."},
	{"issuer", CONF_STRING, AT(struct conf_issuer, issuer),
	 .help = "What iss must say; none: anything."},
	{"audiences", CONF_STRINGS, AT(struct conf_issuer, audiences),
	 .help = "Of which aud must hold one; none: anything."},
	{"keys", CONF_LIST_OF, AT(struct conf_issuer, keys), .required = true,
	 .count = offsetof(struct conf_issuer, n_keys), .table = &key_table,
	 .help = "By which its tokens are verified."},
	{0},
};
static const struct conf_table issuer_table = {issuer_options, sizeof(struct conf_issuer), 0, 0};

static void check_version(struct conf_parse *p, const struct conf_node *node, void *field)
{
	(void)field;
	if (node->kind != CONF_SCALAR || !slice_eq(node->text, SLICE("1")))
		conf_diag_add(p->diag, node, "this program reads version 1");
}

static const struct conf_option config_options[] = {
	{"version", CONF_CUSTOM, .offset = 0, .required = true, .parse = check_version, .form = "1",
	 .help = "Of this file's format."},
	{"workers", CONF_UINT, AT(struct config, workers), .fallback = "0",
	 .help = "Threads; 0: one for each CPU that the process may run on."},
	{"drain", CONF_DURATION, AT(struct config, drain), .fallback = "30s",
	 .help = "How long SIGTERM waits for requests in flight."},
	{"edge", CONF_STRUCT, AT(struct config, edge), .table = &conf_edge_table,
	 .help = "The packet plane; without it there is none."},
	{"listeners", CONF_LIST_OF, AT(struct config, listeners), .required = true,
	 .count = offsetof(struct config, n_listeners), .table = &listener_table,
	 .help = "Where requests come in."},
	{"services", CONF_MAP_OF, AT(struct config, services),
	 .count = offsetof(struct config, n_services), .table = &service_table,
	 .help = "Where requests go."},
	{"issuers", CONF_LIST_OF, AT(struct config, issuers),
	 .count = offsetof(struct config, n_issuers), .table = &issuer_table,
	 .help = "Whose tokens the jwt filter takes."},
	{"filters", CONF_CUSTOM, AT(struct config, filters), .parse = parse_filters,
	 .form = "list of filters", .help = "What is done with all requests."},
	{"routes", CONF_LIST_OF, AT(struct config, routes),
	 .count = offsetof(struct config, n_routes), .table = &route_table,
	 .help = "Which request goes where."},
	{0},
};
const struct conf_table conf_file_table = {config_options, sizeof(struct config), 0, 0};

static bool find_service(struct conf_parse *p, const struct config *cfg,
			 const struct conf_node *node, size_t *ret)
{
	struct slice *names = arena_alloc(p->arena, sizeof(*names) * (cfg->n_services + 1));

	for (size_t i = 0; names && i < cfg->n_services; i++) {
		names[i] = cfg->services[i].name;
		if (slice_eq(names[i], node->text)) {
			*ret = i;
			return true;
		}
	}
	conf_diag_add(p->diag, node, "no service '%.*s'", SLICE_FMT(node->text));
	if (names)
		conf_diag_suggest(p->diag, node->text, names, cfg->n_services);
	return false;
}

static void resolve_to(struct conf_parse *p, const struct config *cfg, struct conf_route *r)
{
	const struct conf_node *node = conf_node_get(r->node, "to");
	struct to_map to = {0};
	uint64_t sum = 0;

	if (!node)
		return;
	if (node->kind == CONF_SCALAR) {
		r->split = arena_zalloc(p->arena, sizeof(*r->split));
		if (r->split && find_service(p, cfg, node, &r->split->service)) {
			r->split->weight = 1;
			r->n_split = 1;
		}
		return;
	}
	conf_fill(p, &to_table, node, &to);
	r->split = arena_zalloc(p->arena, sizeof(*r->split) * (to.n + 1));
	for (size_t i = 0; r->split && i < to.n; i++) {
		struct conf_split *s = &r->split[r->n_split];

		if (!to.rows[i].service || !find_service(p, cfg, to.rows[i].service, &s->service))
			continue;
		s->weight = to.rows[i].weight;
		sum += s->weight;
		r->n_split++;
	}
	if (sum == 0)
		conf_diag_add(p->diag, node, "the weights add up to 0");
	lower(to.sticky.header);
	r->sticky = to.sticky.cookie.len   ? CONF_STICKY_COOKIE
		    : to.sticky.header.len ? CONF_STICKY_HEADER
					   : CONF_STICKY_NONE;
	r->sticky_name = to.sticky.cookie.len ? to.sticky.cookie : to.sticky.header;
}

static bool same_address(const struct conf_sockaddr *a, const struct conf_sockaddr *b)
{
	return a->len == b->len && memcmp(&a->ss, &b->ss, a->len) == 0;
}

/* Two sockets on one address would share its connections at random. */
static void check_listeners(struct conf_parse *p, const struct config *cfg,
			    const struct conf_node *list)
{
	for (size_t i = 0; list && i < cfg->n_listeners; i++) {
		const struct conf_listener *l = &cfg->listeners[i];

		for (size_t j = 0; j < i; j++) {
			const struct conf_listener *other = &cfg->listeners[j];

			if (l->name.len && slice_eq(l->name, other->name))
				conf_diag_add(p->diag, list->items[i],
					      "name: '%.*s' is taken by listeners[%zu]",
					      SLICE_FMT(l->name), j);
			if (l->address.len && same_address(&l->address, &other->address))
				conf_diag_add(p->diag, list->items[i],
					      "address: %.*s is taken by listeners[%zu]",
					      SLICE_FMT(l->address.text), j);
		}
	}
}

static void resolve(struct conf_parse *p, struct config *cfg, const struct conf_node *root)
{
	if (cfg->n_listeners == 0)
		conf_diag_add(p->diag, root, "listeners: at least one is needed");
	check_listeners(p, cfg, conf_node_get(root, "listeners"));
	for (size_t i = 0; i < cfg->n_routes; i++) {
		struct conf_route *r = &cfg->routes[i];

		if (!r->node)
			continue;
		resolve_to(p, cfg, r);
		for (size_t j = 0; j < i; j++)
			if (slice_eq(cfg->routes[j].name, r->name))
				conf_diag_add(p->diag, r->node,
					      "name: '%.*s' is taken by routes[%zu]",
					      SLICE_FMT(r->name), j);
	}
	conf_edge_resolve(p, cfg);
}

int config_load_text(const char *path, struct slice text, struct conf_diag *diag,
		     struct config **ret_cfg)
{
	struct config *cfg = calloc(1, sizeof(*cfg));
	struct conf_node *root = NULL;
	struct conf_parse p = {.diag = diag};
	const char *slash = strrchr(path, '/');
	int rc;

	diag->file = path;
	*ret_cfg = NULL;
	if (!cfg)
		return -ENOMEM;
	arena_init(&cfg->arena, 65536, MAX_ARENA);
	p.arena = &cfg->arena;
	cfg->path = arena_dup(p.arena, slice_str(path));
	p.dir = slash ? arena_printf(p.arena, "%.*s", (int)(slash - path), path) : ".";
	rc = conf_node_parse(text, p.arena, diag, &root);
	if (root) {
		conf_fill(&p, &conf_file_table, root, cfg);
		resolve(&p, cfg, root);
		rc = rc == 0 && diag->errors ? -EINVAL : rc;
	}
	if (rc < 0 && !root) {
		config_free(cfg);
		cfg = NULL;
	}
	*ret_cfg = cfg;
	return rc;
}

int config_load(const char *path, struct conf_diag *diag, struct config **ret_cfg)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *text = malloc(MAX_FILE);
	size_t len = 0;
	ssize_t n = 1;

	diag->file = path;
	*ret_cfg = NULL;
	if (!text)
		return -ENOMEM;
	while (fd >= 0 && len < MAX_FILE && (n = read(fd, text + len, MAX_FILE - len)) > 0)
		len += (size_t)n;
	if (fd < 0 || n < 0) {
		int code = errno;

		conf_diag_add(diag, NULL, "%s", strerror(code));
		return -code;
	}
	if (len == MAX_FILE) {
		conf_diag_add(diag, NULL, "larger than 16 MiB");
		return -EFBIG;
	}
	return config_load_text(path, slice_make(text, len), diag, ret_cfg);
}

void config_free(struct config *cfg)
{
	if (!cfg)
		return;
	arena_fini(&cfg->arena);
	free(cfg);
}
