/* SPDX-License-Identifier: Apache-2.0 */
/* Streams on a real ring: order, backpressure both ways, ends and errors, and no callback after the last. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "io/stream.h"
#include "tests/unit/io/loop.h"

#define OUT_MAX (1 << 20)

struct peer {
	struct stream stream;
	struct buf in;
	unsigned int n_data;
	unsigned int n_end;
	int end_error;
	unsigned int n_drained;
	unsigned int n_connected;
	int connect_error;
	bool closed;
	bool close_in_data;
	bool resume_in_data;
	struct peer *to;   /* what comes goes out there */
	struct peer *from; /* who is paused when we are full */
	int fd;		   /* the other side, not blocking */
};

static struct peer *peer_of(struct stream *s)
{
	struct peer *p = container_of(s, struct peer, stream);

	assert_false(p->closed);
	return p;
}

static void on_data(struct stream *s, struct slice bytes)
{
	struct peer *p = peer_of(s);

	assert_int_equal(p->n_end, 0);
	assert_false(s->closing);
	p->n_data++;
	if (p->to) {
		outq_put(stream_outq(&p->to->stream), bytes);
		assert_false(stream_out(&p->to->stream)->failed);
		stream_flush(&p->to->stream);
		if (stream_full(&p->to->stream))
			stream_pause(s);
		return;
	}
	assert_int_equal(buf_put(&p->in, bytes), 0);
	if (p->close_in_data)
		stream_close(s);
	if (p->resume_in_data)
		stream_resume(s);
}

static void on_end(struct stream *s, int error)
{
	struct peer *p = peer_of(s);

	assert_false(s->closing);
	p->n_end++;
	p->end_error = error;
}

static void on_drained(struct stream *s)
{
	struct peer *p = peer_of(s);

	p->n_drained++;
	if (p->from && !stream_full(s))
		stream_resume(&p->from->stream);
}

static void on_connected(struct stream *s, int error)
{
	struct peer *p = peer_of(s);

	p->n_connected++;
	p->connect_error = error;
}

static void on_closed(struct stream *s)
{
	peer_of(s)->closed = true;
}

static const struct stream_events events = {
	.data = on_data,
	.end = on_end,
	.drained = on_drained,
	.connected = on_connected,
	.closed = on_closed,
};

static void open_pair(struct peer *p)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
	*p = (struct peer){.fd = fds[1]};
	buf_init(&p->in, 64 << 20);
	stream_init(&p->stream, &ring, fds[0], OUT_MAX, &events);
}

static void fini(struct peer *p)
{
	stream_close(&p->stream);
	LOOP_UNTIL(p->closed);
	buf_fini(&p->in);
	if (p->fd >= 0)
		close(p->fd);
}

static void put(const struct peer *p, const char *text)
{
	assert_int_equal(write(p->fd, text, strlen(text)), (int)strlen(text));
}

static void test_data_in_order(void **state)
{
	struct peer p;

	(void)state;
	open_pair(&p);
	put(&p, "one");
	loop_turns(2);
	/* Nothing is read before it is asked for. */
	assert_int_equal(p.n_data, 0);
	stream_resume(&p.stream);
	LOOP_UNTIL(buf_len(&p.in) == 3);
	put(&p, " two");
	put(&p, " three");
	LOOP_UNTIL(buf_len(&p.in) == 13);
	assert_true(slice_eq(buf_slice(&p.in), SLICE("one two three")));
	fini(&p);
}

static void test_pause(void **state)
{
	char chunk[10000] = {0};
	size_t sent = 0;
	struct peer p;

	(void)state;
	open_pair(&p);
	stream_resume(&p.stream);
	put(&p, "a");
	LOOP_UNTIL(p.n_data == 1);
	stream_pause(&p.stream);
	/* The receive in flight may bring its share, and no more begins. */
	while (sent < 2 * STREAM_READ_AHEAD) {
		ssize_t n = write(p.fd, chunk, sizeof(chunk));

		if (n > 0)
			sent += (size_t)n;
		loop_turns(1);
		if (n < 0)
			break;
	}
	loop_turns(20);
	assert_in_range(buf_len(&p.in), 2, 1 + STREAM_READ_AHEAD);
	assert_true(buf_len(&p.in) < 1 + sent);
	stream_resume(&p.stream);
	LOOP_UNTIL(buf_len(&p.in) == 1 + sent);
	fini(&p);
}

/* A peer that has sent its FIN goes away altogether: told a second time, and nothing is sent any more. */
static void test_broken_after_end(void **state)
{
	struct peer p;

	(void)state;
	open_pair(&p);
	stream_resume(&p.stream);
	assert_int_equal(shutdown(p.fd, SHUT_WR), 0);
	LOOP_UNTIL(p.n_end == 1);
	assert_int_equal(p.end_error, 0);
	close(p.fd);
	p.fd = -1;
	buf_puts(stream_out(&p.stream), "late");
	stream_flush(&p.stream);
	LOOP_UNTIL(p.n_end == 2);
	assert_int_equal(p.end_error, EPIPE);
	buf_puts(stream_out(&p.stream), "later");
	stream_flush(&p.stream);
	loop_turns(3);
	assert_int_equal(p.n_end, 2);
	fini(&p);
}

/* 3 MiB in messages of all sizes from one connection to another whose peer reads by fits and starts. */
static void test_relay(void **state)
{
	static unsigned char chunk[100000], back[100000];
	size_t total = 3 << 20;
	size_t sent = 0, got = 0;
	struct peer in, out;

	(void)state;
	srandom(7);
	open_pair(&in);
	open_pair(&out);
	in.to = &out;
	out.from = &in;
	stream_resume(&in.stream);
	while (got < total) {
		size_t n = (size_t)random() % (random() % 4 ? sizeof(chunk) : 100) + 1;
		ssize_t rc;

		n = n < total - sent ? n : total - sent;
		for (size_t i = 0; i < n; i++)
			chunk[i] = (unsigned char)((sent + i) % 251);
		rc = n ? write(in.fd, chunk, n) : 0;
		sent += rc > 0 ? (size_t)rc : 0;
		assert_int_equal(ring_turn(&ring), 0);
		/* The mark, what was on its way when reading stopped, and the pieces of one go. */
		assert_true(outq_len(&out.stream.out[0]) + outq_len(&out.stream.out[1]) <=
			    STREAM_HIGH_WATER + STREAM_READ_AHEAD + RING_BUF_SIZE);
		if (random() % 3)
			continue;
		rc = read(out.fd, back, (size_t)random() % sizeof(back) + 1);
		for (ssize_t i = 0; i < rc; i++)
			if (back[i] != (unsigned char)((got + (size_t)i) % 251))
				fail_msg("byte %zu", got + (size_t)i);
		got += rc > 0 ? (size_t)rc : 0;
	}
	assert_int_equal(sent, total);
	/* A peer that ends in the middle of large messages is seen. */
	close(in.fd);
	in.fd = -1;
	LOOP_UNTIL(in.n_end == 1);
	fini(&in);
	fini(&out);
	assert_int_equal(ring.n_free + ring.n_offered, RING_BUF_COUNT);
}

/* Asked for again before the receive that ends is accounted for: nothing may stay in flight at the end. */
static void test_resume_in_callback(void **state)
{
	static const char chunk[STREAM_READ_AHEAD];
	struct peer p;

	(void)state;
	open_pair(&p);
	p.resume_in_data = true;
	stream_resume(&p.stream);
	assert_int_equal(write(p.fd, chunk, sizeof(chunk)), sizeof(chunk));
	LOOP_UNTIL(buf_len(&p.in) == sizeof(chunk));
	fini(&p);
}

/* Far more than the socket holds, to a peer that reads now and then. */
static void test_output(void **state)
{
	size_t sent = 0;
	size_t got = 0;
	size_t total = 8 << 20;
	struct peer p;
	char chunk[10000];
	char back[65536];

	(void)state;
	open_pair(&p);
	while (got < total) {
		ssize_t n;

		while (sent < total && !stream_full(&p.stream)) {
			for (size_t i = 0; i < sizeof(chunk); i++)
				chunk[i] = (char)((sent + i) % 251);
			assert_int_equal(buf_append(stream_out(&p.stream), chunk, sizeof(chunk)),
					 0);
			sent += sizeof(chunk);
			stream_flush(&p.stream);
		}
		assert_int_equal(ring_turn(&ring), 0);
		/* What is not taken stays bounded: the mark and one chunk. */
		assert_true(outq_len(&p.stream.out[0]) + outq_len(&p.stream.out[1]) <
			    STREAM_HIGH_WATER + sizeof(chunk));
		n = read(p.fd, back, sizeof(back));
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal((unsigned char)back[i], (got + (size_t)i) % 251);
		if (n > 0)
			got += (size_t)n;
	}
	LOOP_UNTIL(stream_idle(&p.stream));
	assert_true(p.n_drained > 0);
	assert_int_equal(got, sent);
	fini(&p);
}

static void test_end(void **state)
{
	struct peer p;

	(void)state;
	open_pair(&p);
	stream_resume(&p.stream);
	put(&p, "last");
	close(p.fd);
	p.fd = -1;
	LOOP_UNTIL(p.n_end == 1);
	assert_int_equal(p.end_error, 0);
	assert_int_equal(buf_len(&p.in), 4);
	stream_resume(&p.stream);
	loop_turns(3);
	assert_int_equal(p.n_end, 1);
	fini(&p);
}

/* Writing to a peer that has gone ends the stream, once, though reading sees it too. */
static void test_broken(void **state)
{
	struct peer p;

	(void)state;
	open_pair(&p);
	close(p.fd);
	p.fd = -1;
	buf_puts(stream_out(&p.stream), "x");
	stream_flush(&p.stream);
	stream_resume(&p.stream);
	LOOP_UNTIL(p.n_end == 1);
	loop_turns(3);
	assert_int_equal(p.n_end, 1);
	fini(&p);
}

static void test_shutdown(void **state)
{
	struct peer p;
	char back[16];

	(void)state;
	open_pair(&p);
	buf_puts(stream_out(&p.stream), "bye");
	stream_flush(&p.stream);
	assert_false(stream_idle(&p.stream));
	LOOP_UNTIL(stream_idle(&p.stream));
	stream_shutdown(&p.stream);
	assert_int_equal(read(p.fd, back, sizeof(back)), 3);
	assert_int_equal(read(p.fd, back, sizeof(back)), 0);
	/* The other direction is still open. */
	stream_resume(&p.stream);
	put(&p, "more");
	LOOP_UNTIL(buf_len(&p.in) == 4);
	fini(&p);
}

/* Closing never calls back before it returns, whatever is in flight: nothing, a receive, a send that blocks. */
static void test_close(void **state)
{
	static char block[OUT_MAX];
	struct peer p;

	(void)state;
	open_pair(&p);
	stream_close(&p.stream);
	assert_false(p.closed);
	stream_close(&p.stream);
	fini(&p);
	open_pair(&p);
	stream_resume(&p.stream);
	loop_turns(1);
	put(&p, "unseen");
	stream_close(&p.stream);
	assert_false(p.closed);
	fini(&p);
	assert_int_equal(p.n_data + p.n_end, 0);
	open_pair(&p);
	stream_resume(&p.stream);
	assert_int_equal(buf_append(stream_out(&p.stream), block, sizeof(block)), 0);
	stream_flush(&p.stream);
	loop_turns(2);
	assert_false(stream_idle(&p.stream));
	fini(&p);
	assert_int_equal(p.n_end, 0);
}

static void test_close_in_callback(void **state)
{
	struct peer p;

	(void)state;
	open_pair(&p);
	p.close_in_data = true;
	stream_resume(&p.stream);
	put(&p, "x");
	LOOP_UNTIL(p.closed);
	assert_int_equal(p.n_data, 1);
	assert_int_equal(p.n_end, 0);
	buf_fini(&p.in);
	close(p.fd);
}

static void connect_to(struct peer *p, const struct sockaddr_in *addr)
{
	*p = (struct peer){.fd = -1};
	buf_init(&p->in, 4096);
	stream_init(&p->stream, &ring, socket(AF_INET, SOCK_STREAM, 0), OUT_MAX, &events);
	stream_connect(&p->stream, (const struct sockaddr *)addr, sizeof(*addr));
}

static void test_connect(void **state)
{
	struct sockaddr_in addr;
	int listener = loop_listen(&addr);
	char back[16];
	struct peer p;

	(void)state;
	connect_to(&p, &addr);
	/* Queued before there is a connection, sent as soon as there is. */
	buf_puts(stream_out(&p.stream), "early");
	stream_flush(&p.stream);
	LOOP_UNTIL(p.n_connected == 1);
	assert_int_equal(p.connect_error, 0);
	LOOP_UNTIL((p.fd = accept(listener, NULL, NULL)) >= 0);
	LOOP_UNTIL(stream_idle(&p.stream));
	assert_int_equal(read(p.fd, back, sizeof(back)), 5);
	fini(&p);
	close(listener);
	connect_to(&p, &addr);
	LOOP_UNTIL(p.n_connected == 1);
	assert_int_equal(p.connect_error, ECONNREFUSED);
	fini(&p);
}

/* Closed while it connects: no connected callback any more. */
static void test_close_while_connecting(void **state)
{
	struct sockaddr_in addr;
	int listener = loop_listen(&addr);
	struct peer p;

	(void)state;
	connect_to(&p, &addr);
	stream_close(&p.stream);
	fini(&p);
	assert_int_equal(p.n_connected, 0);
	close(listener);
}

/* More streams have data in one turn than receive buffers on offer: all get theirs. */
static void test_starvation(void **state)
{
	size_t n = RING_BUF_OFFERED + 100;
	struct peer *peers = calloc(n, sizeof(*peers));
	size_t done = 0;

	(void)state;
	assert_non_null(peers);
	for (size_t i = 0; i < n; i++) {
		open_pair(&peers[i]);
		put(&peers[i], "hello");
		stream_resume(&peers[i].stream);
	}
	LOOP_UNTIL(({
		done = 0;
		for (size_t i = 0; i < n; i++)
			done += buf_len(&peers[i].in) == 5;
		done == n;
	}));
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(peers[i].n_end, 0);
		fini(&peers[i]);
	}
	free(peers);
}

/* Kernels before 6.17: a receive after the other. */
static int single_setup(void **state)
{
	int rc = loop_setup(state);

	ring.multishot = false;
	return rc;
}

/* clang-format off */
#define TEST(f) cmocka_unit_test_setup_teardown(f, loop_setup, loop_teardown), \
		{#f ", single receives", f, single_setup, loop_teardown, NULL}
/* clang-format on */

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_data_in_order),
		TEST(test_pause),
		TEST(test_resume_in_callback),
		TEST(test_relay),
		TEST(test_broken_after_end),
		TEST(test_output),
		TEST(test_end),
		TEST(test_broken),
		TEST(test_shutdown),
		TEST(test_close),
		TEST(test_close_in_callback),
		TEST(test_connect),
		TEST(test_close_while_connecting),
		TEST(test_starvation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
