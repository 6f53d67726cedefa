/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and tokens made at test time, by code that shares nothing with what is tested. */
#ifndef TESTS_UNIT_FILTER_TOKEN_H
#define TESTS_UNIT_FILTER_TOKEN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/slice.h"

#define TOKEN_MAX 4096

struct signer {
	const char *alg;
	const char *digest; /* NULL: Ed25519 */
	EVP_PKEY *pkey;	    /* NULL: HMAC with secret */
	size_t scalar;	    /* EC: bytes of r and of s */
	char pem[2048];	    /* public key */
	char secret[65];
};

static inline struct slice signer_material(const struct signer *s)
{
	return slice_str(s->pkey ? s->pem : s->secret);
}

static inline void signer_init(struct signer *s, const char *alg)
{
	BIO *bio = BIO_new(BIO_s_mem());
	int n;

	memset(s, 0, sizeof(*s));
	s->alg = alg;
	if (strcmp(alg, "EdDSA") != 0)
		s->digest = strstr(alg, "384")	 ? "SHA384"
			    : strstr(alg, "512") ? "SHA512"
						 : "SHA256";
	if (alg[0] == 'R' || alg[0] == 'P') {
		s->pkey = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
	} else if (alg[0] == 'H') {
		memset(s->secret, 's', sizeof(s->secret) - 1);
	} else if (!s->digest) {
		s->pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	} else {
		s->scalar = strcmp(alg, "ES384") == 0 ? 48 : 32;
		s->pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", s->scalar == 48 ? "P-384" : "P-256");
	}
	if (s->pkey) {
		assert_int_equal(PEM_write_bio_PUBKEY(bio, s->pkey), 1);
		n = BIO_read(bio, s->pem, sizeof(s->pem) - 1);
		assert_true(n > 0);
	}
	BIO_free(bio);
}

static inline void signer_fini(struct signer *s)
{
	EVP_PKEY_free(s->pkey);
}

/* Append unpadded base64url at out + len; returns the new length. */
static inline size_t token_b64(char *out, size_t len, const void *in, size_t n)
{
	unsigned char plain[TOKEN_MAX];
	int m = EVP_EncodeBlock(plain, in, (int)n);

	assert_true(len + (size_t)m < TOKEN_MAX);
	for (int i = 0; i < m && plain[i] != '='; i++)
		out[len++] = (char)(plain[i] == '+' ? '-' : plain[i] == '/' ? '_' : plain[i]);
	out[len] = '\0';
	return len;
}

static inline size_t signer_sign(const struct signer *s, const char *in, size_t n,
				 unsigned char sig[static 1024])
{
	const unsigned char *p = sig;
	EVP_PKEY_CTX *ctx = NULL;
	ECDSA_SIG *ec = NULL;
	size_t len = 1024;
	EVP_MD_CTX *md;

	if (!s->pkey) {
		unsigned int m = 0;

		HMAC(EVP_get_digestbyname(s->digest), s->secret, (int)strlen(s->secret),
		     (const unsigned char *)in, n, sig, &m);
		return m;
	}
	md = EVP_MD_CTX_new();
	assert_int_equal(EVP_DigestSignInit_ex(md, &ctx, s->digest, NULL, NULL, s->pkey, NULL), 1);
	if (s->alg[0] == 'P') {
		EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING);
		EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST);
	}
	assert_int_equal(EVP_DigestSign(md, sig, &len, (const unsigned char *)in, n), 1);
	EVP_MD_CTX_free(md);
	if (s->scalar) {
		ec = d2i_ECDSA_SIG(NULL, &p, (long)len);
		BN_bn2binpad(ECDSA_SIG_get0_r(ec), sig, (int)s->scalar);
		BN_bn2binpad(ECDSA_SIG_get0_s(ec), sig + s->scalar, (int)s->scalar);
		ECDSA_SIG_free(ec);
		len = 2 * s->scalar;
	}
	return len;
}

/* A token of these two JSON texts, signed. */
static inline struct slice token_make(const struct signer *s, const char *header,
				      const char *payload, char out[static TOKEN_MAX])
{
	unsigned char sig[1024];
	size_t len = token_b64(out, 0, header, strlen(header));
	size_t n;

	out[len++] = '.';
	len = token_b64(out, len, payload, strlen(payload));
	n = signer_sign(s, out, len, sig);
	out[len++] = '.';
	return slice_make(out, token_b64(out, len, sig, n));
}

/* The same with {"alg":"..."} as header. */
static inline struct slice token_simple(const struct signer *s, const char *payload,
					char out[static TOKEN_MAX])
{
	char header[64];

	snprintf(header, sizeof(header), "{\"alg\":\"%s\"}", s->alg);
	return token_make(s, header, payload, out);
}

#endif
