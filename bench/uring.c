/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/uring.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

void die(const char *what, int error)
{
	fprintf(stderr, "%s: %s\n", what, strerror(error));
	exit(1);
}

int listen_local(const char *port)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one = 1;

	if (fd < 0)
		die("socket", errno);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 4096) < 0)
		die(port, errno);
	return fd;
}

static void *map(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("mmap", errno);
	return p;
}

void uring_init(struct uring *u, unsigned int buf_size, unsigned int buf_count)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			 IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE |
			 IORING_SETUP_CLAMP,
		.cq_entries = 16384,
	};
	struct io_uring_buf_reg reg = {.ring_entries = buf_count, .bgid = 0};
	int rc = io_uring_queue_init_params(4096, &u->ring, &params);

	if (rc < 0)
		die("io_uring_setup", -rc);
	io_uring_register_ring_fd(&u->ring);
	u->buf_size = buf_size;
	u->buf_count = buf_count;
	u->bufs = map(buf_count * sizeof(struct io_uring_buf));
	u->memory = map((size_t)buf_size * buf_count);
	io_uring_buf_ring_init(u->bufs);
	reg.ring_addr = (uintptr_t)u->bufs;
	rc = io_uring_register_buf_ring(&u->ring, &reg, 0);
	if (rc < 0)
		die("io_uring_register", -rc);
	for (unsigned int i = 0; i < buf_count; i++)
		uring_buf_put(u, i);
}

void uring_enter(struct uring *u)
{
	int rc = io_uring_submit_and_wait(&u->ring, 1);

	if (rc < 0 && rc != -EINTR && rc != -EBUSY && rc != -EAGAIN)
		die("io_uring_enter", -rc);
}

struct io_uring_sqe *uring_sqe(struct uring *u, void *ptr, unsigned int tag)
{
	struct io_uring_sqe *sqe;

	while (!(sqe = io_uring_get_sqe(&u->ring)))
		io_uring_submit(&u->ring);
	io_uring_sqe_set_data64(sqe, (uintptr_t)ptr | tag);
	return sqe;
}

void uring_recv(struct uring *u, int fd, void *ptr, unsigned int tag)
{
	struct io_uring_sqe *sqe = uring_sqe(u, ptr, tag);

	io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = 0;
}

void uring_buf_put(struct uring *u, unsigned int id)
{
	io_uring_buf_ring_add(u->bufs, uring_buf(u, id), u->buf_size, (unsigned short)id,
			      io_uring_buf_ring_mask(u->buf_count), 0);
	io_uring_buf_ring_advance(u->bufs, 1);
}
