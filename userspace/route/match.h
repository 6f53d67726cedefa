/* SPDX-License-Identifier: Apache-2.0 */
/* What a route asks of a request beyond host and path: headers, cookies, the method. */
#ifndef ROUTE_MATCH_H
#define ROUTE_MATCH_H

#include <stdbool.h>

#include "conf/config.h"
#include "http/message.h"

bool match_conditions(const struct conf_match *m, const struct http_head *head);
bool match_method(const struct conf_match *m, struct slice method);

/* A bit (1 << enum http_method) for each known method that the route takes. */
unsigned int match_method_bits(const struct conf_match *m);

#endif
