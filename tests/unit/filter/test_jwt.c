/* SPDX-License-Identifier: Apache-2.0 */
#include "filter/jwt.h"

#include "base/clock.h"
#include "token.h"

#define NOW  1700000000ULL
#define WALL (NOW * NSEC_PER_SEC)

/* A payload that the fixture's policy accepts. */
#define GOOD                                                                                       \
	"{\"iss\":\"https://corp\",\"aud\":\"api\",\"exp\":1700000100,\"nbf\":1699999900,"         \
	"\"sub\":\"alice\"}"

/* One issuer "https://corp" for "api" and "web", with an RSA key "r1" and a secret "h1"; 60 s of leeway. */
struct fixture {
	struct signer rsa;
	struct signer hmac;
	struct jwt_key *keys[2];
	struct slice audiences[2];
	struct jwt_issuer issuer;
	struct jwt_policy policy;
	char text[TOKEN_MAX];
};

static struct jwt_key *key_of(const struct signer *s, struct slice kid)
{
	struct jwt_key *k = NULL;

	assert_int_equal(jwt_key_new(kid, slice_str(s->alg), signer_material(s), NULL, &k), 0);
	return k;
}

static int setup(void **state)
{
	static struct fixture fx;

	memset(&fx, 0, sizeof(fx));
	signer_init(&fx.rsa, "RS256");
	signer_init(&fx.hmac, "HS256");
	fx.keys[0] = key_of(&fx.rsa, SLICE("r1"));
	fx.keys[1] = key_of(&fx.hmac, SLICE("h1"));
	fx.audiences[0] = SLICE("api");
	fx.audiences[1] = SLICE("web");
	fx.issuer = (struct jwt_issuer){
		.issuer = SLICE("https://corp"),
		.audiences = {.items = fx.audiences, .n = 2},
		.keys = fx.keys,
		.n_keys = 2,
	};
	fx.policy = (struct jwt_policy){
		.issuers = &fx.issuer,
		.n_issuers = 1,
		.leeway = 60 * NSEC_PER_SEC,
		.require_exp = true,
	};
	*state = &fx;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	signer_fini(&fx->rsa);
	signer_fini(&fx->hmac);
	jwt_key_free(fx->keys[0]);
	jwt_key_free(fx->keys[1]);
	return 0;
}

static enum jwt_result verify_at(struct fixture *fx, struct slice token, uint64_t wall)
{
	struct jwt_claims claims = {0};
	enum jwt_result r = jwt_verify(&fx->policy, token, wall, &claims);

	assert_int_equal(claims.root != NULL, r == JWT_OK);
	json_decref(claims.root);
	return r;
}

static void expect(struct fixture *fx, const char *header, const char *payload, enum jwt_result r)
{
	struct slice token = token_make(&fx->rsa, header, payload, fx->text);
	enum jwt_result got = verify_at(fx, token, WALL);

	if (got != r)
		fail_msg("%s %s: %s, not %s", header, payload, jwt_result_name(got),
			 jwt_result_name(r));
}

static void expect_payload(struct fixture *fx, const char *payload, enum jwt_result r)
{
	expect(fx, "{\"alg\":\"RS256\"}", payload, r);
}

static void test_good_token_gives_its_claims(void **state)
{
	struct fixture *fx = *state;
	struct slice token = token_simple(&fx->rsa, GOOD, fx->text);
	struct jwt_claims claims;

	assert_int_equal(jwt_verify(&fx->policy, token, WALL, &claims), JWT_OK);
	assert_string_equal(json_string_value(json_object_get(claims.root, "sub")), "alice");
	assert_int_equal(claims.expires, (1700000100ULL + 60) * NSEC_PER_SEC);
	json_decref(claims.root);
	token = token_simple(&fx->hmac, GOOD, fx->text);
	assert_int_equal(verify_at(fx, token, WALL), JWT_OK);
}

static void test_kid_selects_the_key(void **state)
{
	struct fixture *fx = *state;

	expect(fx, "{\"alg\":\"RS256\",\"kid\":\"r1\"}", GOOD, JWT_OK);
	expect(fx, "{\"alg\":\"RS256\",\"kid\":\"h1\"}", GOOD, JWT_UNKNOWN_KEY);
	expect(fx, "{\"alg\":\"RS256\",\"kid\":\"\"}", GOOD, JWT_UNKNOWN_KEY);
	expect(fx, "{\"alg\":\"RS256\",\"kid\":1}", GOOD, JWT_MALFORMED);
	expect(fx, "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"jwk\":{}}", GOOD, JWT_OK);
}

static void test_algorithm_cannot_be_chosen(void **state)
{
	struct fixture *fx = *state;
	struct signer confused = {.alg = "HS256", .digest = "SHA256"};
	char header[256], text[TOKEN_MAX];
	struct slice token;

	/* The public key as the secret of an HMAC, which a verifier that believes the header would accept. */
	assert_true(strlen(fx->rsa.pem) >= sizeof(confused.secret));
	memcpy(confused.secret, fx->rsa.pem, sizeof(confused.secret) - 1);
	token = token_make(&confused, "{\"alg\":\"HS256\",\"kid\":\"r1\"}", GOOD, text);
	assert_int_equal(verify_at(fx, token, WALL), JWT_UNKNOWN_KEY);
	token = token_simple(&confused, GOOD, text);
	assert_int_equal(verify_at(fx, token, WALL), JWT_BAD_SIGNATURE);

	for (const char *const *alg = (const char *const[]){"none", "None", "NONE", "", "RS512",
							    "rs256", "PS256", NULL};
	     *alg; alg++) {
		snprintf(header, sizeof(header), "{\"alg\":\"%s\"}", *alg);
		expect(fx, header, GOOD, JWT_UNKNOWN_KEY);
	}
	expect(fx, "{\"typ\":\"JWT\"}", GOOD, JWT_MALFORMED);
	expect(fx, "{\"alg\":[\"RS256\"]}", GOOD, JWT_MALFORMED);
	token = token_make(&fx->rsa, "{\"alg\":\"none\"}", GOOD, text);
	token.len = (size_t)(strrchr(text, '.') - text) + 1;
	assert_int_equal(verify_at(fx, token, WALL), JWT_MALFORMED);
}

static void test_critical_headers_are_refused(void **state)
{
	struct fixture *fx = *state;

	expect(fx, "{\"alg\":\"RS256\",\"crit\":[\"b64\"],\"b64\":false}", GOOD, JWT_CRITICAL);
	expect(fx, "{\"alg\":\"RS256\",\"crit\":[]}", GOOD, JWT_CRITICAL);
}

static void test_dates_have_a_leeway(void **state)
{
	struct fixture *fx = *state;
	struct slice token = token_simple(&fx->rsa, GOOD, fx->text);

	assert_int_equal(verify_at(fx, token, (1700000160ULL) * NSEC_PER_SEC - 1), JWT_OK);
	assert_int_equal(verify_at(fx, token, (1700000160ULL) * NSEC_PER_SEC), JWT_EXPIRED);
	assert_int_equal(verify_at(fx, token, (1699999840ULL) * NSEC_PER_SEC), JWT_OK);
	assert_int_equal(verify_at(fx, token, (1699999840ULL) * NSEC_PER_SEC - 1), JWT_NOT_YET);
}

static void test_dates_of_any_number(void **state)
{
	struct fixture *fx = *state;
	char payload[128];
	static const struct {
		const char *exp;
		enum jwt_result result;
	} cases[] = {
		{"1700000000.5", JWT_OK},
		{"1e300", JWT_OK},
		{"9223372036854775807", JWT_OK},
		{"0", JWT_EXPIRED},
		{"-5", JWT_EXPIRED},
		{"-1e300", JWT_EXPIRED},
		{"\"1700000100\"", JWT_BAD_CLAIM},
		{"null", JWT_BAD_CLAIM},
		{"true", JWT_BAD_CLAIM},
		{"99999999999999999999", JWT_MALFORMED},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(payload, sizeof(payload),
			 "{\"iss\":\"https://corp\",\"aud\":\"api\",\"exp\":%s}", cases[i].exp);
		expect_payload(fx, payload, cases[i].result);
	}
	expect_payload(fx,
		       "{\"iss\":\"https://corp\",\"aud\":\"api\",\"exp\":1700000100,\"nbf\":\"\"}",
		       JWT_BAD_CLAIM);
}

static void test_expiry_is_required_unless_waived(void **state)
{
	struct fixture *fx = *state;
	const char *payload = "{\"iss\":\"https://corp\",\"aud\":\"api\"}";

	expect_payload(fx, payload, JWT_NO_EXPIRY);
	fx->policy.require_exp = false;
	expect_payload(fx, payload, JWT_OK);
}

static void test_audience_is_one_or_a_list(void **state)
{
	struct fixture *fx = *state;
	char payload[256];
	static const struct {
		const char *aud;
		enum jwt_result result;
	} cases[] = {
		{"\"web\"", JWT_OK},
		{"[\"x\",\"web\"]", JWT_OK},
		{"\"we\"", JWT_WRONG_AUDIENCE},
		{"[]", JWT_WRONG_AUDIENCE},
		{"[\"x\",[\"web\"],1]", JWT_WRONG_AUDIENCE},
		{"{\"web\":1}", JWT_WRONG_AUDIENCE},
		{"1", JWT_WRONG_AUDIENCE},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(payload, sizeof(payload),
			 "{\"iss\":\"https://corp\",\"exp\":1700000100,\"aud\":%s}", cases[i].aud);
		expect_payload(fx, payload, cases[i].result);
	}
	expect_payload(fx, "{\"iss\":\"https://corp\",\"exp\":1700000100}", JWT_WRONG_AUDIENCE);
	fx->issuer.audiences.n = 0;
	expect_payload(fx, "{\"iss\":\"https://corp\",\"exp\":1700000100}", JWT_OK);
}

static void test_issuer_must_match(void **state)
{
	struct fixture *fx = *state;

	expect_payload(fx, "{\"iss\":\"https://corp.evil\",\"exp\":1700000100}", JWT_WRONG_ISSUER);
	expect_payload(fx, "{\"exp\":1700000100,\"aud\":\"api\"}", JWT_WRONG_ISSUER);
	expect_payload(fx, "{\"iss\":[\"https://corp\"],\"exp\":1700000100}", JWT_BAD_CLAIM);
	fx->issuer.issuer = SLICE("");
	expect_payload(fx, "{\"exp\":1700000100,\"aud\":\"api\"}", JWT_OK);
}

static void test_one_issuers_key_is_not_anothers(void **state)
{
	struct fixture *fx = *state;
	struct jwt_issuer issuers[] = {
		{.issuer = SLICE("https://a"), .keys = &fx->keys[0], .n_keys = 1},
		{.issuer = SLICE("https://b"), .keys = &fx->keys[1], .n_keys = 1},
	};

	fx->policy.issuers = issuers;
	fx->policy.n_issuers = 2;
	expect_payload(fx, "{\"iss\":\"https://a\",\"exp\":1700000100}", JWT_OK);
	expect_payload(fx, "{\"iss\":\"https://b\",\"exp\":1700000100}", JWT_UNKNOWN_KEY);
	expect_payload(fx, "{\"iss\":\"https://a\",\"exp\":1600000000}", JWT_EXPIRED);
	expect_payload(fx, "{\"iss\":\"https://c\",\"exp\":1700000100}", JWT_WRONG_ISSUER);
}

static void test_truncated_at_each_length(void **state)
{
	struct fixture *fx = *state;
	struct slice token = token_simple(&fx->rsa, GOOD, fx->text);

	for (size_t len = 0; len < token.len; len++) {
		/* A copy of just this size, so that reading on is seen by the sanitizer. */
		char *copy = test_malloc(len + 1);

		memcpy(copy, token.ptr, len);
		assert_int_not_equal(verify_at(fx, slice_make(copy, len), WALL), JWT_OK);
		test_free(copy);
	}
	assert_int_equal(verify_at(fx, token, WALL), JWT_OK);
}

static void test_every_changed_byte_is_noticed(void **state)
{
	struct fixture *fx = *state;
	struct slice token = token_simple(&fx->hmac, GOOD, fx->text);

	for (size_t i = 0; i < token.len; i++) {
		fx->text[i] ^= 1;
		assert_int_not_equal(verify_at(fx, token, WALL), JWT_OK);
		fx->text[i] ^= 1;
	}
}

static void test_malformed_tokens(void **state)
{
	struct fixture *fx = *state;
	static char huge[JWT_MAX_TOKEN + 1];
	static const char *const tokens[] = {"",
					     ".",
					     "..",
					     "...",
					     "a.b.c",
					     "e30.e30.",
					     ".e30.AAAA",
					     "e30..AAAA",
					     "e30=.e30.AAAA",
					     "e30.e30.AA AA",
					     "W10.W10.AAAA",
					     "e30.e30.AAAA.AAAA"};

	for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++)
		assert_int_equal(verify_at(fx, slice_str(tokens[i]), WALL), JWT_MALFORMED);
	memset(huge, 'A', sizeof(huge));
	assert_int_equal(verify_at(fx, slice_make(huge, sizeof(huge)), WALL), JWT_MALFORMED);
	expect(fx, "{\"alg\":\"none\",\"alg\":\"RS256\"}", GOOD, JWT_MALFORMED);
	expect_payload(fx, "{\"iss\":\"https://corp\",\"iss\":\"https://corp\"}", JWT_MALFORMED);
	expect_payload(fx, GOOD "{}", JWT_MALFORMED);
	expect_payload(fx, "{\"sub\":\"a\\u0000b\"}", JWT_MALFORMED);
}

static void claim(const char *json, enum jwt_result result, const char *text)
{
	json_t *root = json_loads(json, 0, NULL);
	struct slice got = SLICE("untouched");
	struct arena arena;

	arena_init(&arena, 4096, 65536);
	assert_non_null(root);
	assert_int_equal(jwt_claim_text(root, "c", &arena, &got), result);
	if (result != JWT_OK)
		assert_true(slice_eq(got, SLICE("untouched")));
	else if (text)
		assert_true(got.ptr && slice_eq(got, slice_str(text)));
	else
		assert_null(got.ptr);
	json_decref(root);
	arena_fini(&arena);
}

static void test_claims_as_header_values(void **state)
{
	(void)state;
	claim("{\"c\":\"alice\"}", JWT_OK, "alice");
	claim("{\"c\":\"\"}", JWT_OK, "");
	claim("{\"c\":\"J\\u00fcrgen, B.\"}", JWT_OK, "J\xc3\xbcrgen, B.");
	claim("{\"c\":-42}", JWT_OK, "-42");
	claim("{\"c\":1.5}", JWT_OK, "1.5");
	claim("{\"c\":true}", JWT_OK, "true");
	claim("{\"c\":[\"a\",2,false]}", JWT_OK, "a,2,false");
	claim("{\"c\":[]}", JWT_OK, "");
	claim("{}", JWT_OK, NULL);
	claim("{\"c\":null}", JWT_OK, NULL);
	claim("{\"c\":{\"x\":1}}", JWT_OK, NULL);
	claim("{\"c\":\"a\\r\\nX-Admin: 1\"}", JWT_BAD_CLAIM, NULL);
	claim("{\"c\":\"\\u007f\"}", JWT_BAD_CLAIM, NULL);
	claim("{\"c\":[\"a,admin\"]}", JWT_BAD_CLAIM, NULL);
	claim("{\"c\":[[\"a\"]]}", JWT_BAD_CLAIM, NULL);
}

static void test_digest_changes_with_all_that_decides(void **state)
{
	struct fixture *fx = *state;
	struct slice claims[] = {SLICE("sub"), SLICE("role")};
	struct conf_strings extra = {.items = claims, .n = 1};
	struct jwt_policy_id ids[9];
	size_t n = 0;

	assert_int_equal(jwt_policy_digest(&fx->policy, &extra, &ids[n]), 0);
	assert_int_equal(jwt_policy_digest(&fx->policy, &extra, &ids[1]), 0);
	assert_memory_equal(&ids[0], &ids[1], sizeof(ids[0]));
	extra.n = 2;
	jwt_policy_digest(&fx->policy, &extra, &ids[++n]);
	fx->policy.leeway++;
	jwt_policy_digest(&fx->policy, &extra, &ids[++n]);
	fx->policy.require_exp = false;
	jwt_policy_digest(&fx->policy, &extra, &ids[++n]);
	fx->issuer.audiences.n = 1;
	jwt_policy_digest(&fx->policy, &extra, &ids[++n]);
	fx->issuer.issuer = SLICE("https://corq");
	jwt_policy_digest(&fx->policy, &extra, &ids[++n]);
	fx->issuer.n_keys = 1;
	jwt_policy_digest(&fx->policy, &extra, &ids[++n]);
	fx->issuer.keys++;
	jwt_policy_digest(&fx->policy, &extra, &ids[++n]);
	for (size_t i = 0; i <= n; i++) {
		for (size_t j = 0; j < i; j++)
			assert_memory_not_equal(&ids[i], &ids[j], sizeof(ids[i]));
	}
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_good_token_gives_its_claims),
		TEST(test_kid_selects_the_key),
		TEST(test_algorithm_cannot_be_chosen),
		TEST(test_critical_headers_are_refused),
		TEST(test_dates_have_a_leeway),
		TEST(test_dates_of_any_number),
		TEST(test_expiry_is_required_unless_waived),
		TEST(test_audience_is_one_or_a_list),
		TEST(test_issuer_must_match),
		TEST(test_one_issuers_key_is_not_anothers),
		TEST(test_truncated_at_each_length),
		TEST(test_every_changed_byte_is_noticed),
		TEST(test_malformed_tokens),
		TEST(test_digest_changes_with_all_that_decides),
		cmocka_unit_test(test_claims_as_header_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
