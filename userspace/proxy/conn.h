/* SPDX-License-Identifier: Apache-2.0 */
/* One client connection and the request that it is busy with: HTTP/1 has one at a time. */
#ifndef PROXY_CONN_H
#define PROXY_CONN_H

#include <netinet/in.h>

#include "proxy/body.h"
#include "proxy/proxy.h"

enum conn_state {
	CONN_HEAD,   /* gathering a request head */
	CONN_BUSY,   /* a request is being answered; its body may still be coming */
	CONN_FLUSH,  /* the last answer is being written */
	CONN_LINGER, /* answered and shut down; discarding what the peer still sends */
};

/* What the access log says of a request head, which does not live as long as the request. In its arena. */
struct conn_head {
	struct slice method;
	struct slice path;
	struct slice host;
	struct slice user_agent;
};

struct conn {
	struct stream stream;
	struct list node; /* in proxy.conns */
	struct proxy *proxy;
	struct proxy_listener *listener;
	struct timer timer;
	enum conn_state state;
	struct buf in;	  /* received, not yet used */
	size_t scanned;	  /* of in, for the end of a head */
	bool input_ended; /* the client has sent FIN */
	bool running;	  /* conn_run is on the stack: it will see what changes */
	struct sockaddr_storage peer;
	struct slice client; /* the peer's address, in client_text */
	char client_text[INET6_ADDRSTRLEN];
	uint16_t port; /* connected to, host order */
	struct {
		uint64_t headers;
		uint64_t idle;
		uint64_t max_head;
		uint64_t max_requests;
	} limits;
	uint64_t n_requests;

	/* The request in progress, valid in CONN_BUSY. */
	struct worker_snapshot *snapshot;
	const struct conf_route *route;
	const struct conf_service *service; /* NULL: not forwarded */
	const struct conf_endpoint *endpoint;
	struct arena arena;
	struct upstream_conn *up;
	struct pool *pool;
	struct pool_waiter waiter; /* for a connection to the upstream */
	struct buf up_in;	   /* an upstream head that came in pieces */
	struct buf
		up_head; /* the request head as sent, kept until the answer begins, to send it again */
	size_t up_scanned;
	struct body request_body;
	struct body response_body;
	uint64_t started;     /* CLOCK_MONOTONIC ns; */
	uint64_t up_started;  /* an endpoint was chosen, */
	uint64_t up_answered; /* the head of its answer came, if it did */
	bool keep_alive;
	bool client_10; /* an HTTP/1.0 client: no chunks, no 1xx */
	bool is_head;	/* HEAD: no body in the answer */
	bool may_retry; /* idempotent and without a body */
	bool trailers;	/* the client takes trailers */
	bool answered;	/* the response head has been written */
	bool up_keep;	/* the upstream connection can be used again */
	bool up_failed;
	bool up_retried;
	const struct access_log *log;	  /* NULL: the request is not logged */
	const struct conn_head *log_head; /* NULL: there was none, or no room for it */
	struct slice consumer;		  /* in the arena; who the request was authenticated as */
	const char *verdict; /* why the gateway itself ended the request: a literal, or NULL */
	unsigned int status;
	char request_id[32];
};

/* conn.c: the answer has been written whole: on to the next request, or to the end of the connection. */
void conn_finish(struct conn *c, bool keep);
void conn_close(struct conn *c);

/* Use what has been received as far as it goes now; then read on where the other side has room. */
void conn_run(struct conn *c);

/* Something moved: the deadline for the next move. */
void conn_progress(struct conn *c);

/* request.c: a head has been parsed into proxy.request: route, filter, forward or answer it. */
void request_start(struct conn *c);

/* The same where there is no head: what came is refused, and the connection will end. */
void request_refuse(struct conn *c, unsigned int status, const char *verdict);

/* account.c: the request is over, answered or not. */
void account_request(struct conn *c);

/* The request will be logged as l says: remember of its head what that needs. h: NULL without one; l: NULL to forget. */
void account_log(struct conn *c, const struct access_log *l, struct http_head *h);

/* reply.c: an answer of the gateway's own, which ends the request. fields may be NULL when n_fields is 0. */
void reply_send(struct conn *c, unsigned int status, struct slice body,
		const struct http_field *fields, size_t n_fields);

/* The same with a body made from the status. verdict: why, for the log; a literal. */
void reply_error(struct conn *c, unsigned int status, const char *verdict);

/* forward.c: send proxy.request to an endpoint of the service; the answer comes back by itself. */
void forward_start(struct conn *c, struct slice target);

/* The upstream did not answer, or nothing moved, in time. */
void forward_timeout(struct conn *c);

/* The client has gone: give up the upstream connection. */
void forward_abort(struct conn *c);

#endif
