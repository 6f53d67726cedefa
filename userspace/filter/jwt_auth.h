/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The request side of the jwt filter: a bearer token (RFC 6750) of a request head checked against a policy,
 * its claims put into header fields, or the answer that refuses it. Immutable once prepared.
 */
#ifndef FILTER_JWT_AUTH_H
#define FILTER_JWT_AUTH_H

#include <stdbool.h>
#include <stddef.h>

#include "filter/filter.h"
#include "filter/jwt.h"

#define JWT_AUTH_MAX_CLAIMS 16

struct jwt_auth_claim {
	const char *claim;
	struct slice header; /* the field that carries it; the client's own are always removed */
};

struct jwt_auth {
	/* Set by the caller; all it points to outlives the object. */
	struct jwt_policy policy;
	struct jwt_auth_claim claims[JWT_AUTH_MAX_CLAIMS];
	size_t n_claims;
	struct slice realm; /* without quotes, backslashes and control characters */
	bool strip;	    /* do not forward Authorization */
	/* Made by jwt_auth_prepare. */
	struct jwt_policy_id id;
	struct slice challenges[JWT_RESULTS]; /* WWW-Authenticate; [JWT_OK]: no token was sent */
};

/* Make what does not change from request to request, in the arena. 0 or -ENOMEM. */
int jwt_auth_prepare(struct jwt_auth *a, struct arena *arena);

/*
 * FILTER_NEXT with the claims' fields and req->consumer (the sub, empty without one) set; or FILTER_REPLY
 * with 401, 431 (no room for the fields) or 503 (no memory) and the reason in req->verdict.
 */
enum filter_verdict jwt_auth_request(const struct jwt_auth *a, struct filter_request *req);

#endif
