/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One key that verifies token signatures (RFC 7518, section 3), with the only algorithm it may be used for:
 * a token cannot choose another, so a public key never becomes an HMAC secret and "none" does not exist.
 */
#ifndef FILTER_JWT_KEY_H
#define FILTER_JWT_KEY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/slice.h"
#include "conf/config.h"

#define JWT_KEY_FINGERPRINT_LEN 32
#define JWT_KEY_MAX_BYTES	65536 /* of a key file */

struct jwt_key;

/*
 * A key from its material: for HS256, HS384 and HS512 the secret, at least as long as the hash; for RS256,
 * RS384, RS512, PS256 (RSA of at least 2048 bits), ES256 (P-256), ES384 (P-384) and EdDSA (Ed25519) a PEM
 * public key. All is copied. 0, -EINVAL (unknown algorithm, or a key unfit for it), -ENOMEM; *err says why.
 */
int jwt_key_new(struct slice kid, struct slice algorithm, struct slice material, struct error *err,
		struct jwt_key **ret_key);

/* The same from the file that the configuration names; also the errors of reading it. */
int jwt_key_load(const struct conf_key *conf, struct error *err, struct jwt_key **ret_key);

void jwt_key_free(struct jwt_key *k);

struct slice jwt_key_id(const struct jwt_key *k); /* may be empty */
struct slice jwt_key_algorithm(const struct jwt_key *k);

/* SHA-256 of the material, JWT_KEY_FINGERPRINT_LEN bytes: equal for equal keys only. */
const unsigned char *jwt_key_fingerprint(const struct jwt_key *k);

/* Whether sig is this key's signature of input. Safe from several threads at once. */
bool jwt_key_verify(const struct jwt_key *k, struct slice input, struct slice sig);

#endif
