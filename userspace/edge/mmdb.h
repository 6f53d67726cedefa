/* SPDX-License-Identifier: Apache-2.0 */
/* Country and autonomous system sets from databases of the MaxMind format (https://maxmind.github.io/MaxMind-DB/). */
#ifndef EDGE_MMDB_H
#define EDGE_MMDB_H

#include "base/error.h"
#include "conf/config.h"
#include "edge/feed.h"

/*
 * Append the networks of the database whose country (country.iso_code) or system (autonomous_system_number) the feed names, as
 * the set. -ENODATA: one of them has none, which a typing error or another kind of database would look like; other errors:
 * not readable, damaged, -ENOMEM.
 */
int mmdb_load(const struct conf_feed *feed, uint8_t set, struct feed_entries *out,
	      struct error *err);

#endif
