/* SPDX-License-Identifier: Apache-2.0 */
/* Canary: which service of a weighted split serves a request. */
#ifndef ROUTE_SPLIT_H
#define ROUTE_SPLIT_H

#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "conf/config.h"
#include "http/message.h"

/*
 * Index into config.services. turn counts this route's requests: the shares hold over any stretch of them, not only on
 * average. With sticky set, the header's or cookie's value decides instead, the same everywhere for one key.
 */
size_t split_pick(const struct conf_route *route, const struct http_head *head, uint64_t turn,
		  const struct hash_key *key);

#endif
