/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a token: once as they are, once with a good signature put behind them, so that what follows the
 * signature check is reached too. What verifies must have claims that can be read.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/clock.h"
#include "filter/jwt.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define WALL   (1700000000 * NSEC_PER_SEC)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct jwt_policy *policy, struct slice token)
{
	struct jwt_claims claims = {0};
	struct slice text;
	struct arena arena;

	if (jwt_verify(policy, token, WALL, &claims) != JWT_OK)
		return;
	if (claims.expires <= WALL)
		abort();
	arena_init(&arena, 4096, 1 << 20);
	if (jwt_claim_text(claims.root, "sub", &arena, &text) == JWT_OK && text.ptr) {
		for (size_t i = 0; i < text.len; i++) {
			if ((unsigned char)text.ptr[i] < 0x20)
				abort();
		}
	}
	arena_fini(&arena);
	json_decref(claims.root);
}

/* input, a dot and its HMAC, in a block of its own. */
static char *sign(const uint8_t *data, size_t size, size_t *ret_len)
{
	char *token = malloc(size + 64);
	unsigned char mac[32], b64[48];

	if (!token)
		return NULL;
	memcpy(token, data, size);
	HMAC(EVP_sha256(), SECRET, sizeof(SECRET) - 1, data, size, mac, NULL);
	/* 32 bytes are 43 digits and one sign of padding. */
	EVP_EncodeBlock(b64, mac, sizeof(mac));
	token[size] = '.';
	for (size_t i = 0; i < 43; i++)
		token[size + 1 + i] = (char)(b64[i] == '+' ? '-' : b64[i] == '/' ? '_' : b64[i]);
	*ret_len = size + 44;
	return token;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct jwt_key *key = NULL;
	struct jwt_issuer issuer = {.keys = &key, .n_keys = 1};
	struct jwt_policy policy = {.issuers = &issuer, .n_issuers = 1};
	char *signed_token;
	size_t len;

	if (jwt_key_new(SLICE(""), SLICE("HS256"), SLICE(SECRET), NULL, &key))
		abort();
	check(&policy, slice_make((const char *)data, size));
	signed_token = size ? sign(data, size, &len) : NULL;
	if (signed_token)
		check(&policy, slice_make(signed_token, len));
	free(signed_token);
	jwt_key_free(key);
	return 0;
}
