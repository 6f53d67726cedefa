/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guard as one of several programs of an interface, by libxdp's dispatcher: an XDP program that calls each of them, as an
 * extension program (freplace), in the order of their priorities, the next one when one passes. Whoever adds or takes one
 * builds another dispatcher and replaces the interface's program by it in one step.
 */
#ifndef EDGE_SHARE_H
#define EDGE_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "conf/config.h"

struct bpf_object;
struct xdp_multiprog;
struct xdp_program;

#define SHARE_PRIORITY 10 /* the guard's: programs without one have 50 and come later */
#define SHARE_MAX      10 /* programs of a dispatcher */

/* The dispatcher of an interface. */
struct share {
	uint32_t dispatcher; /* its program's id; 0: it has none, and the rest is zero, too */
	enum conf_xdp_mode mode;
	size_t n;
	struct {
		char name[16];
		uint32_t id;
		uint32_t priority;
	} programs[SHARE_MAX]; /* in the order in which packets meet them */
};

/* Of this network namespace. */
struct share share_read(uint32_t ifindex);

/* Whether the interface's dispatcher has a program. */
bool share_holds(uint32_t ifindex, uint32_t program_id);

/* Whether this kernel takes extension programs, by loading one. -EOPNOTSUPP, and why. */
int share_check(struct error *err);

/* Load an object whose one program is of section xdp.frags as an extension, for share_join; to be closed by xdp_program__close. */
int share_load(struct bpf_object *obj, struct xdp_program **ret, struct error *err);

/* Add a program to the interface's dispatcher, or make one, in the mode (not auto). -errno, nothing has changed. */
int share_join(struct xdp_program *p, uint32_t ifindex, enum conf_xdp_mode mode);

/* What libxdp had to say in this thread lately; "": nothing. */
const char *share_said(void);

/* The dispatcher that a program has left. */
struct share_left {
	struct xdp_multiprog *before;
	uint32_t ifindex;
	uint32_t program_id;
};

/*
 * Take a program out; one that is not there is fine. ret_left: for share_return, and to be freed; NULL where nothing will be
 * taken back, since libxdp of Debian 12 leaks descriptors by it.
 */
int share_leave(uint32_t ifindex, uint32_t program_id, struct share_left *ret_left);
int share_return(const struct share_left *left);
void share_left_fini(struct share_left *left);

/* Remove what libxdp pinned of dispatchers with this program that are on no interface of this network namespace any more. */
void share_forget(uint32_t program_id);

#endif
