/* SPDX-License-Identifier: Apache-2.0 */
#include "filter/jwt_auth.h"

#include "base/clock.h"
#include "token.h"

#define WALL	(1700000000ULL * NSEC_PER_SEC)

#define PAYLOAD "{\"sub\":\"alice\",\"role\":\"dev\",\"exp\":1700000100}"

struct fixture {
	struct signer signer;
	struct jwt_key *key;
	struct jwt_issuer issuer;
	struct jwt_auth auth;
	struct arena arena;
	struct http_head head;
	struct filter_request req;
	char bearer[TOKEN_MAX + 8];
	char text[TOKEN_MAX];
};

static void start_request(struct fixture *fx, uint64_t wall)
{
	struct jwt_cache *tokens = fx->req.tokens;

	memset(&fx->head, 0, sizeof(fx->head));
	fx->req = (struct filter_request){
		.head = &fx->head,
		.arena = &fx->arena,
		.wall = wall,
		.tokens = tokens,
	};
}

static int setup(void **state)
{
	static struct fixture fx;

	memset(&fx, 0, sizeof(fx));
	signer_init(&fx.signer, "ES256");
	assert_int_equal(
		jwt_key_new(SLICE(""), SLICE("ES256"), signer_material(&fx.signer), NULL, &fx.key),
		0);
	fx.issuer = (struct jwt_issuer){.keys = &fx.key, .n_keys = 1};
	arena_init(&fx.arena, 4096, 1 << 20);
	fx.auth = (struct jwt_auth){
		.policy = {.issuers = &fx.issuer, .n_issuers = 1, .require_exp = true},
		.claims = {{"sub", SLICE("X-User")}, {"role", SLICE("X-Role")}},
		.n_claims = 2,
		.realm = SLICE("edge"),
	};
	assert_int_equal(jwt_auth_prepare(&fx.auth, &fx.arena), 0);
	fx.req.tokens = jwt_cache_new(16, 1 << 20);
	start_request(&fx, WALL);
	*state = &fx;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	jwt_cache_free(fx->req.tokens);
	jwt_key_free(fx->key);
	signer_fini(&fx->signer);
	arena_fini(&fx->arena);
	return 0;
}

static void field(struct fixture *fx, const char *name, const char *value)
{
	assert_int_equal(http_head_add(&fx->head, slice_str(name), slice_str(value)), 0);
}

static void bearer(struct fixture *fx, const char *payload)
{
	struct slice token = token_simple(&fx->signer, payload, fx->text);

	snprintf(fx->bearer, sizeof(fx->bearer), "Bearer %.*s", SLICE_FMT(token));
	field(fx, "Authorization", fx->bearer);
}

static void assert_field(struct fixture *fx, const char *name, const char *value)
{
	struct http_field *f = http_head_find_name(&fx->head, slice_str(name));

	if (!value) {
		assert_null(f);
		return;
	}
	assert_non_null(f);
	assert_true(slice_eq(f->value, slice_str(value)));
}

static void assert_passes(struct fixture *fx)
{
	enum filter_verdict v = jwt_auth_request(&fx->auth, &fx->req);

	if (v != FILTER_NEXT)
		fail_msg("refused: %s", fx->req.verdict);
}

static void assert_challenged(struct fixture *fx, const char *verdict, const char *value)
{
	assert_int_equal(jwt_auth_request(&fx->auth, &fx->req), FILTER_REPLY);
	assert_string_equal(fx->req.verdict, verdict);
	assert_int_equal(fx->req.reply.status, 401);
	assert_int_equal(fx->req.reply.n_fields, 1);
	assert_true(slice_eq(fx->req.reply.fields[0].name, SLICE("WWW-Authenticate")));
	assert_true(slice_eq(fx->req.reply.fields[0].value, slice_str(value)));
	assert_int_equal(fx->req.consumer.len, 0);
}

#define MALFORMED                                                                                  \
	"Bearer realm=\"edge\", error=\"invalid_token\", "                                         \
	"error_description=\"the token is malformed\""

static void test_good_token_passes_and_sets_fields(void **state)
{
	struct fixture *fx = *state;

	for (int i = 0; i < 2; i++) { /* verified, then from the cache */
		start_request(fx, WALL);
		bearer(fx, PAYLOAD);
		/* A new ECDSA signature each time: only the second request with the same one is a hit. */
		assert_passes(fx);
		start_request(fx, WALL);
		field(fx, "authorization", fx->bearer);
		field(fx, "X-User", "mallory");
		assert_passes(fx);
		assert_field(fx, "X-User", "alice");
		assert_field(fx, "X-Role", "dev");
		assert_field(fx, "Authorization", fx->bearer);
		assert_true(slice_eq(fx->req.consumer, SLICE("alice")));
		assert_int_equal(jwt_cache_count(fx->req.tokens), i + 1);
	}
}

static void test_cached_values_outlive_the_cache(void **state)
{
	struct fixture *fx = *state;

	bearer(fx, PAYLOAD);
	assert_passes(fx);
	start_request(fx, WALL);
	field(fx, "Authorization", fx->bearer);
	assert_passes(fx);
	jwt_cache_free(fx->req.tokens);
	fx->req.tokens = NULL;
	assert_field(fx, "X-User", "alice");
	assert_true(slice_eq(fx->req.consumer, SLICE("alice")));
}

static void test_cached_token_expires(void **state)
{
	struct fixture *fx = *state;

	bearer(fx, PAYLOAD);
	assert_passes(fx);
	start_request(fx, 1700000100ULL * NSEC_PER_SEC);
	field(fx, "Authorization", fx->bearer);
	assert_challenged(fx, "jwt_expired",
			  "Bearer realm=\"edge\", error=\"invalid_token\", "
			  "error_description=\"the token has expired\"");
	assert_int_equal(jwt_cache_count(fx->req.tokens), 0);
}

static void test_other_keys_do_not_reuse_the_cache(void **state)
{
	struct fixture *fx = *state;
	struct signer other;
	struct jwt_key *key = NULL;

	bearer(fx, PAYLOAD);
	assert_passes(fx);
	signer_init(&other, "ES256");
	assert_int_equal(
		jwt_key_new(SLICE(""), SLICE("ES256"), signer_material(&other), NULL, &key), 0);
	fx->issuer.keys = &key;
	assert_int_equal(jwt_auth_prepare(&fx->auth, &fx->arena), 0);
	start_request(fx, WALL);
	field(fx, "Authorization", fx->bearer);
	assert_challenged(fx, "jwt_bad_signature",
			  "Bearer realm=\"edge\", error=\"invalid_token\", "
			  "error_description=\"the signature is wrong\"");
	jwt_key_free(key);
	signer_fini(&other);
}

static void test_without_token_there_is_no_error_attribute(void **state)
{
	struct fixture *fx = *state;

	field(fx, "X-User", "mallory");
	assert_challenged(fx, "jwt_missing", "Bearer realm=\"edge\"");
	assert_field(fx, "X-User", NULL);
	start_request(fx, WALL);
	field(fx, "Authorization", "Basic YTpi");
	assert_challenged(fx, "jwt_missing", "Bearer realm=\"edge\"");
}

static void test_malformed_credentials(void **state)
{
	static const char *const values[] = {"Bearer", "Bearer ", "Bearer a b", "bearer a.b.c"};
	struct fixture *fx = *state;

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		start_request(fx, WALL);
		field(fx, "Authorization", values[i]);
		assert_challenged(fx, "jwt_malformed", MALFORMED);
	}
	start_request(fx, WALL);
	bearer(fx, PAYLOAD);
	field(fx, "Authorization", fx->bearer);
	assert_challenged(fx, "jwt_malformed", MALFORMED);
}

static void test_scheme_is_case_insensitive(void **state)
{
	struct fixture *fx = *state;

	bearer(fx, PAYLOAD);
	memcpy(fx->bearer, "bEARER", 6);
	assert_passes(fx);
}

static void test_missing_claim_leaves_no_field(void **state)
{
	struct fixture *fx = *state;

	for (int i = 0; i < 2; i++) {
		if (i == 0)
			bearer(fx, "{\"exp\":1700000100}");
		else
			field(fx, "Authorization", fx->bearer);
		field(fx, "X-Role", "admin");
		assert_passes(fx);
		assert_field(fx, "X-Role", NULL);
		assert_field(fx, "X-User", NULL);
		assert_int_equal(fx->req.consumer.len, 0);
		start_request(fx, WALL);
	}
}

static void test_claims_cannot_split_the_head(void **state)
{
	struct fixture *fx = *state;

	bearer(fx, "{\"exp\":1700000100,\"role\":\"a\\r\\nX-Admin: 1\"}");
	assert_challenged(fx, "jwt_bad_claim",
			  "Bearer realm=\"edge\", error=\"invalid_token\", "
			  "error_description=\"a claim has a value that cannot be used\"");
	assert_int_equal(jwt_cache_count(fx->req.tokens), 0);
}

static void test_strip_removes_the_token(void **state)
{
	struct fixture *fx = *state;

	fx->auth.strip = true;
	bearer(fx, PAYLOAD);
	assert_passes(fx);
	assert_field(fx, "Authorization", NULL);
	assert_field(fx, "X-User", "alice");
}

static void test_no_room_for_the_fields(void **state)
{
	struct fixture *fx = *state;

	bearer(fx, PAYLOAD);
	while (http_head_add(&fx->head, SLICE("X-Fill"), SLICE("x")) == 0)
		;
	assert_int_equal(jwt_auth_request(&fx->auth, &fx->req), FILTER_REPLY);
	assert_int_equal(fx->req.reply.status, 431);
	assert_string_equal(fx->req.verdict, "jwt_too_many_fields");
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_good_token_passes_and_sets_fields),
		TEST(test_cached_values_outlive_the_cache),
		TEST(test_cached_token_expires),
		TEST(test_other_keys_do_not_reuse_the_cache),
		TEST(test_without_token_there_is_no_error_attribute),
		TEST(test_malformed_credentials),
		TEST(test_scheme_is_case_insensitive),
		TEST(test_missing_claim_leaves_no_field),
		TEST(test_claims_cannot_split_the_head),
		TEST(test_strip_removes_the_token),
		TEST(test_no_room_for_the_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
