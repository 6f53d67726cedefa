/* SPDX-License-Identifier: Apache-2.0 */
/* From a file to a struct config: the option tables of everything but the filters, and what ties names together. */
#ifndef CONF_LOAD_H
#define CONF_LOAD_H

#include "conf/config.h"
#include "conf/node.h"
#include "conf/schema.h"

/*
 * 0, or -errno with every error in diag. Then *ret_cfg is NULL or, with -EINVAL, as much as could be read, for whoever
 * looks for further errors in it. The caller frees it with config_free in any case. Filters are carried as nodes:
 * their registry checks their options.
 */
int config_load(const char *path, struct conf_diag *diag, struct config **ret_cfg);

/* The same from memory; path is for messages and relative file names, and must live as long as diag. */
int config_load_text(const char *path, struct slice text, struct conf_diag *diag,
		     struct config **ret_cfg);

/* The whole file but the filters, for the manual. */
extern const struct conf_table conf_file_table;

void config_free(struct config *cfg);

#endif
