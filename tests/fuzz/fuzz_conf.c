/* SPDX-License-Identifier: Apache-2.0 */
/* Any text: a configuration, or errors that say where. */
#include <assert.h>
#include <stdint.h>

#include "conf/load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf_diag diag;
	struct config *cfg = NULL;

	conf_diag_init(&diag);
	if (config_load_text("fuzz.yaml", slice_make((const char *)data, size), &diag, &cfg) < 0)
		assert(diag.errors > 0);
	config_free(cfg);
	conf_diag_fini(&diag);
	return 0;
}
