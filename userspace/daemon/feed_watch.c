/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/feed_watch.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>

/* What changes with a file's content. Zeros: there is none. */
struct looks {
	uint64_t device;
	uint64_t inode;
	int64_t size;
	int64_t seconds;
	int64_t nanoseconds;
};

struct feed_watch_file {
	struct looks loaded;
	struct looks last;
};

static struct looks look(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return (struct looks){0};
	return (struct looks){st.st_dev, st.st_ino, st.st_size, st.st_mtim.tv_sec,
			      st.st_mtim.tv_nsec};
}

static bool same(const struct looks *a, const struct looks *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size &&
	       a->seconds == b->seconds && a->nanoseconds == b->nanoseconds;
}

void feed_watch_init(struct feed_watch *w, const struct config *cfg)
{
	const struct conf_edge *edge = &cfg->edge;

	feed_watch_fini(w);
	w->files = edge->n_deny_feeds ? calloc(edge->n_deny_feeds, sizeof(*w->files)) : NULL;
	for (size_t i = 0; w->files && i < edge->n_deny_feeds; i++)
		w->files[i].loaded = w->files[i].last = look(edge->deny_feeds[i].path);
}

bool feed_watch_changed(struct feed_watch *w, const struct config *cfg)
{
	bool changed = false;

	for (size_t i = 0; w->files && i < cfg->edge.n_deny_feeds; i++) {
		struct feed_watch_file *f = &w->files[i];
		struct looks now = look(cfg->edge.deny_feeds[i].path);

		if (!same(&now, &f->loaded) && same(&now, &f->last)) {
			changed = true;
			f->loaded = now;
		}
		f->last = now;
	}
	return changed;
}

void feed_watch_fini(struct feed_watch *w)
{
	free(w->files);
	w->files = NULL;
}
