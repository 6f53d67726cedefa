/* SPDX-License-Identifier: Apache-2.0 */
/* The access log: a JSON object a line for each request that is over. */
#ifndef OBSERVE_ACCESS_LOG_H
#define OBSERVE_ACCESS_LOG_H

#include "observe/log_writer.h"

/* What a route says about its log; immutable once it serves. */
struct access_log {
	bool enabled;
	bool query;	       /* the path with its query */
	struct slice path;     /* of the file */
	struct log_file *file; /* set before it serves */
};

/*
 * A slice whose ptr is NULL becomes null. What comes from outside may hold any bytes; what is marked safe holds nothing
 * that JSON would escape.
 */
struct access_record {
	uint64_t wall;	     /* CLOCK_REALTIME ns: when it was over */
	struct slice client; /* safe: an address */
	unsigned int client_port;
	struct slice method; /* safe: a token of RFC 9110 */
	struct slice path;
	struct slice host;
	struct slice user_agent;
	struct slice route;
	struct slice service;
	struct slice upstream;
	struct slice request_id; /* safe: hexadecimal */
	struct slice consumer;
	struct slice verdict; /* safe: a literal of ours */
	unsigned int status;  /* 0: nothing was answered */
	uint64_t bytes_in;
	uint64_t bytes_out;
	uint64_t duration; /* ns */
	bool forwarded;	   /* upstream_time says something */
	uint64_t upstream_time;
};

/* By a worker. */
void access_log_write(const struct access_log *l, struct log_source *s,
		      const struct access_record *r);

/* The line itself, for tests: returns where it ends in s->line. */
char *access_log_format(struct log_source *s, const struct access_record *r);

#endif
