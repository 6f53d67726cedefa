/* SPDX-License-Identifier: Apache-2.0 */
/* Every filter there is: adding one takes its file, a line in filter_types.h and two here. */
#include "filter/filter_types.h"

static const struct filter_type *const types[] = {
	&filter_access_log,
	&filter_jwt,
};

static const char *const names[] = {
	"access_log",
	"jwt",
	NULL,
};

#define N_TYPES (sizeof(types) / sizeof(types[0]))

_Static_assert(sizeof(names) / sizeof(names[0]) == N_TYPES + 1, "a name for each type");

const struct filter_type *filter_find(struct slice name)
{
	for (size_t i = 0; i < N_TYPES; i++) {
		if (slice_eq(slice_str(names[i]), name))
			return types[i];
	}
	return NULL;
}

const char *const *filter_names(void)
{
	return names;
}
