/* SPDX-License-Identifier: Apache-2.0 */
/* Text as JSON strings (RFC 8259, section 7), whatever bytes it holds: what is not UTF-8 becomes U+FFFD. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/buf.h"
#include "base/slice.h"

#define JSON_ESCAPED_MAX(len) (6 * (len)) /* bytes that len bytes can become */

/* Without the quotes. out has room for JSON_ESCAPED_MAX(in.len). Returns where it ended. */
char *json_escape(char *out, struct slice in);

/* Quoted. */
void json_put(struct buf *out, struct slice in);

#endif
