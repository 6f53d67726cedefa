/* SPDX-License-Identifier: Apache-2.0 */
#include "io/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

#define SQ_ENTRIES 4096
#define CQ_ENTRIES 16384

/* Newer than the liburing of Debian 12; each is used only where the kernel says that it knows it. */
#define FEAT_NO_IOWAIT	(1U << 17)
#define ENTER_NO_IOWAIT (1U << 7)

#define FIRST_OFFERED	16 /* buffers */
#define CALM_TURNS	4096 /* until fewer are offered, and memory above the first ones is given back */

bool ring_buf_get(struct ring *r, unsigned int *ret_id)
{
	unsigned int id;

	if (r->n_free == 0)
		return false;
	id = r->buf_free[--r->n_free];
	r->buf_refs[id] = 1;
	if (id >= r->top)
		r->top = id + 1;
	*ret_id = id;
	return true;
}

static void offer(struct ring *r)
{
	unsigned int id;
	int n = 0;

	for (; r->n_offered < r->want_offered && ring_buf_get(r, &id); r->n_offered++)
		io_uring_buf_ring_add(r->bufs, ring_buf(r, id), RING_BUF_SIZE, (unsigned short)id,
				      io_uring_buf_ring_mask(RING_BUF_OFFERED), n++);
	if (n)
		io_uring_buf_ring_advance(r->bufs, n);
}

/* Lowest ids on top, so that after a rush the work moves down again and the memory above can go. */
static void sort_free(struct ring *r)
{
	unsigned int at = 0;

	for (unsigned int id = RING_BUF_COUNT; id-- > 0;)
		if (!r->buf_refs[id])
			r->buf_free[at++] = (uint16_t)id;
}

void ring_buf_starved(struct ring *r)
{
	r->n_starved++;
	/* Once a turn. */
	if (r->calm && r->want_offered < RING_BUF_OFFERED)
		r->want_offered *= 2;
	r->calm = 0;
}

static void calm_down(struct ring *r)
{
	unsigned int highest = RING_BUF_COUNT;

	if (++r->calm < CALM_TURNS)
		return;
	r->calm = 0;
	if (r->want_offered > FIRST_OFFERED)
		r->want_offered /= 2;
	if (r->top <= RING_BUF_OFFERED)
		return;
	sort_free(r);
	while (!r->buf_refs[highest - 1] && highest > RING_BUF_OFFERED)
		highest--;
	if (highest < r->top)
		madvise(ring_buf(r, highest), (size_t)(r->top - highest) * RING_BUF_SIZE,
			MADV_DONTNEED);
	r->top = highest < r->top ? highest : r->top;
}

void ring_buf_unref(struct ring *r, unsigned int id)
{
	if (--r->buf_refs[id] == 0)
		r->buf_free[r->n_free++] = (uint16_t)id;
}

bool ring_buf_lend(struct ring *r, const char *p, unsigned int *ret_id)
{
	size_t at = (size_t)(p - r->buf_memory);
	unsigned int id = (unsigned int)(at / RING_BUF_SIZE);

	if (p < r->buf_memory || at >= (size_t)RING_BUF_COUNT * RING_BUF_SIZE)
		return false;
	if (r->n_free < RING_BUF_COUNT / 2 || r->buf_refs[id] == UINT8_MAX)
		return false;
	r->buf_refs[id]++;
	*ret_id = id;
	return true;
}

static int setup_bufs(struct ring *r, struct error *err)
{
	struct io_uring_buf_reg reg = {.ring_entries = RING_BUF_OFFERED, .bgid = RING_BUF_GROUP};
	size_t ring_size = RING_BUF_OFFERED * sizeof(struct io_uring_buf);
	size_t size = (size_t)RING_BUF_COUNT * RING_BUF_SIZE;
	int rc;

	r->bufs = mmap(NULL, ring_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (r->bufs == MAP_FAILED) {
		r->bufs = NULL;
		return error_sys(err, errno, "receive buffer ring");
	}
	r->buf_memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (r->buf_memory == MAP_FAILED) {
		r->buf_memory = NULL;
		return error_sys(err, errno, "receive buffers");
	}
	r->buf_free = calloc(RING_BUF_COUNT, sizeof(*r->buf_free));
	r->buf_refs = calloc(RING_BUF_COUNT, sizeof(*r->buf_refs));
	if (!r->buf_free || !r->buf_refs)
		return error_sys(err, ENOMEM, "receive buffers");
	io_uring_buf_ring_init(r->bufs);
	reg.ring_addr = (uintptr_t)r->bufs;
	rc = io_uring_register_buf_ring(&r->uring, &reg, 0);
	if (rc < 0)
		return error_sys(err, -rc, "registering receive buffers");
	r->n_free = RING_BUF_COUNT;
	r->want_offered = FIRST_OFFERED;
	sort_free(r);
	offer(r);
	return 0;
}

/* A multishot receive of one byte in all: a kernel that knows the cap ends it with the byte, others refuse the field. */
static bool probe_multishot(struct ring *r)
{
	struct io_uring_cqe *cqe;
	bool known = false;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return false;
	if (write(fds[1], "a", 1) == 1) {
		ring_recv_multishot(ring_sqe(r, NULL), fds[0], 1);
		if (io_uring_submit_and_wait(&r->uring, 1) == 1 &&
		    io_uring_peek_cqe(&r->uring, &cqe) == 0) {
			known = cqe->res == 1 && !(cqe->flags & IORING_CQE_F_MORE);
			if (cqe->flags & IORING_CQE_F_BUFFER) {
				ring_buf_taken(r);
				ring_buf_unref(r, cqe->flags >> IORING_CQE_BUFFER_SHIFT);
			}
			io_uring_cqe_seen(&r->uring, cqe);
		}
	}
	close(fds[0]);
	close(fds[1]);
	return known;
}

int ring_init(struct ring *r, struct error *err)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			 IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE |
			 IORING_SETUP_CLAMP,
		.cq_entries = CQ_ENTRIES,
	};
	int rc;

	memset(r, 0, sizeof(*r));
	r->uring.ring_fd = -1;
	rc = io_uring_queue_init_params(SQ_ENTRIES, &r->uring, &params);
	if (rc == -EPERM || rc == -ENOSYS || rc == -EACCES)
		return error_set(
			err, -rc,
			"io_uring is forbidden here (%s): set kernel.io_uring_disabled=0, or allow "
			"io_uring_setup in the container's seccomp profile",
			strerror(-rc));
	if (rc < 0)
		return error_sys(err, -rc, "io_uring_setup (a kernel of 6.1 or newer is needed)");
	io_uring_register_ring_fd(&r->uring);
	if (params.features & FEAT_NO_IOWAIT)
		r->wait_flags = ENTER_NO_IOWAIT;
	rc = setup_bufs(r, err);
	if (rc < 0) {
		ring_fini(r);
		return rc;
	}
	r->multishot = probe_multishot(r);
	r->now = clock_mono();
	r->wall = clock_wall();
	timer_wheel_init(&r->timers, r->now);
	return 0;
}

void ring_fini(struct ring *r)
{
	if (r->uring.ring_fd >= 0)
		io_uring_queue_exit(&r->uring);
	r->uring.ring_fd = -1;
	if (r->bufs)
		munmap(r->bufs, RING_BUF_OFFERED * sizeof(struct io_uring_buf));
	if (r->buf_memory)
		munmap(r->buf_memory, (size_t)RING_BUF_COUNT * RING_BUF_SIZE);
	free(r->buf_free);
	free(r->buf_refs);
	r->bufs = NULL;
	r->buf_memory = NULL;
	r->buf_free = NULL;
	r->buf_refs = NULL;
}

struct io_uring_sqe *ring_sqe(struct ring *r, struct io_op *op)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->uring);

	while (!sqe) {
		io_uring_submit(&r->uring);
		sqe = io_uring_get_sqe(&r->uring);
	}
	io_uring_sqe_set_data(sqe, op);
	return sqe;
}

void ring_recv_multishot(struct io_uring_sqe *sqe, int fd, unsigned int cap)
{
	io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = RING_BUF_GROUP;
	sqe->file_index = cap; /* optlen in newer headers */
}

/* As io_uring_submit_and_wait_timeout, which cannot pass further flags in liburing 2.3. */
static int enter(struct ring *r, struct __kernel_timespec *ts)
{
	struct io_uring *u = &r->uring;
	struct io_uring_getevents_arg arg = {.sigmask_sz = _NSIG / 8, .ts = (uintptr_t)ts};
	unsigned int flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG | r->wait_flags;
	unsigned int tail = u->sq.sqe_tail;

	u->sq.sqe_head = tail;
	__atomic_store_n(u->sq.ktail, tail, __ATOMIC_RELEASE);
	if (u->enter_ring_fd != u->ring_fd)
		flags |= IORING_ENTER_REGISTERED_RING;
	return io_uring_enter2((unsigned int)u->enter_ring_fd, tail - *u->sq.khead, 1, flags,
			       (void *)&arg, sizeof(arg));
}

int ring_turn(struct ring *r)
{
	uint64_t wait = timer_next(&r->timers, r->now);
	struct __kernel_timespec ts = {.tv_sec = (int64_t)(wait / NSEC_PER_SEC),
				       .tv_nsec = (long long)(wait % NSEC_PER_SEC)};
	struct io_uring_cqe *cqe;
	unsigned int seen = 0;
	unsigned int head;
	int rc = enter(r, wait == UINT64_MAX ? NULL : &ts);

	if (rc < 0 && rc != -ETIME && rc != -EINTR && rc != -EBUSY && rc != -EAGAIN)
		return rc;
	r->now = clock_mono();
	r->wall = clock_wall();
	r->n_overflow = *r->uring.cq.koverflow;
	io_uring_for_each_cqe(&r->uring, head, cqe)
	{
		struct io_op *op = io_uring_cqe_get_data(cqe);

		seen++;
		if (op)
			op->done(op, cqe->res, cqe->flags);
	}
	io_uring_cq_advance(&r->uring, seen);
	timer_advance(&r->timers, r->now);
	calm_down(r);
	offer(r);
	return 0;
}
