/* SPDX-License-Identifier: Apache-2.0 */
/* The jwt filter: its options, and how they become a policy. Requests are jwt_auth.c's. */
#include <errno.h>

#include "base/error.h"
#include "conf/node.h"
#include "conf/schema.h"
#include "filter/filter_types.h"
#include "filter/jwt_auth.h"

struct options {
	struct conf_strings issuers;
	struct conf_pairs claims_to_headers;
	uint64_t leeway;
	bool strip;
	bool require_exp;
	struct slice realm;
};

#define AT(member) .offset = offsetof(struct options, member)

static const struct conf_option option_rows[] = {
	{"issuers", CONF_STRINGS, AT(issuers), .help = "Names of issuers; none: all."},
	{"claims_to_headers", CONF_PAIRS, AT(claims_to_headers),
	 .help = "Claims, and the fields by which the service sees them."},
	{"leeway", CONF_DURATION, AT(leeway), .fallback = "60s",
	 .help = "How far the issuer's clock may be off."},
	{"strip", CONF_BOOL, AT(strip), .fallback = "false",
	 .help = "Whether the service does not see the token."},
	{"require_exp", CONF_BOOL, AT(require_exp), .fallback = "true",
	 .help = "Whether tokens that never expire are refused."},
	{"realm", CONF_STRING, AT(realm), .fallback = "sluice",
	 .help = "What WWW-Authenticate says."},
	{0},
};
static const struct conf_table jwt_options = {option_rows, sizeof(struct options), NULL, NULL};

/* A token of RFC 9110, section 5.6.2. */
static bool is_field_name(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c <= ' ' || c >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", c))
			return false;
	}
	return s.len > 0;
}

/* Fits a quoted string as it is. */
static bool is_realm(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c < ' ' || c >= 0x7f || c == '"' || c == '\\')
			return false;
	}
	return true;
}

static void jwt_free(struct filter *f)
{
	struct jwt_auth *a = (struct jwt_auth *)f;

	for (size_t i = 0; i < a->policy.n_issuers; i++) {
		for (size_t k = 0; k < a->policy.issuers[i].n_keys; k++)
			jwt_key_free(a->policy.issuers[i].keys[k]);
	}
}

static enum filter_verdict jwt_request(const struct filter *f, struct filter_request *req)
{
	return jwt_auth_request((const struct jwt_auth *)f, req);
}

static bool jwt_owns(const struct filter *f, struct slice name)
{
	const struct jwt_auth *a = (const struct jwt_auth *)f;

	for (size_t i = 0; i < a->n_claims; i++)
		if (slice_ieq(a->claims[i].header, name))
			return true;
	return false;
}

static const struct conf_issuer *find_issuer(const struct config *cfg, struct slice name)
{
	for (size_t i = 0; i < cfg->n_issuers; i++) {
		if (slice_eq(cfg->issuers[i].name, name))
			return &cfg->issuers[i];
	}
	return NULL;
}

/* Append an issuer with its keys to the policy; every key that cannot be loaded is reported. */
static int add_issuer(struct jwt_policy *p, const struct conf_issuer *conf, struct arena *arena,
		      struct conf_diag *diag)
{
	struct jwt_issuer *issuer = &p->issuers[p->n_issuers];
	int rc = 0;

	*issuer = (struct jwt_issuer){
		.issuer = conf->issuer,
		.audiences = conf->audiences,
		.keys = arena_array(arena, struct jwt_key *, conf->n_keys),
	};
	if (!issuer->keys)
		return -ENOMEM;
	p->n_issuers++;
	for (size_t i = 0; i < conf->n_keys; i++) {
		const struct conf_key *key = &conf->keys[i];
		struct error err = {0};

		/* The loader has said what is wrong with it. */
		if (!key->algorithm.len || !key->secret_file.len == !key->public_key_file.len) {
			rc = -EINVAL;
			continue;
		}
		if (jwt_key_load(key, &err, &issuer->keys[issuer->n_keys]) == 0) {
			issuer->n_keys++;
			continue;
		}
		conf_diag_add(diag, key->node, "%s", err.text);
		rc = -EINVAL;
	}
	return rc;
}

/* The issuers that the filter names, or all. */
static int add_issuers(struct jwt_policy *p, const struct options *o, const struct config *cfg,
		       const struct conf_node *node, struct arena *arena, struct conf_diag *diag)
{
	size_t n = o->issuers.n ? o->issuers.n : cfg->n_issuers;
	int result = 0;

	p->issuers = arena_array(arena, struct jwt_issuer, n);
	if (!p->issuers)
		return -ENOMEM;
	if (!n) {
		conf_diag_add(diag, node, "the jwt filter needs an issuer under issuers:");
		return -EINVAL;
	}
	for (size_t i = 0; i < n; i++) {
		const struct conf_issuer *issuer = o->issuers.n
							   ? find_issuer(cfg, o->issuers.items[i])
							   : &cfg->issuers[i];
		int rc = -EINVAL;

		if (issuer)
			rc = add_issuer(p, issuer, arena, diag);
		else
			conf_diag_add(diag, node, "no issuer '%.*s'",
				      SLICE_FMT(o->issuers.items[i]));
		if (rc)
			result = rc;
	}
	return result;
}

/* A field that the gateway itself interprets must not come from a token. */
static int add_claims(struct jwt_auth *a, const struct options *o, const struct conf_node *node,
		      struct arena *arena, struct conf_diag *diag)
{
	const struct conf_pairs *pairs = &o->claims_to_headers;

	if (pairs->n > JWT_AUTH_MAX_CLAIMS) {
		conf_diag_add(diag, node, "claims_to_headers: more than %d claims",
			      JWT_AUTH_MAX_CLAIMS);
		return -EINVAL;
	}
	for (size_t i = 0; i < pairs->n; i++) {
		const struct conf_pair *pair = &pairs->items[i];

		if (!is_field_name(pair->value) || http_name_id(pair->value) != HTTP_NAME_OTHER) {
			conf_diag_add(diag, node,
				      "claims_to_headers: '%.*s' is no header that a claim may set",
				      SLICE_FMT(pair->value));
			return -EINVAL;
		}
		for (size_t j = 0; j < i; j++) {
			if (!slice_ieq(pairs->items[j].value, pair->value))
				continue;
			conf_diag_add(diag, node, "claims_to_headers: '%.*s' stands here twice",
				      SLICE_FMT(pair->value));
			return -EINVAL;
		}
		a->claims[i] = (struct jwt_auth_claim){
			.claim = arena_dup(arena, pair->name).ptr,
			.header = pair->value,
		};
		if (!a->claims[i].claim)
			return -ENOMEM;
		a->n_claims++;
	}
	return 0;
}

static int jwt_compile(const struct config *cfg, const struct conf_filter *conf,
		       struct arena *arena, struct conf_diag *diag, struct filter **ret_filter)
{
	struct conf_parse parse = {.arena = arena, .diag = diag, .dir = "."};
	struct jwt_auth *a = arena_new(arena, struct jwt_auth);
	size_t errors = diag->errors;
	struct options o = {0};
	int rc, rc2;

	if (!a)
		return -ENOMEM;
	conf_fill(&parse, &jwt_options, conf->node, &o);
	if (!is_realm(o.realm))
		conf_diag_add(diag, conf->node,
			      "realm: quotes, backslashes and control characters "
			      "are not allowed");
	if (diag->errors > errors)
		return -EINVAL;
	a->policy.leeway = o.leeway;
	a->policy.require_exp = o.require_exp;
	a->strip = o.strip;
	a->realm = o.realm;
	rc = add_issuers(&a->policy, &o, cfg, conf->node, arena, diag);
	rc2 = add_claims(a, &o, conf->node, arena, diag);
	rc = rc ? rc : rc2;
	rc = rc ? rc : jwt_auth_prepare(a, arena);
	if (rc) {
		jwt_free((struct filter *)a);
		return rc;
	}
	*ret_filter = (struct filter *)a;
	return 0;
}

const struct filter_type filter_jwt = {
	.name = "jwt",
	.options = &jwt_options,
	.compile = jwt_compile,
	.free = jwt_free,
	.request = jwt_request,
	.owns = jwt_owns,
};
