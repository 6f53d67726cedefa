/* SPDX-License-Identifier: Apache-2.0 */
#include "filter/jwt_key.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/cleanup.h"

#define RSA_MIN_BITS  2048
#define ECDSA_DER_MAX 128 /* of a P-384 signature: 2 * (2 + 49) + 2 rounded up */

struct algorithm {
	struct slice name;
	const char *key_type; /* of OpenSSL; NULL: HMAC */
	const char *digest;   /* NULL: part of the signature scheme */
	const char *group;    /* EC only */
	size_t bytes;	      /* HMAC: of the hash; EC: of a scalar */
	int padding;	      /* RSA only */
};

static const struct algorithm algorithms[] = {
	{SLICE_INIT("HS256"), NULL, "SHA256", NULL, 32, 0},
	{SLICE_INIT("HS384"), NULL, "SHA384", NULL, 48, 0},
	{SLICE_INIT("HS512"), NULL, "SHA512", NULL, 64, 0},
	{SLICE_INIT("RS256"), "RSA", "SHA256", NULL, 0, RSA_PKCS1_PADDING},
	{SLICE_INIT("RS384"), "RSA", "SHA384", NULL, 0, RSA_PKCS1_PADDING},
	{SLICE_INIT("RS512"), "RSA", "SHA512", NULL, 0, RSA_PKCS1_PADDING},
	{SLICE_INIT("PS256"), "RSA", "SHA256", NULL, 0, RSA_PKCS1_PSS_PADDING},
	{SLICE_INIT("ES256"), "EC", "SHA256", "prime256v1", 32, 0},
	{SLICE_INIT("ES384"), "EC", "SHA384", "secp384r1", 48, 0},
	{SLICE_INIT("EdDSA"), "ED25519", NULL, NULL, 0, 0},
};

struct jwt_key {
	const struct algorithm *alg;
	char *kid;
	unsigned char fingerprint[JWT_KEY_FINGERPRINT_LEN];
	/* Initialised with the key; each verification works on a copy, which spares it the fetches. One is set. */
	EVP_MAC_CTX *mac;
	EVP_MD_CTX *md;
};

DEFINE_CLEANUP(struct jwt_key *, jwt_key_free)
DEFINE_CLEANUP(EVP_MAC *, EVP_MAC_free)
DEFINE_CLEANUP(EVP_MAC_CTX *, EVP_MAC_CTX_free)
DEFINE_CLEANUP(EVP_MD_CTX *, EVP_MD_CTX_free)
DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)
DEFINE_CLEANUP(ECDSA_SIG *, ECDSA_SIG_free)
DEFINE_CLEANUP(BIO *, BIO_free)

static const struct algorithm *find_algorithm(struct slice name)
{
	for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++) {
		if (slice_eq(algorithms[i].name, name))
			return &algorithms[i];
	}
	return NULL;
}

static int init_hmac(struct jwt_key *k, struct slice secret, struct error *err)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)k->alg->digest, 0),
		OSSL_PARAM_construct_end(),
	};
	_cleanup_(EVP_MAC_freep) EVP_MAC *mac = NULL;

	if (slice_starts(secret, SLICE("-----BEGIN ")))
		return error_set(err, EINVAL, "a PEM file is not a secret for %s",
				 k->alg->name.ptr);
	if (secret.len < k->alg->bytes)
		return error_set(err, EINVAL,
				 "%s needs a secret of at least %zu bytes, this has %zu",
				 k->alg->name.ptr, k->alg->bytes, secret.len);
	mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	k->mac = mac ? EVP_MAC_CTX_new(mac) : NULL;
	if (!k->mac ||
	    EVP_MAC_init(k->mac, (const unsigned char *)secret.ptr, secret.len, params) != 1)
		return error_set(err, ENOMEM, "OpenSSL cannot set up %s", k->alg->name.ptr);
	return 0;
}

static int check_fit(const struct algorithm *alg, EVP_PKEY *pkey, struct error *err)
{
	char group[64] = "";

	if (!EVP_PKEY_is_a(pkey, alg->key_type))
		return error_set(err, EINVAL, "%s needs a key of type %s, this is %s",
				 alg->name.ptr, alg->key_type, EVP_PKEY_get0_type_name(pkey));
	if (alg->padding && EVP_PKEY_get_bits(pkey) < RSA_MIN_BITS)
		return error_set(err, EINVAL,
				 "%s needs an RSA key of at least %d bits, this has %d",
				 alg->name.ptr, RSA_MIN_BITS, EVP_PKEY_get_bits(pkey));
	if (!alg->group)
		return 0;
	EVP_PKEY_get_group_name(pkey, group, sizeof(group), NULL);
	if (strcmp(group, alg->group) != 0)
		return error_set(err, EINVAL, "%s needs a key on curve %s, this is on %s",
				 alg->name.ptr, alg->group, group);
	return 0;
}

static int init_public(struct jwt_key *k, struct slice pem, struct error *err)
{
	_cleanup_(BIO_freep) BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *pkey = NULL;
	EVP_PKEY_CTX *ctx;
	int rc;

	pkey = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
	if (!pkey)
		return error_set(err, EINVAL, "not a PEM public key (\"BEGIN PUBLIC KEY\")");
	rc = check_fit(k->alg, pkey, err);
	if (rc)
		return rc;
	k->md = EVP_MD_CTX_new();
	if (!k->md ||
	    EVP_DigestVerifyInit_ex(k->md, &ctx, k->alg->digest, NULL, NULL, pkey, NULL) != 1)
		goto fail;
	if (k->alg->padding && EVP_PKEY_CTX_set_rsa_padding(ctx, k->alg->padding) != 1)
		goto fail;
	/* RFC 7518, section 3.5: the salt is as long as the hash. */
	if (k->alg->padding == RSA_PKCS1_PSS_PADDING &&
	    EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) != 1)
		goto fail;
	return 0;
fail:
	return error_set(err, ENOMEM, "OpenSSL cannot set up %s", k->alg->name.ptr);
}

int jwt_key_new(struct slice kid, struct slice algorithm, struct slice material, struct error *err,
		struct jwt_key **ret_key)
{
	_cleanup_(jwt_key_freep) struct jwt_key *k = calloc(1, sizeof(*k));
	int rc;

	if (k)
		k->kid = strndup(kid.len ? kid.ptr : "", kid.len);
	if (!k || !k->kid)
		return error_set(err, ENOMEM, "out of memory");
	k->alg = find_algorithm(algorithm);
	if (!k->alg)
		return error_set(err, EINVAL, "unknown algorithm '%.*s'", SLICE_FMT(algorithm));
	rc = k->alg->key_type ? init_public(k, material, err) : init_hmac(k, material, err);
	if (!rc &&
	    EVP_Digest(material.ptr, material.len, k->fingerprint, NULL, EVP_sha256(), NULL) != 1)
		rc = error_set(err, ENOMEM, "OpenSSL cannot hash the key");
	/* The queue is the thread's: what this key left there must not explain another failure. */
	ERR_clear_error();
	if (rc)
		return rc;
	*ret_key = take_ptr(k);
	return 0;
}

int jwt_key_load(const struct conf_key *conf, struct error *err, struct jwt_key **ret_key)
{
	struct slice file = conf->secret_file.len ? conf->secret_file : conf->public_key_file;
	_cleanup_free_ char *path = strndup(file.len ? file.ptr : "", file.len);
	_cleanup_free_ char *text = malloc(JWT_KEY_MAX_BYTES + 1);
	_cleanup_file_ FILE *f = NULL;
	const struct algorithm *alg = find_algorithm(conf->algorithm);
	size_t len;
	int rc;

	if (!path || !text)
		return error_set(err, ENOMEM, "out of memory");
	if (alg && !alg->key_type != (conf->secret_file.len != 0))
		return error_set(err, EINVAL, "%s needs %s", alg->name.ptr,
				 alg->key_type ? "public_key_file" : "secret_file");
	f = fopen(path, "re");
	if (!f)
		return error_sys(err, errno, "cannot open %s", path);
	len = fread(text, 1, JWT_KEY_MAX_BYTES + 1, f);
	if (ferror(f))
		return error_sys(err, EIO, "cannot read %s", path);
	if (len > JWT_KEY_MAX_BYTES)
		return error_set(err, EINVAL, "%s: larger than %d bytes", path, JWT_KEY_MAX_BYTES);
	if (conf->secret_file.len && len && text[len - 1] == '\n')
		len--;
	rc = jwt_key_new(conf->kid, conf->algorithm, slice_make(text, len), err, ret_key);
	OPENSSL_cleanse(text, JWT_KEY_MAX_BYTES + 1);
	return rc ? error_prefix(err, "%s", path) : 0;
}

void jwt_key_free(struct jwt_key *k)
{
	if (!k)
		return;
	EVP_MAC_CTX_free(k->mac);
	EVP_MD_CTX_free(k->md);
	free(k->kid);
	free(k);
}

struct slice jwt_key_id(const struct jwt_key *k)
{
	return slice_str(k->kid);
}

struct slice jwt_key_algorithm(const struct jwt_key *k)
{
	return k->alg->name;
}

const unsigned char *jwt_key_fingerprint(const struct jwt_key *k)
{
	return k->fingerprint;
}

static bool verify_hmac(const struct jwt_key *k, struct slice input, struct slice sig)
{
	_cleanup_(EVP_MAC_CTX_freep) EVP_MAC_CTX *ctx = EVP_MAC_CTX_dup(k->mac);
	unsigned char mac[EVP_MAX_MD_SIZE];
	size_t len;

	if (!ctx || EVP_MAC_update(ctx, (const unsigned char *)input.ptr, input.len) != 1 ||
	    EVP_MAC_final(ctx, mac, &len, sizeof(mac)) != 1)
		return false;
	return sig.len == len && CRYPTO_memcmp(mac, sig.ptr, len) == 0;
}

/* r and s as fixed-width numbers (RFC 7518, section 3.4) to what OpenSSL takes; 0 when that fails. */
static size_t ecdsa_der(struct slice raw, unsigned char out[static ECDSA_DER_MAX])
{
	_cleanup_(ECDSA_SIG_freep) ECDSA_SIG *sig = ECDSA_SIG_new();
	const unsigned char *p = (const unsigned char *)raw.ptr;
	int half = (int)(raw.len / 2);
	BIGNUM *r = BN_bin2bn(p, half, NULL);
	BIGNUM *s = BN_bin2bn(p + half, half, NULL);
	int len;

	if (!sig || !r || !s || ECDSA_SIG_set0(sig, r, s) != 1) {
		BN_free(r);
		BN_free(s);
		return 0;
	}
	len = i2d_ECDSA_SIG(sig, &out);
	return len > 0 ? (size_t)len : 0;
}

static bool verify_public(const struct jwt_key *k, struct slice input, struct slice sig)
{
	_cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char der[ECDSA_DER_MAX];
	bool good;

	if (k->alg->group) {
		if (sig.len != 2 * k->alg->bytes)
			return false;
		sig = slice_make((const char *)der, ecdsa_der(sig, der));
	}
	if (!ctx || !sig.len || EVP_MD_CTX_copy_ex(ctx, k->md) != 1)
		return false;
	/* The copy is used once, so it need not be copied again to be finished. */
	EVP_MD_CTX_set_flags(ctx, EVP_MD_CTX_FLAG_FINALISE);
	good = EVP_DigestVerify(ctx, (const unsigned char *)sig.ptr, sig.len,
				(const unsigned char *)input.ptr, input.len) == 1;
	if (!good)
		ERR_clear_error();
	return good;
}

bool jwt_key_verify(const struct jwt_key *k, struct slice input, struct slice sig)
{
	return k->mac ? verify_hmac(k, input, sig) : verify_public(k, input, sig);
}
