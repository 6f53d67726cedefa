/* SPDX-License-Identifier: Apache-2.0 */
/* The lock under which the packet plane is changed, and what whoever gets it finds of killed commands. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/cleanup.h"
#include "edge/batch.h"
#include "edge/edge.h"
#include "edge/feeds.h"
#include "edge/hook.h"
#include "edge/pin.h"

#define BPFFS "/sys/fs/bpf"

/* Half a second in all: between two commands of a stream of them there is a moment. */
#define LOCK_PAUSE_USEC 1000
#define LOCK_TRIES	500

static bool is_bpffs(void)
{
	struct statfs fs;

	return statfs(BPFFS, &fs) == 0 && (unsigned long)fs.f_type == BPF_FS_MAGIC;
}

/* In a mount namespace that ends with its process, pins would end with it, too. */
static bool in_own_mount_namespace(void)
{
	char parent[32];
	struct stat own, other;

	snprintf(parent, sizeof(parent), "/proc/%d/ns/mnt", getppid());
	if (stat("/proc/self/ns/mnt", &own) < 0)
		return false;
	return (stat("/proc/1/ns/mnt", &other) == 0 && own.st_ino != other.st_ino) ||
	       (stat(parent, &other) == 0 && own.st_ino != other.st_ino);
}

static int mount_bpffs(struct error *err)
{
	if (is_bpffs())
		return 0;
	if (in_own_mount_namespace())
		return error_set(err, ENODEV,
				 "bpffs is not at " BPFFS
				 " in this mount namespace ('ip netns exec' "
				 "hides it): use nsenter --net=/run/netns/NAME instead");
	if (mount("bpf", BPFFS, "bpf", 0, "mode=0700") == 0)
		return 0;
	if (errno == EPERM || errno == EACCES)
		return error_set(err, errno,
				 "bpffs is not mounted at " BPFFS " and mounting it needs root");
	return error_sys(err, errno, "can't mount bpffs at " BPFFS);
}

/* Feeds come with a policy, which may have been decided. */
static void end_batch(enum edge_dir dir, const char *name, bool decided)
{
	struct edge e;

	if (edge_open(name, &e, NULL) < 0)
		return;
	if (decided)
		edge_batch_resume(&e, dir != EDGE_DIR_LISTS);
	if (dir == EDGE_DIR_FEEDS)
		edge_feeds_settle(&e);
	edge_close(&e);
}

/* A shared guard of another network namespace: whoever comes there next ends it. */
static bool is_elsewhere(enum edge_dir dir, const char *name)
{
	struct hook hook;
	bool elsewhere;

	if (hook_open(dir, name, &hook) < 0 && hook_open(EDGE_DIR, name, &hook) < 0)
		return false;
	elsewhere = hook_is_elsewhere(&hook);
	hook_close(&hook);
	return elsewhere;
}

/* What a killed command had decided is done; what it had only prepared goes. */
static void end_left(enum edge_dir dir, const char *name, bool decided)
{
	bool feeds = dir == EDGE_DIR_FEEDS;
	bool batch = dir == EDGE_DIR_LISTS || dir == EDGE_DIR_POLICY || feeds;

	if (!batch && is_elsewhere(dir, name))
		return;
	if (decided && dir == EDGE_DIR_NEW)
		edge_put_if_live(name);
	if (decided && dir == EDGE_DIR_GONE) {
		edge_rename(name, EDGE_DIR, EDGE_DIR_OLD);
		edge_remove(EDGE_DIR_OLD, name);
	}
	if (batch && (decided || feeds))
		end_batch(dir, name, decided);
	if (dir == EDGE_DIR_UPGRADE) {
		if (decided)
			edge_switch(name);
		edge_finish(name);
	}
	edge_remove(dir, name);
}

static int is_marked(const struct dirent *e)
{
	return e->d_name[0] == ':';
}

static void end_killed(void)
{
	bool decided = edge_decided();
	struct dirent **found;
	int n = scandir(EDGE_ROOT, &found, is_marked, alphasort);

	for (int i = 0; i < n; i++) {
		enum edge_dir dir;
		const char *name;

		if (edge_is_left(found[i]->d_name, &dir, &name))
			end_left(dir, name, decided);
		free(found[i]);
	}
	if (n >= 0)
		free(found);
	if (decided)
		edge_done();
}

/* tries: how often, 0: until it is had. */
static int lock(unsigned int tries, struct error *err)
{
	_cleanup_close_ int fd = -1;
	int rc = mount_bpffs(err);

	if (rc < 0)
		return rc;
	if (mkdir(EDGE_ROOT, 0700) < 0 && errno != EEXIST)
		return errno == EACCES || errno == EPERM
			       ? error_set(err, errno, "the packet plane needs root")
			       : error_sys(err, errno, "%s", EDGE_ROOT);
	fd = open(EDGE_ROOT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == EACCES ? error_set(err, errno, "the packet plane needs root")
				       : error_sys(err, errno, "%s", EDGE_ROOT);
	while (flock(fd, tries ? LOCK_EX | LOCK_NB : LOCK_EX) < 0) {
		if (errno == EWOULDBLOCK && tries-- > 1)
			usleep(LOCK_PAUSE_USEC);
		else if (errno != EINTR)
			return error_sys(err, errno, "%s: lock", EDGE_ROOT);
	}
	end_killed();
	return take_fd(fd);
}

int edge_lock(struct error *err)
{
	return lock(0, err);
}

int edge_lock_soon(struct error *err)
{
	return lock(LOCK_TRIES, err);
}
