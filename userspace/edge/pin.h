/* SPDX-License-Identifier: Apache-2.0 */
/* Paths and directories under EDGE_ROOT, and the objects that are pinned there. */
#ifndef EDGE_PIN_H
#define EDGE_PIN_H

#include <bpf/libbpf.h>

#include "base/error.h"
#include "edge/layout.h"

#define EDGE_PATH 128 /* bytes; enough for every path under EDGE_ROOT */

/*
 * What a directory is: an attached interface, one being attached, one being detached, what an upgrade brings. Then the marks
 * of changes of several interfaces, empty: to be detached, with a batch that is staged, the same with a policy; and that of
 * feeds that are staged, of one interface, too. All but the first are named so that no interface can have their name, and are
 * ended by the next command when theirs was killed.
 */
enum edge_dir {
	EDGE_DIR,
	EDGE_DIR_NEW,
	EDGE_DIR_OLD,
	EDGE_DIR_UPGRADE,
	EDGE_DIR_GONE,
	EDGE_DIR_LISTS,
	EDGE_DIR_POLICY,
	EDGE_DIR_FEEDS,
	EDGE_DIRS,
};

void edge_path(char ret[EDGE_PATH], enum edge_dir dir, const char *name, const char *object);

/* Remove a directory with its pins; what is pinned there is detached first. Missing: fine. */
void edge_remove(enum edge_dir dir, const char *name);

/* -ENOENT, or -errno. */
int edge_rename(const char *name, enum edge_dir from, enum edge_dir to);

/*
 * EDGE_DIR_NEW becomes EDGE_DIR; when there is one already, that one becomes EDGE_DIR_NEW in the same moment. A second call
 * takes the first one back.
 */
int edge_put(const char *name);

/* The same for what a killed command left there, when it is attached. */
void edge_put_if_live(const char *name);

/*
 * Several interfaces change all or none: each is prepared and marked by a directory, then edge_decide(), then each is
 * changed, then edge_done(). When the command is killed, the next one does the rest if it was decided, else takes back what
 * was prepared. For one interface there is no need of it: what changes it is one step.
 */
int edge_mark(enum edge_dir dir, const char *name, struct error *err);
int edge_decide(struct error *err);
bool edge_decided(void);
void edge_done(void);

/* Whether an entry of EDGE_ROOT is one of these directories, but not EDGE_DIR; the name is as it stands there. */
bool edge_is_left(const char *entry, enum edge_dir *ret_dir, const char **ret_name);

/* Let the link run the program that EDGE_DIR_UPGRADE holds; a shared one runs already, and the old one leaves. */
void edge_switch(const char *name);

/*
 * End an upgrade: what EDGE_DIR_UPGRADE holds takes its place in EDGE_DIR when it is that program which runs, and goes when it
 * is not. So also for one that was killed.
 */
void edge_finish(const char *name);

/* What the kernel says of a program. Into what is given, which names the arrays that it may fill, or has zeros. -errno. */
int edge_program_info(int fd, struct bpf_prog_info *ret);

/* A pinned object's descriptor; close-on-exec. -errno. */
int edge_get_in(enum edge_dir dir, const char *name, const char *object);

/* The same of EDGE_DIR. */
int edge_get(const char *name, const char *object);

/*
 * Whether a pinned map's keys and values mean what those of obj's map do; may_grow: more may stand behind the values. A map that
 * the kernel keeps without types, one of maps for instance, has none to differ in. False: ret_where names the member.
 */
bool edge_same_types(const struct bpf_map_info *old, const struct bpf_object *obj,
		     const struct bpf_map *model, bool may_grow, char ret_where[LAYOUT_WHERE]);

/* Whether a configuration says how many entries a map has: then any number is right. */
bool edge_is_sized(const struct bpf_map *model);

/* A pinned map that must look like obj's map model, which need not be loaded. -EPROTO: it does not, or is missing. */
int edge_get_map(const char *name, const struct bpf_object *obj, const struct bpf_map *model,
		 struct error *err);

#endif
