/* SPDX-License-Identifier: Apache-2.0 */
/* Text encodings of bytes: base64url (RFC 4648, section 5) and hexadecimal. */
#ifndef BASE_CODEC_H
#define BASE_CODEC_H

#include <stddef.h>
#include <sys/types.h>

#include "base/slice.h"

/* Bytes that len characters of unpadded base64url can hold at most. */
#define CODEC_B64URL_DECODED_MAX(len) ((len) / 4 * 3 + 3)

/*
 * Decode strict, unpadded base64url (RFC 7515, section 2): no padding, no white space, unused bits zero.
 * out holds CODEC_B64URL_DECODED_MAX(in.len) bytes. Returns the bytes written or -EINVAL.
 */
ssize_t codec_b64url_decode(struct slice in, unsigned char *out);

/* Write 2 * n lower-case digits to out (no NUL). */
void codec_hex(const unsigned char *in, size_t n, char *out);

#endif
