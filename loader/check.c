/* SPDX-License-Identifier: Apache-2.0 */
/* sluice check: the configuration file as sluiced sees it, filters, key files and feeds included. */
#include <jansson.h>
#include <stdio.h>

#include "base/slice.h"
#include "daemon/assemble.h"
#include "loader/command.h"

static void print_json(const char *file, const struct conf_diag *diag)
{
	struct slice text = buf_slice(&diag->text);
	json_t *errors = json_array();
	json_t *all;

	while (text.len) {
		struct slice line = slice_cut(&text, '\n');

		json_array_append_new(errors, command_text(line));
	}
	all = json_pack("{s:o, s:b, s:o}", "file", command_text(slice_str(file)), "ok",
			diag->errors == 0, "errors", errors);
	command_print(all);
	json_decref(all);
}

enum status cmd_check(const struct options *o)
{
	struct conf_diag diag;
	int rc;

	conf_diag_init(&diag);
	rc = assemble_check(o->file, &diag);
	if (o->json)
		print_json(o->file, &diag);
	else if (rc < 0)
		conf_diag_print(&diag, stderr);
	else
		printf("%s: no errors\n", o->file);
	conf_diag_fini(&diag);
	return command_shown(rc < 0 ? STATUS_FAILED : STATUS_DONE);
}
