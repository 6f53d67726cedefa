/* SPDX-License-Identifier: Apache-2.0 */
/* sluiced: start workers, then wait for signals. SIGTERM and SIGINT drain, SIGHUP reloads. */
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/assemble.h"
#include "daemon/plane.h"
#include "daemon/worker.h"

struct daemon {
	const char *path;
	struct worker *workers;
	size_t n_workers;
	struct snapshot *current;
	struct snapshot **retired; /* replaced, but a request may still refer to them */
	size_t n_retired;
	uint64_t generation;
};

static int load(const char *path, uint64_t generation, struct snapshot **ret_snap)
{
	struct conf_diag diag;
	int rc;

	conf_diag_init(&diag);
	rc = assemble(path, generation, &diag, ret_snap);
	if (rc < 0)
		conf_diag_print(&diag, stderr);
	conf_diag_fini(&diag);
	return rc;
}

/* CPUs that the process may run on, in order. */
static size_t usable_cpus(int *cpus, size_t max)
{
	cpu_set_t set;
	size_t n = 0;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 0;
	for (int cpu = 0; cpu < CPU_SETSIZE && n < max; cpu++)
		if (CPU_ISSET((unsigned int)cpu, &set))
			cpus[n++] = cpu;
	return n;
}

static size_t n_workers(const struct config *cfg, size_t n_cpus)
{
	return cfg->workers ? cfg->workers : n_cpus ? n_cpus : 1;
}

static int start_workers(struct daemon *d, struct error *err)
{
	int cpus[CPU_SETSIZE];
	size_t n_cpus = usable_cpus(cpus, CPU_SETSIZE);
	size_t n = n_workers(d->current->cfg, n_cpus);
	_cleanup_(sockets_fini) struct sockets sockets = {0};
	int rc = sockets_open(NULL, d->current->cfg, n, err, &sockets);

	if (rc < 0)
		return rc;
	d->workers = calloc(n, sizeof(*d->workers));
	if (!d->workers)
		return error_set(err, ENOMEM, "out of memory for the workers");
	for (size_t i = 0; i < n; i++) {
		int cpu = n_cpus ? cpus[i % n_cpus] : -1;

		d->n_workers++;
		rc = worker_init(&d->workers[i], d->current, &sockets, cpu, (unsigned int)i,
				 (unsigned int)n, err);
		if (rc < 0)
			return rc;
	}
	for (size_t i = 0; i < n; i++) {
		rc = worker_start(&d->workers[i], err);
		if (rc < 0)
			return rc;
	}
	for (size_t i = 0; i < n; i++) {
		rc = worker_wait(&d->workers[i], err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static void sweep(struct daemon *d)
{
	size_t kept = 0;

	for (size_t i = 0; i < d->n_retired; i++) {
		if (atomic_load(&d->retired[i]->refs) == 1)
			assemble_free(d->retired[i]);
		else
			d->retired[kept++] = d->retired[i];
	}
	d->n_retired = kept;
}

/* All that can fail is done first, so that all workers change or none does. */
static int take_over(struct daemon *d, struct snapshot *snap, struct error *err)
{
	_cleanup_(sockets_fini) struct sockets sockets = {0};
	const struct config *old = d->current->cfg;
	struct snapshot **retired;
	int cpus[CPU_SETSIZE];
	size_t n = n_workers(snap->cfg, usable_cpus(cpus, CPU_SETSIZE));
	int rc;

	if (snap->cfg->workers != old->workers && n != d->n_workers)
		return error_set(
			err, EBUSY,
			"workers: their number can't change from %zu to %zu while running, "
			"restart sluiced",
			d->n_workers, n);
	retired = realloc(d->retired, (d->n_retired + 1) * sizeof(struct snapshot *));
	if (!retired)
		return error_set(err, ENOMEM, "out of memory");
	d->retired = retired;
	rc = sockets_open(old, snap->cfg, d->n_workers, err, &sockets);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < d->n_workers; i++) {
		if (worker_prepare(&d->workers[i], snap, &sockets) == 0)
			continue;
		while (i-- > 0)
			worker_forget(&d->workers[i]);
		return error_set(err, ENOMEM, "out of memory");
	}
	for (size_t i = 0; i < d->n_workers; i++)
		worker_reload(&d->workers[i]);
	return 0;
}

static void reload(struct daemon *d)
{
	struct snapshot *snap;
	struct error err = {0};

	sweep(d);
	if (load(d->path, d->generation + 1, &snap) < 0) {
		log_error("reload: %s has errors, the old configuration stays", d->path);
		return;
	}
	if (snap->cfg->hash == d->current->cfg->hash) {
		log_info("reload: nothing changed");
		assemble_free(snap);
		return;
	}
	if (take_over(d, snap, &err) < 0) {
		log_error("reload: %s; the old configuration stays", err.text);
		assemble_free(snap);
		return;
	}
	d->generation++;
	d->retired[d->n_retired++] = d->current;
	d->current = snap;
	plane_sync(snap->cfg);
	log_info("reload: generation %llu of %s", (unsigned long long)d->generation, d->path);
}

static void serve(struct daemon *d, const sigset_t *signals)
{
	const struct timespec tick = {.tv_sec = 1};

	for (;;) {
		int sig = sigtimedwait(signals, NULL, &tick);

		if (sig == SIGTERM || sig == SIGINT)
			return;
		if (sig == SIGHUP)
			reload(d);
		sweep(d);
	}
}

static void stop(struct daemon *d)
{
	for (size_t i = 0; i < d->n_workers; i++)
		if (d->workers[i].running)
			worker_drain(&d->workers[i]);
	for (size_t i = 0; i < d->n_workers; i++) {
		worker_join(&d->workers[i]);
		worker_fini(&d->workers[i]);
	}
	free(d->workers);
	for (size_t i = 0; i < d->n_retired; i++)
		assemble_free(d->retired[i]);
	free(d->retired);
	assemble_free(d->current);
}

static int usage(FILE *to, int status)
{
	fputs("usage: sluiced -c FILE [-t]\n"
	      "  -c FILE  configuration; served in the foreground until SIGTERM\n"
	      "  -t       only check the configuration\n"
	      "SIGTERM drains, SIGHUP reloads. Exit status: 0 ended by a signal or checked, 1 "
	      "failed, 2 usage.\n",
	      to);
	return status;
}

int main(int argc, char **argv)
{
	struct daemon d = {.generation = 1};
	struct error err = {0};
	bool check = false;
	sigset_t signals;
	int opt;

	while ((opt = getopt(argc, argv, "c:th")) != -1) {
		if (opt == 'c')
			d.path = optarg;
		else if (opt == 't')
			check = true;
		else
			return usage(opt == 'h' ? stdout : stderr, opt == 'h' ? 0 : 2);
	}
	if (!d.path || optind != argc)
		return usage(stderr, 2);
	if (load(d.path, d.generation, &d.current) < 0)
		return 1;
	if (check) {
		assemble_free(d.current);
		return 0;
	}
	/* Before the workers start, so that they inherit the mask and signals come to us alone. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (start_workers(&d, &err) < 0) {
		log_error("%s", err.text);
		stop(&d);
		return 1;
	}
	plane_sync(d.current->cfg);
	log_info("serving %s with %zu workers", d.path, d.n_workers);
	serve(&d, &signals);
	stop(&d);
	return 0;
}
