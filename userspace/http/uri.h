/* SPDX-License-Identifier: Apache-2.0 */
/* Paths as routing sees them: one spelling for one resource, and none that upstreams read differently. */
#ifndef HTTP_URI_H
#define HTTP_URI_H

#include <stdbool.h>

#include "base/slice.h"

enum uri_status {
	URI_SAME,    /* already in normal form, nothing written: the fast path */
	URI_CHANGED, /* *ret_path is the normal form, in out */
	URI_BAD, /* encoded '/', '\\' or NUL, a bad escape, '\\' or a control character, or ".." above the root: 400 */
};

/*
 * RFC 3986, section 6.2.2: unreserved characters are decoded, the hexadecimal of other escapes is upper case, "."
 * and ".." segments are resolved, repeated slashes merged. path starts with '/'; out holds path.len bytes.
 */
enum uri_status uri_normalize(struct slice path, char *out, struct slice *ret_path);

/* Host without port, in lower case without trailing dot, into out (host.len bytes); brackets of IPv6 stay. */
struct slice uri_host(struct slice host, char *out);

/* Is it uri-host [ ":" port ] (RFC 9110, section 7.2)? */
bool uri_host_valid(struct slice host);

#endif
