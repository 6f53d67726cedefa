/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines from the workers to files: each worker hands them over without a lock and never waits, one thread writes them
 * in batches. A line for which there is no room is dropped and counted.
 */
#ifndef OBSERVE_LOG_WRITER_H
#define OBSERVE_LOG_WRITER_H

#include "base/error.h"
#include "metrics/metrics.h"
#include "observe/log_file.h"
#include "observe/spsc.h"

struct log_writer;

/* A worker's end. */
struct log_source {
	struct spsc ring;
	struct log_writer *writer;
	struct metrics_thread *count;
	uint64_t clock_sec; /* what clock_text says, seconds since the epoch */
	char clock_text[20];
	char line[49152];
};

/* m has cells for n_sources workers and, behind them, the writer. NULL: out of memory. */
struct log_writer *log_writer_new(struct metrics *m, unsigned int n_sources);

/* When no worker writes any more: all lines go out, as far as that is possible within a second. NULL is fine. */
void log_writer_free(struct log_writer *w);

/*
 * A file to write to, by its path; the thread starts with the first. Once a file is released its last lines are
 * written and it is closed. Not for workers. 0 or -errno.
 */
int log_writer_file(struct log_writer *w, struct slice path, struct error *err,
		    struct log_file **ret_file);
void log_writer_release(struct log_writer *w, struct log_file *f);

/* Open all files by their names again. */
void log_writer_reopen(struct log_writer *w);

struct log_source *log_writer_source(struct log_writer *w, unsigned int index);

/* By the worker: a line with its newline. Dropped and counted when there is no room. */
void log_source_put(struct log_source *s, struct log_file *f, struct slice line);

#endif
