/* SPDX-License-Identifier: Apache-2.0 */
#include "filter/jwt_key.h"

#include <errno.h>
#include <stdlib.h>

#include "token.h"

static const char *const algorithms[] = {"HS256", "HS384", "HS512", "RS256", "RS384",
					 "RS512", "PS256", "ES256", "ES384", "EdDSA"};

#define N_ALGORITHMS (sizeof(algorithms) / sizeof(algorithms[0]))

static const char input[] = "header.payload";

static struct signer signers[N_ALGORITHMS];

static int make_signers(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ALGORITHMS; i++)
		signer_init(&signers[i], algorithms[i]);
	return 0;
}

static int free_signers(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ALGORITHMS; i++)
		signer_fini(&signers[i]);
	return 0;
}

static struct jwt_key *key_of(const struct signer *s)
{
	struct error err = {0};
	struct jwt_key *k = NULL;

	if (jwt_key_new(SLICE("k1"), slice_str(s->alg), signer_material(s), &err, &k))
		fail_msg("%s: %s", s->alg, err.text);
	return k;
}

static void test_every_algorithm_verifies_its_own_only(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ALGORITHMS; i++) {
		struct jwt_key *k = key_of(&signers[i]);

		assert_true(slice_eq(jwt_key_id(k), SLICE("k1")));
		assert_true(slice_eq(jwt_key_algorithm(k), slice_str(algorithms[i])));
		for (size_t j = 0; j < N_ALGORITHMS; j++) {
			unsigned char sig[1024];
			size_t n = signer_sign(&signers[j], input, sizeof(input) - 1, sig);
			struct slice s = slice_make((const char *)sig, n);

			assert_int_equal(jwt_key_verify(k, SLICE(input), s), i == j);
			/* Again: the key is not used up. */
			assert_int_equal(jwt_key_verify(k, SLICE(input), s), i == j);
		}
		jwt_key_free(k);
	}
}

static void test_tampered_signatures_fail(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ALGORITHMS; i++) {
		struct jwt_key *k = key_of(&signers[i]);
		unsigned char sig[1024] = {0};
		size_t n = signer_sign(&signers[i], input, sizeof(input) - 1, sig);
		struct slice s = slice_make((const char *)sig, n);

		assert_false(jwt_key_verify(k, SLICE("header.payloae"), s));
		for (size_t len = 0; len<n; len += n> 64 ? 7 : 1)
			assert_false(jwt_key_verify(k, SLICE(input), slice_first(s, len)));
		assert_false(jwt_key_verify(k, SLICE(input), slice_make((const char *)sig, n + 1)));
		for (size_t at = 0; at < n; at += 13) {
			sig[at] ^= 0x10;
			assert_false(jwt_key_verify(k, SLICE(input), s));
			sig[at] ^= 0x10;
		}
		memset(sig, 0, n);
		assert_false(jwt_key_verify(k, SLICE(input), s));
		jwt_key_free(k);
	}
}

static void refused(const char *alg, struct slice material, const char *why)
{
	struct jwt_key *k = NULL;
	struct error err = {0};

	assert_int_equal(jwt_key_new(SLICE(""), slice_str(alg), material, &err, &k), -EINVAL);
	assert_null(k);
	if (!strstr(err.text, why))
		fail_msg("'%s' does not say '%s'", err.text, why);
}

static void test_a_key_must_fit_its_algorithm(void **state)
{
	struct slice rsa = signer_material(&signers[3]);
	struct slice p256 = signer_material(&signers[7]);
	struct slice p384 = signer_material(&signers[8]);
	struct slice ed = signer_material(&signers[9]);

	(void)state;
	refused("none", SLICE(""), "unknown algorithm 'none'");
	refused("rs256", rsa, "unknown algorithm");
	refused("HS256", SLICE("0123456789012345678901234567890"), "at least 32 bytes");
	refused("HS512", SLICE("0123456789012345678901234567890123456789"), "at least 64 bytes");
	refused("HS256", rsa, "PEM file is not a secret");
	refused("RS256", p256, "type RSA");
	refused("ES256", rsa, "type EC");
	refused("ES256", p384, "curve prime256v1");
	refused("ES384", p256, "curve secp384r1");
	refused("EdDSA", p256, "type ED25519");
	refused("ES256", ed, "type EC");
	refused("RS256", SLICE(""), "PEM public key");
	refused("RS256", SLICE("-----BEGIN PUBLIC KEY-----\nAAAA\n"), "PEM public key");
	refused("RS256", slice_first(rsa, rsa.len / 2), "PEM public key");
}

static void test_short_rsa_keys_are_refused(void **state)
{
	EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
	BIO *bio = BIO_new(BIO_s_mem());
	char *pem;
	long n;

	(void)state;
	assert_int_equal(PEM_write_bio_PUBKEY(bio, pkey), 1);
	n = BIO_get_mem_data(bio, &pem);
	refused("RS256", slice_make(pem, (size_t)n), "at least 2048 bits");
	BIO_free(bio);
	EVP_PKEY_free(pkey);
}

static void test_fingerprint_tells_keys_apart(void **state)
{
	struct jwt_key *a = key_of(&signers[3]);
	struct jwt_key *b = key_of(&signers[3]);
	struct jwt_key *c = key_of(&signers[4]);

	(void)state;
	assert_memory_equal(jwt_key_fingerprint(a), jwt_key_fingerprint(b),
			    JWT_KEY_FINGERPRINT_LEN);
	assert_memory_not_equal(jwt_key_fingerprint(a), jwt_key_fingerprint(c),
				JWT_KEY_FINGERPRINT_LEN);
	jwt_key_free(a);
	jwt_key_free(b);
	jwt_key_free(c);
}

static void test_load_reads_the_named_file(void **state)
{
	char path[] = "/tmp/jwt_key.XXXXXX";
	struct conf_key conf = {.kid = SLICE("k"), .algorithm = SLICE("HS256")};
	FILE *f = fdopen(mkstemp(path), "w");
	struct error err = {0};
	struct jwt_key *k = NULL;
	unsigned char sig[1024];
	size_t n;

	(void)state;
	fprintf(f, "%s\n", signers[0].secret);
	fclose(f);
	conf.public_key_file = slice_str(path);
	assert_int_equal(jwt_key_load(&conf, &err, &k), -EINVAL);
	assert_non_null(strstr(err.text, "needs secret_file"));

	conf.public_key_file = SLICE("");
	conf.secret_file = slice_str(path);
	assert_int_equal(jwt_key_load(&conf, &err, &k), 0);
	n = signer_sign(&signers[0], input, sizeof(input) - 1, sig);
	assert_true(jwt_key_verify(k, SLICE(input), slice_make((const char *)sig, n)));
	jwt_key_free(k);

	remove(path);
	assert_int_equal(jwt_key_load(&conf, &err, &k), -ENOENT);
	assert_non_null(strstr(err.text, path));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_algorithm_verifies_its_own_only),
		cmocka_unit_test(test_tampered_signatures_fail),
		cmocka_unit_test(test_a_key_must_fit_its_algorithm),
		cmocka_unit_test(test_short_rsa_keys_are_refused),
		cmocka_unit_test(test_fingerprint_tells_keys_apart),
		cmocka_unit_test(test_load_reads_the_named_file),
	};

	return cmocka_run_group_tests(tests, make_signers, free_signers);
}
