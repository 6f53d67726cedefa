/* SPDX-License-Identifier: Apache-2.0 */
/* A ring of messages from one thread to another: bytes with a tag, in order, without a lock and without waiting. */
#ifndef OBSERVE_SPSC_H
#define OBSERVE_SPSC_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

struct spsc {
	char *data;
	size_t size; /* a power of two */
	/* Positions only grow; what they are modulo size is the place. The writer's: */
	size_t tail __attribute__((aligned(64)));
	size_t head_seen; /* what was read, as of the last look */
	/* The reader's: */
	size_t head __attribute__((aligned(64)));
	size_t tail_seen;
};

/* A message may be torn in two by the end of the ring. */
struct spsc_message {
	void *tag;
	struct slice parts[2];
};

/* Memory is taken as it is first used. 0 or -ENOMEM. */
int spsc_init(struct spsc *s, size_t size);
void spsc_fini(struct spsc *s);

/* By the writer: false when there is no room. */
bool spsc_put(struct spsc *s, void *tag, struct slice message);

/* By the writer: more than half of the ring waits to be read. */
bool spsc_half_full(struct spsc *s);

/* By the reader: look at the writer's progress. spsc_get goes as far as this and not farther. */
void spsc_look(struct spsc *s);

/* By the reader: the oldest message; false: there is none. Its bytes stay until spsc_next. */
bool spsc_get(const struct spsc *s, struct spsc_message *ret);
void spsc_next(struct spsc *s);

#endif
