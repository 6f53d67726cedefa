/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON Web Tokens (RFC 7519) in JWS compact form (RFC 7515) against a policy: bytes in, a verdict and claims
 * out. No input or output of its own, no state; a policy may be used by several threads at once.
 */
#ifndef FILTER_JWT_H
#define FILTER_JWT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/slice.h"
#include "filter/jwt_cache.h"
#include "filter/jwt_key.h"

#define JWT_MAX_TOKEN 16384 /* bytes; longer ones are malformed */

/* Why a token is not accepted, in the order in which it is found out. */
enum jwt_result {
	JWT_OK,
	JWT_MALFORMED,	  /* not three parts of strict base64url with a JSON object each in two */
	JWT_CRITICAL,	  /* a crit header: it names extensions, and none is known here */
	JWT_WRONG_ISSUER, /* no issuer of the policy has this iss */
	JWT_UNKNOWN_KEY, /* none of the issuer's keys has this kid and algorithm; also for "none" */
	JWT_BAD_SIGNATURE,
	JWT_BAD_CLAIM, /* exp or nbf is no number, a claim cannot be a header value */
	JWT_NO_EXPIRY, /* there must be an exp, and there is none */
	JWT_EXPIRED,
	JWT_NOT_YET, /* before nbf */
	JWT_WRONG_AUDIENCE,
	JWT_NO_MEMORY,
	JWT_RESULTS,
};

/* "jwt_expired", for logs and metrics; "the token has expired", for people. */
const char *jwt_result_name(enum jwt_result r);
const char *jwt_result_text(enum jwt_result r);

struct jwt_issuer {
	struct slice issuer;	       /* what iss must be; empty: not checked */
	struct conf_strings audiences; /* aud must hold one of them; empty: not checked */
	struct jwt_key **keys;
	size_t n_keys;
};

struct jwt_policy {
	struct jwt_issuer *issuers;
	size_t n_issuers;
	uint64_t leeway; /* ns that clocks may differ */
	bool require_exp;
};

struct jwt_claims {
	json_t *root;	  /* the payload; the caller's to json_decref */
	uint64_t expires; /* from this CLOCK_REALTIME ns on the token is expired, leeway included */
};

/*
 * The token's iss selects the issuer, its kid the key: one with another kid is not tried, one without any is.
 * wall is CLOCK_REALTIME ns. *ret_claims is filled for JWT_OK only.
 */
enum jwt_result jwt_verify(const struct jwt_policy *p, struct slice token, uint64_t wall,
			   struct jwt_claims *ret_claims);

/*
 * A claim as a header value in the arena: strings, numbers and booleans as such, an array of these joined
 * by commas; ptr is NULL when there is no such claim, or it is null or an object. JWT_BAD_CLAIM when the value
 * holds control characters or an array's element holds a comma; JWT_NO_MEMORY.
 */
enum jwt_result jwt_claim_text(const json_t *root, const char *claim, struct arena *arena,
			       struct slice *ret_text);

/*
 * The digest of all that decides about a token: issuers, audiences, keys, leeway, and what the caller
 * takes out of it (extra). 0 or -ENOMEM.
 */
int jwt_policy_digest(const struct jwt_policy *p, const struct conf_strings *extra,
		      struct jwt_policy_id *ret_id);

#endif
