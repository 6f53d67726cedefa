/* SPDX-License-Identifier: Apache-2.0 */
/* Any line of text: a verdict, nothing, or an error in words; what is taken is a prefix with texts that end. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "conf/cidr.h"
#include "edge/bans.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct edge_ban ban = {.ttl = 1, .by = "me"};
	struct error err = {0};
	char *line = malloc(size ? size : 1); /* ends with the line, for ASan */
	char text[CONF_CIDR_TEXT];
	struct conf_cidr again;
	int rc;

	assert(line);
	memcpy(line, data, size);
	rc = edge_ban_parse(slice_make(line, size), &ban, &err);
	free(line);
	assert(rc == 1 || rc == 0 || rc == -EINVAL);
	assert((rc == -EINVAL) == (err.text[0] != '\0'));
	if (rc != 1) {
		assert(ban.ttl == 1 && ban.cidr.family == 0 && strcmp(ban.by, "me") == 0);
		return 0;
	}
	assert(ban.ttl > 0);
	assert(memchr(ban.by, 0, sizeof(ban.by)) && memchr(ban.why, 0, sizeof(ban.why)));
	conf_cidr_format(&ban.cidr, text);
	assert(!conf_cidr_parse(slice_str(text), &again));
	assert(conf_cidr_compare(&again, &ban.cidr) == 0);
	return 0;
}
