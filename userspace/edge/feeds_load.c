/* SPDX-License-Identifier: Apache-2.0 */
/* From the files that a configuration names to planned feeds. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "edge/feeds.h"
#include "edge/mmdb.h"
#include "edge/netset.h"

/* Read, not mapped: a file that is cut short meanwhile would end the process. */
static int read_file(const char *path, char **ret, size_t *ret_len, struct error *err)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *text = NULL;
	struct stat st;
	size_t len = 0;
	ssize_t n = 1;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set(err, EINVAL, "%s: %s", path, strerror(errno));
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return error_sys(err, ENOMEM, "%s", path);
	for (; len < (size_t)st.st_size && n > 0; len += (size_t)n) {
		n = read(fd, text + len, (size_t)st.st_size - len);
		if (n < 0)
			return error_sys(err, errno, "%s", path);
	}
	*ret = take_ptr(text);
	*ret_len = len;
	return 0;
}

static int load_netset(const char *path, uint8_t set, struct feed_entries *out, struct error *err)
{
	_cleanup_free_ char *text = NULL;
	struct error at = {0};
	size_t len = 0;
	int rc = read_file(path, &text, &len, err);

	if (rc < 0)
		return rc;
	rc = netset_parse(slice_make(text, len), set, out, &at);
	return rc < 0 ? error_set(err, -rc, "%s:%s", path, at.text) : 0;
}

/* Absolute where that can be known: who reads it is in another directory. */
static void set_file(struct set *set, const char *path)
{
	_cleanup_free_ char *absolute = realpath(path, NULL);
	const char *text = absolute ? absolute : path;
	size_t len = strlen(text);

	if (len >= SET_FILE)
		text += len - (SET_FILE - 1);
	while (((unsigned char)*text & 0xc0) == 0x80)
		text++; /* of a character that was cut */
	text_clean(set->file, sizeof(set->file), slice_str(text));
}

/* To open a pipe may wait for ever, and a device may never end. */
static int check_regular(const char *path, struct error *err)
{
	struct stat st;

	return stat(path, &st) < 0 || S_ISREG(st.st_mode)
		       ? 0
		       : error_set(err, EINVAL, "%s: not a regular file", path);
}

static int load_one(const struct conf_feed *conf, struct edge_feeds *f, struct error *err)
{
	struct set *set = &f->sets[f->n];
	int rc = check_regular(conf->path, err);

	if (rc < 0)
		return rc;
	*set = (struct set){.loaded_at = clock_wall()};
	snprintf(set->name, sizeof(set->name), "%.*s", SLICE_FMT(conf->name));
	set_file(set, conf->path);
	f->n++;
	if (conf->mmdb.len)
		return mmdb_load(conf, (uint8_t)(f->n - 1), &f->entries, err);
	return load_netset(conf->path, (uint8_t)(f->n - 1), &f->entries, err);
}

/* What no other set has is counted. */
static void count(struct edge_feeds *f)
{
	for (size_t i = 0; i < f->entries.n; i++) {
		struct set *set = &f->sets[f->entries.items[i].set];

		if (f->entries.items[i].family == 4)
			set->entries4++;
		else
			set->entries6++;
	}
}

/* What has been read, as one; and whether it takes too much memory. */
static int plan(const struct conf_edge *conf, struct edge_feeds *f, struct error *err)
{
	uint64_t seed;
	int rc;

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		return error_sys(err, errno, "feeds");
	rc = feed_plan(&f->entries, seed, &f->plan, err);
	if (rc < 0)
		return rc;
	count(f);
	if (edge_feeds_bytes(f) > conf->feeds.memory)
		return error_set(
			err, ENOSPC,
			"the feeds' %zu entries take %zu MiB, and edge.feeds.memory allows "
			"%llu MiB",
			f->entries.n, edge_feeds_bytes(f) >> 20,
			(unsigned long long)conf->feeds.memory >> 20);
	return 0;
}

/* All, or those that are in order. */
static int load_each(const struct conf_edge *conf, struct edge_feeds *f,
		     void (*skipped)(const char *text), struct error *err)
{
	for (size_t i = 0; i < conf->n_deny_feeds; i++) {
		size_t sets = f->n, entries = f->entries.n;
		int rc = load_one(&conf->deny_feeds[i], f, err);

		if (rc < 0 && !skipped)
			return rc;
		if (rc == 0)
			continue;
		skipped(err->text);
		f->n = sets;
		f->entries.n = entries;
	}
	return 0;
}

int edge_feeds_load(const struct config *cfg, struct edge_feeds *ret,
		    void (*skipped)(const char *text), struct error *err)
{
	const struct conf_edge *conf = &cfg->edge;
	struct edge_feeds f = {0};
	int rc = load_each(conf, &f, skipped, err);

	if (rc == 0)
		rc = plan(conf, &f, err);
	if (rc < 0)
		edge_feeds_fini(&f);
	else
		*ret = f;
	return rc;
}

void edge_feeds_check(const struct config *cfg, struct conf_diag *diag)
{
	_cleanup_(edge_feeds_fini) struct edge_feeds f = {0};
	const struct conf_edge *conf = &cfg->edge;
	struct error err = {0};

	for (size_t i = 0; i < conf->n_deny_feeds && i < CONF_FEEDS; i++)
		if (conf->deny_feeds[i].path && load_one(&conf->deny_feeds[i], &f, &err) < 0)
			conf_diag_add(diag, conf->deny_feeds[i].node, "%s", err.text);
	if (plan(conf, &f, &err) < 0)
		conf_diag_add(diag, NULL, "%s", err.text);
}
