/* SPDX-License-Identifier: Apache-2.0 */
/* From a configuration file to a snapshot: the only builder that knows all modules. */
#ifndef DAEMON_ASSEMBLE_H
#define DAEMON_ASSEMBLE_H

#include "base/error.h"
#include "conf/node.h"
#include "proxy/snapshot.h"

/*
 * Load, check and compile. 0, or -errno with every error, each with its place, in diag: nothing was built
 * then. The caller holds the first reference.
 */
int assemble(const char *path, uint64_t generation, struct conf_diag *diag,
	     struct snapshot **ret_snap);

/* The same to find errors, those of the files of feeds among them: nothing is built. */
int assemble_check(const char *path, struct conf_diag *diag);

/*
 * Give a snapshot that will serve what its requests count in and open the files that they are logged to. Both must
 * outlive it. 0 or -errno; the snapshot is to be freed then.
 */
int assemble_attach(struct snapshot *snap, struct metrics *m, struct log_writer *logs,
		    struct error *err);

/* Free a snapshot that nobody refers to but the caller. NULL is fine. */
void assemble_free(struct snapshot *snap);

#endif
