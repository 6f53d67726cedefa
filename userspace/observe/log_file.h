/* SPDX-License-Identifier: Apache-2.0 */
/* A file, pipe or socket that lines are appended to: never waits, retries what failed, bounded in memory. */
#ifndef OBSERVE_LOG_FILE_H
#define OBSERVE_LOG_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/list.h"

struct log_file {
	struct list node; /* in the writer's list */
	unsigned int refs;
	char *path;
	int fd; /* -1: to be opened when retry_at has come */
	bool is_socket;
	bool torn;	    /* of the first line in pending a part has been written */
	bool failing;	    /* the last operation failed: said once, and once when it is over */
	bool blocked;	    /* poll for POLLOUT */
	uint64_t retry_at;  /* CLOCK_MONOTONIC ns; 0: at once */
	unsigned int lost;  /* lines torn for good; the owner counts and clears it */
	struct buf pending; /* whole lines, but for the first one when torn */
};

/* 0, also when a pipe has no reader yet; or -errno. */
int log_file_open(const char *path, struct error *err, struct log_file **ret_file);
void log_file_free(struct log_file *f);

/* Append a line that may come in two parts. False: there is no room, it is lost. */
bool log_file_add(struct log_file *f, struct slice a, struct slice b);

/* Write what is pending as far as it goes without waiting. False: something failed anew. */
bool log_file_flush(struct log_file *f, uint64_t now);

/* Open the path again, for the name may have moved to another file. */
void log_file_reopen(struct log_file *f, uint64_t now);

#endif
