/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses and prefixes as people write them: "10.0.0.0/8", "2001:db8::1". */
#ifndef CONF_CIDR_H
#define CONF_CIDR_H

#include <netinet/in.h>

#include "base/slice.h"
#include "conf/config.h"

#define CONF_CIDR_TEXT (INET6_ADDRSTRLEN + 4) /* bytes of the longest text, its NUL included */

/* NULL, or why text is no address or prefix, as the end of a sentence that begins with it. */
const char *conf_cidr_parse(struct slice text, struct conf_cidr *ret);

/* A single address is written without its length. */
void conf_cidr_format(const struct conf_cidr *cidr, char ret[CONF_CIDR_TEXT]);

/* Whether all addresses of inner are outer's, too. */
bool conf_cidr_holds(const struct conf_cidr *outer, const struct conf_cidr *inner);

/* The prefix of this length around an address or a longer prefix. */
struct conf_cidr conf_cidr_around(const struct conf_cidr *cidr, uint8_t prefixlen);

/* "tcp/22", "udp/53". NULL, or why text is none, as above. */
const char *conf_port_parse(struct slice text, struct conf_port *ret);

/* For qsort and bsearch: family, then length, then bytes. */
int conf_cidr_compare(const struct conf_cidr *a, const struct conf_cidr *b);

#endif
