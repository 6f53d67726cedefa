/* SPDX-License-Identifier: Apache-2.0 */
#include "filter/jwt.h"

#include <errno.h>
#include <stdio.h>

#include <openssl/evp.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/codec.h"

/* Seconds after which a date does not fit into 64 bits of nanoseconds; such a date is "never". */
#define MAX_SECONDS (UINT64_MAX / NSEC_PER_SEC)

static const struct {
	const char *name;
	const char *text;
} results[JWT_RESULTS] = {
	[JWT_OK] = {"jwt_ok", "the token is good"},
	[JWT_MALFORMED] = {"jwt_malformed", "the token is malformed"},
	[JWT_CRITICAL] = {"jwt_critical", "the token needs an unknown extension"},
	[JWT_WRONG_ISSUER] = {"jwt_wrong_issuer", "the issuer is not accepted"},
	[JWT_UNKNOWN_KEY] = {"jwt_unknown_key", "no key for this algorithm and key id"},
	[JWT_BAD_SIGNATURE] = {"jwt_bad_signature", "the signature is wrong"},
	[JWT_BAD_CLAIM] = {"jwt_bad_claim", "a claim has a value that cannot be used"},
	[JWT_NO_EXPIRY] = {"jwt_no_expiry", "the token has no expiry"},
	[JWT_EXPIRED] = {"jwt_expired", "the token has expired"},
	[JWT_NOT_YET] = {"jwt_not_yet", "the token is not valid yet"},
	[JWT_WRONG_AUDIENCE] = {"jwt_wrong_audience", "the token is for another audience"},
	[JWT_NO_MEMORY] = {"jwt_no_memory", "the token cannot be checked now"},
};

/* The three parts as they stand in the token, and the two first decoded. */
struct parsed {
	struct slice input; /* what is signed: header, dot, payload */
	struct slice sig;
	json_t *header;
	json_t *payload;
};

const char *jwt_result_name(enum jwt_result r)
{
	return results[r].name;
}

const char *jwt_result_text(enum jwt_result r)
{
	return results[r].text;
}

/* A member that must be a string if it is there; its ptr stays NULL when it is not. */
static bool get_string(const json_t *object, const char *name, struct slice *ret_value)
{
	const json_t *value = json_object_get(object, name);

	if (!value)
		return true;
	if (!json_is_string(value))
		return false;
	*ret_value = slice_make(json_string_value(value), json_string_length(value));
	return true;
}

static json_t *decode_object(struct slice part)
{
	unsigned char text[CODEC_B64URL_DECODED_MAX(JWT_MAX_TOKEN)];
	ssize_t len = codec_b64url_decode(part, text);
	json_t *object;

	if (len <= 0)
		return NULL;
	object = json_loadb((const char *)text, (size_t)len, JSON_REJECT_DUPLICATES, NULL);
	if (object && !json_is_object(object)) {
		json_decref(object);
		return NULL;
	}
	return object;
}

static void parsed_fini(struct parsed *p)
{
	json_decref(p->header);
	json_decref(p->payload);
}

static bool parse(struct slice token, struct parsed *p)
{
	struct slice rest = token;
	struct slice header, payload;

	if (token.len > JWT_MAX_TOKEN)
		return false;
	header = slice_cut(&rest, '.');
	payload = slice_cut(&rest, '.');
	/* Another dot is refused as a digit that base64url does not have. */
	p->sig = rest;
	if (!header.len || !payload.len || !p->sig.len)
		return false;
	p->input = slice_first(token, header.len + 1 + payload.len);
	p->header = decode_object(header);
	p->payload = p->header ? decode_object(payload) : NULL;
	return p->payload;
}

/* NumericDate (RFC 7519, section 2), fractions allowed; absent: *ret_ns stays. */
static bool get_date(const json_t *payload, const char *name, uint64_t *ret_ns)
{
	const json_t *value = json_object_get(payload, name);
	double seconds;

	if (!value)
		return true;
	if (!json_is_number(value))
		return false;
	seconds = json_number_value(value);
	if (seconds < 0)
		*ret_ns = 0;
	else if (seconds >= (double)MAX_SECONDS)
		*ret_ns = UINT64_MAX;
	else if (json_is_integer(value))
		*ret_ns = (uint64_t)json_integer_value(value) * NSEC_PER_SEC;
	else
		*ret_ns = (uint64_t)(seconds * (double)NSEC_PER_SEC);
	return true;
}

static uint64_t add_saturated(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static enum jwt_result check_dates(const struct jwt_policy *p, const json_t *payload, uint64_t wall,
				   uint64_t *ret_expires)
{
	uint64_t exp = UINT64_MAX;
	uint64_t nbf = 0;

	if (!get_date(payload, "exp", &exp) || !get_date(payload, "nbf", &nbf))
		return JWT_BAD_CLAIM;
	if (p->require_exp && !json_object_get(payload, "exp"))
		return JWT_NO_EXPIRY;
	exp = add_saturated(exp, p->leeway);
	if (wall >= exp)
		return JWT_EXPIRED;
	if (nbf > add_saturated(wall, p->leeway))
		return JWT_NOT_YET;
	*ret_expires = exp;
	return JWT_OK;
}

static bool is_one_of(const struct conf_strings *set, const json_t *value)
{
	struct slice s = slice_make(json_string_value(value), json_string_length(value));

	for (size_t i = 0; json_is_string(value) && i < set->n; i++) {
		if (slice_eq(set->items[i], s))
			return true;
	}
	return false;
}

/* RFC 7519, section 4.1.3: one string, or an array of strings. */
static bool check_audience(const struct conf_strings *accepted, const json_t *payload)
{
	const json_t *aud = json_object_get(payload, "aud");
	const json_t *item;
	size_t i;

	if (!accepted->n)
		return true;
	json_array_foreach(aud, i, item)
	{
		if (is_one_of(accepted, item))
			return true;
	}
	return is_one_of(accepted, aud);
}

/* Find the key of one issuer that made the signature. */
static enum jwt_result check_signature(const struct jwt_issuer *issuer, const struct parsed *t,
				       struct slice sig)
{
	enum jwt_result result = JWT_UNKNOWN_KEY;
	struct slice alg = {0};
	struct slice kid = {0};

	if (!get_string(t->header, "alg", &alg) || !get_string(t->header, "kid", &kid) || !alg.ptr)
		return JWT_MALFORMED;
	for (size_t i = 0; i < issuer->n_keys; i++) {
		const struct jwt_key *key = issuer->keys[i];
		struct slice id = jwt_key_id(key);

		if (!slice_eq(jwt_key_algorithm(key), alg))
			continue;
		if (kid.ptr && id.len && !slice_eq(id, kid))
			continue;
		if (jwt_key_verify(key, t->input, sig))
			return JWT_OK;
		result = JWT_BAD_SIGNATURE;
	}
	return result;
}

static enum jwt_result check_issuer(const struct jwt_policy *p, const struct jwt_issuer *issuer,
				    const struct parsed *t, struct slice sig, uint64_t wall,
				    uint64_t *ret_expires)
{
	struct slice iss = {0};
	enum jwt_result result;

	if (!get_string(t->payload, "iss", &iss))
		return JWT_BAD_CLAIM;
	if (issuer->issuer.len && !slice_eq(issuer->issuer, iss))
		return JWT_WRONG_ISSUER;
	result = check_signature(issuer, t, sig);
	if (result == JWT_OK)
		result = check_dates(p, t->payload, wall, ret_expires);
	if (result == JWT_OK && !check_audience(&issuer->audiences, t->payload))
		result = JWT_WRONG_AUDIENCE;
	return result;
}

enum jwt_result jwt_verify(const struct jwt_policy *p, struct slice token, uint64_t wall,
			   struct jwt_claims *ret_claims)
{
	unsigned char raw[CODEC_B64URL_DECODED_MAX(JWT_MAX_TOKEN)];
	_cleanup_(parsed_fini) struct parsed t = {0};
	enum jwt_result result = JWT_WRONG_ISSUER;
	uint64_t expires = 0;
	ssize_t len;

	if (!parse(token, &t))
		return JWT_MALFORMED;
	len = codec_b64url_decode(t.sig, raw);
	if (len < 0)
		return JWT_MALFORMED;
	if (json_object_get(t.header, "crit"))
		return JWT_CRITICAL;
	for (size_t i = 0; i < p->n_issuers; i++) {
		enum jwt_result r = check_issuer(p, &p->issuers[i], &t,
						 slice_make((const char *)raw, (size_t)len), wall,
						 &expires);

		if (r == JWT_OK) {
			*ret_claims = (struct jwt_claims){
				.root = take_ptr(t.payload),
				.expires = expires,
			};
			return JWT_OK;
		}
		/* Of several issuers that refuse it, the one that came furthest says why. */
		if (r > result || i == 0)
			result = r;
	}
	return result;
}

static bool is_printable(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			return false;
	}
	return true;
}

/* Append one value that is no array. JWT_BAD_CLAIM: not fit for a header; in_array: commas neither. */
static enum jwt_result put_scalar(struct buf *out, const json_t *v, bool in_array)
{
	const char *s = json_string_value(v);
	size_t len = json_string_length(v);
	int rc;

	switch (json_typeof(v)) {
	case JSON_STRING:
		if (!is_printable(s, len) || (in_array && memchr(s, ',', len)))
			return JWT_BAD_CLAIM;
		rc = buf_append(out, s, len);
		break;
	case JSON_INTEGER:
		rc = buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
		break;
	case JSON_REAL:
		rc = buf_printf(out, "%.17g", json_real_value(v));
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		rc = buf_puts(out, json_is_true(v) ? "true" : "false");
		break;
	default:
		return JWT_BAD_CLAIM;
	}
	return rc ? JWT_NO_MEMORY : JWT_OK;
}

static enum jwt_result put_value(struct buf *out, const json_t *value)
{
	enum jwt_result result = JWT_OK;
	const json_t *item;
	size_t i;

	if (!json_is_array(value))
		return put_scalar(out, value, false);
	json_array_foreach(value, i, item)
	{
		if (i && buf_puts(out, ","))
			return JWT_NO_MEMORY;
		result = put_scalar(out, item, true);
		if (result != JWT_OK)
			return result;
	}
	return JWT_OK;
}

enum jwt_result jwt_claim_text(const json_t *root, const char *claim, struct arena *arena,
			       struct slice *ret_text)
{
	const json_t *value = json_object_get(root, claim);
	enum jwt_result result;
	struct slice text = {0};
	struct buf out;

	if (!value || json_is_null(value) || json_is_object(value)) {
		*ret_text = text;
		return JWT_OK;
	}
	buf_init(&out, 2 * JWT_MAX_TOKEN);
	result = put_value(&out, value);
	if (result == JWT_OK) {
		text = arena_dup(arena, buf_slice(&out));
		if (text.ptr)
			*ret_text = text;
		else
			result = JWT_NO_MEMORY;
	}
	buf_fini(&out);
	return result;
}

/* The length goes first, so that no two lists of strings look alike. */
static bool digest_slice(EVP_MD_CTX *md, struct slice s)
{
	return EVP_DigestUpdate(md, &s.len, sizeof(s.len)) == 1 &&
	       EVP_DigestUpdate(md, s.ptr, s.len) == 1;
}

static bool digest_number(EVP_MD_CTX *md, uint64_t n)
{
	return EVP_DigestUpdate(md, &n, sizeof(n)) == 1;
}

static bool digest_strings(EVP_MD_CTX *md, const struct conf_strings *s)
{
	bool ok = digest_number(md, s->n);

	for (size_t i = 0; i < s->n; i++)
		ok = ok && digest_slice(md, s->items[i]);
	return ok;
}

static bool digest_issuer(EVP_MD_CTX *md, const struct jwt_issuer *issuer)
{
	bool ok = digest_slice(md, issuer->issuer) && digest_strings(md, &issuer->audiences) &&
		  digest_number(md, issuer->n_keys);

	for (size_t i = 0; i < issuer->n_keys; i++) {
		const struct jwt_key *k = issuer->keys[i];

		ok = ok && digest_slice(md, jwt_key_id(k)) &&
		     digest_slice(md, jwt_key_algorithm(k)) &&
		     EVP_DigestUpdate(md, jwt_key_fingerprint(k), JWT_KEY_FINGERPRINT_LEN) == 1;
	}
	return ok;
}

int jwt_policy_digest(const struct jwt_policy *p, const struct conf_strings *extra,
		      struct jwt_policy_id *ret_id)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	struct jwt_policy_id id;
	bool ok;

	ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 && digest_number(md, p->leeway) &&
	     digest_number(md, p->require_exp) && digest_strings(md, extra) &&
	     digest_number(md, p->n_issuers);
	for (size_t i = 0; i < p->n_issuers; i++)
		ok = ok && digest_issuer(md, &p->issuers[i]);
	ok = ok && EVP_DigestFinal_ex(md, id.digest, NULL) == 1;
	EVP_MD_CTX_free(md);
	if (!ok)
		return -ENOMEM;
	*ret_id = id;
	return 0;
}
