/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Public lists of addresses: a line an address, a prefix or a range ("192.0.2.1 - 192.0.2.9"); what follows '#' or ';' is a
 * comment. Sans I/O.
 */
#ifndef EDGE_NETSET_H
#define EDGE_NETSET_H

#include "base/error.h"
#include "base/slice.h"
#include "edge/feed.h"

/*
 * Append the entries of a line, none where it is empty, to those of *out, as the set. -EINVAL: it is no entry, -ENOMEM; *out is
 * sound, and may have some of them.
 */
int netset_line(struct slice line, uint8_t set, struct feed_entries *out, struct error *err);

/*
 * Append the entries of a text to those of *out, as the set. On failure *out has some of them and the error's text begins with
 * the line's number: "12: why". -EINVAL: what is no entry; -ENOMEM.
 */
int netset_parse(struct slice text, uint8_t set, struct feed_entries *out, struct error *err);

#endif
