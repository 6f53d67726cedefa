/* SPDX-License-Identifier: Apache-2.0 */
#include "filter/jwt_auth.h"

#include <errno.h>

/* The consumer comes first among a token's values, then the claims in their order. */
#define CONSUMER   "sub"
#define MAX_VALUES (1 + JWT_AUTH_MAX_CLAIMS)

int jwt_auth_prepare(struct jwt_auth *a, struct arena *arena)
{
	struct slice taken[JWT_AUTH_MAX_CLAIMS];
	struct conf_strings extra = {.items = taken, .n = a->n_claims};

	for (size_t i = 0; i < a->n_claims; i++)
		taken[i] = slice_str(a->claims[i].claim);
	for (size_t r = 0; r < JWT_RESULTS; r++) {
		/* RFC 6750, section 3.1: no error attribute when the request had no token. */
		const char *text =
			r == JWT_OK
				? arena_printf(arena, "Bearer realm=\"%.*s\"", SLICE_FMT(a->realm))
				: arena_printf(arena,
					       "Bearer realm=\"%.*s\", error=\"invalid_token\", "
					       "error_description=\"%s\"",
					       SLICE_FMT(a->realm), jwt_result_text(r));

		if (!text)
			return -ENOMEM;
		a->challenges[r] = slice_str(text);
	}
	return jwt_policy_digest(&a->policy, &extra, &a->id);
}

static enum filter_verdict refuse(struct filter_request *req, unsigned int status,
				  const char *verdict)
{
	req->reply.status = status;
	req->verdict = verdict;
	return FILTER_REPLY;
}

static enum filter_verdict challenge(struct filter_request *req, struct slice value,
				     const char *verdict)
{
	req->reply.fields[req->reply.n_fields++] = (struct http_field){
		.name = SLICE("WWW-Authenticate"),
		.value = value,
	};
	return refuse(req, 401, verdict);
}

/*
 * The one bearer token. JWT_OK with an empty *ret_token: there is none, also when another scheme is used.
 * Two Authorization fields are malformed: which of them the upstream believes is not known.
 */
static enum jwt_result find_token(const struct http_head *h, struct slice *ret_token)
{
	const struct http_field *found = NULL;
	struct slice rest;

	*ret_token = slice_make(NULL, 0);
	for (size_t i = 0; i < h->n_fields; i++) {
		if (h->fields[i].id != HTTP_NAME_AUTHORIZATION || h->fields[i].removed)
			continue;
		if (found)
			return JWT_MALFORMED;
		found = &h->fields[i];
	}
	if (!found)
		return JWT_OK;
	rest = found->value;
	if (!slice_ieq(slice_cut(&rest, ' '), SLICE("Bearer")))
		return JWT_OK;
	*ret_token = slice_trim(rest);
	return ret_token->len ? JWT_OK : JWT_MALFORMED;
}

/* An entry of the cache may go before the request does, so its values are copied. */
static enum jwt_result copy_values(const struct slice *from, size_t n, struct arena *arena,
				   struct slice *ret_values)
{
	for (size_t i = 0; i < n; i++) {
		ret_values[i] = from[i].ptr ? arena_dup(arena, from[i]) : from[i];
		if (from[i].ptr && !ret_values[i].ptr)
			return JWT_NO_MEMORY;
	}
	return JWT_OK;
}

/* The values of a token that is not in the cache, which remembers it if it is good. */
static enum jwt_result verify(const struct jwt_auth *a, struct filter_request *req,
			      struct slice token, struct slice *ret_values)
{
	struct jwt_claims claims;
	enum jwt_result r = jwt_verify(&a->policy, token, req->wall, &claims);

	if (r != JWT_OK)
		return r;
	r = jwt_claim_text(claims.root, CONSUMER, req->arena, &ret_values[0]);
	for (size_t i = 0; r == JWT_OK && i < a->n_claims; i++)
		r = jwt_claim_text(claims.root, a->claims[i].claim, req->arena, &ret_values[i + 1]);
	json_decref(claims.root);
	/* One that cannot be remembered is as good as others, only slower. */
	if (r == JWT_OK)
		(void)jwt_cache_put(req->tokens, &a->id, token, claims.expires, ret_values,
				    a->n_claims + 1);
	return r;
}

enum filter_verdict jwt_auth_request(const struct jwt_auth *a, struct filter_request *req)
{
	struct slice values[MAX_VALUES];
	const struct slice *known;
	struct slice token;
	enum jwt_result r;

	for (size_t i = 0; i < a->n_claims; i++)
		http_head_remove_name(req->head, a->claims[i].header);
	r = find_token(req->head, &token);
	if (r == JWT_OK && !token.len)
		return challenge(req, a->challenges[JWT_OK], "jwt_missing");
	if (r == JWT_OK) {
		known = jwt_cache_get(req->tokens, &a->id, token, req->wall);
		r = known ? copy_values(known, a->n_claims + 1, req->arena, values)
			  : verify(a, req, token, values);
	}
	if (r == JWT_NO_MEMORY)
		return refuse(req, 503, jwt_result_name(r));
	if (r != JWT_OK)
		return challenge(req, a->challenges[r], jwt_result_name(r));

	for (size_t i = 0; i < a->n_claims; i++) {
		if (values[i + 1].ptr &&
		    http_head_add(req->head, a->claims[i].header, values[i + 1]) != 0)
			return refuse(req, 431, "jwt_too_many_fields");
	}
	if (a->strip)
		http_head_remove(req->head, HTTP_NAME_AUTHORIZATION);
	req->consumer = values[0];
	return FILTER_NEXT;
}
