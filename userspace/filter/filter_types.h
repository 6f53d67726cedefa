/* SPDX-License-Identifier: Apache-2.0 */
/* The filters that the registry lists. */
#ifndef FILTER_FILTER_TYPES_H
#define FILTER_FILTER_TYPES_H

#include "filter/filter.h"

extern const struct filter_type filter_access_log;
extern const struct filter_type filter_jwt;

#endif
