/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What holds the guard on its interface: a link of ours, or libxdp's dispatcher (share.h). The pins tell: "link", or else a
 * "program" that is an extension. All that asks for "attached", or changes it, comes here.
 */
#ifndef EDGE_HOOK_H
#define EDGE_HOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "edge/pin.h"
#include "edge/share.h"

struct hook {
	int link;	  /* -1: shared */
	int program;	  /* the extension program; -1: not shared */
	uint32_t ifindex; /* shared: of the interface, in the network namespace below */
	uint64_t netns;
};

#define HOOK_NONE ((struct hook){.link = -1, .program = -1})

/* What is pinned in a directory, an EDGE_DIR_UPGRADE's shared program included. -ENOENT: nothing that holds a guard; -errno. */
int hook_open(enum edge_dir dir, const char *name, struct hook *ret);
void hook_close(struct hook *h);

static inline bool hook_is_shared(const struct hook *h)
{
	return h->program >= 0;
}

/* False: of maps that nothing holds yet. */
static inline bool hook_is_open(const struct hook *h)
{
	return h->link >= 0 || h->program >= 0;
}

/* This network namespace's cookie; 0: the kernel does not tell. */
uint64_t hook_netns(void);

/* A shared guard can be seen and changed only in the network namespace of its interface. */
bool hook_is_elsewhere(const struct hook *h);

/* -EXDEV, with words, when it is. */
int hook_check_here(const struct hook *h, const char *name, struct error *err);

/* Another link, or another program, has another one. 0: it can't be told. */
uint32_t hook_id(const struct hook *h);

struct hook_state {
	uint32_t ifindex;    /* 0: the interface has gone, or somebody took the guard off it */
	uint32_t program_id; /* that it runs */
	uint32_t link_id;    /* 0: shared */
};

/* One that is elsewhere is taken to be attached. */
int hook_read(const struct hook *h, struct hook_state *ret);

/* Whether the interface that has this name now is the one that runs the guard pinned for it. Cheap, without the lock. */
bool hook_guards(const char *name);

/* Let the link run a program, while it runs from. -errno. */
int hook_update(const struct hook *h, int from, int to);

/* Take a shared guard out of the dispatcher. */
int hook_leave(const struct hook *h, struct share_left *ret_left);

/* Detach for good, whatever it is, and what libxdp has still pinned of a shared one; not what is elsewhere. */
void hook_detach(const struct hook *h);

#endif
