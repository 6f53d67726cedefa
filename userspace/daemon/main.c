/* SPDX-License-Identifier: Apache-2.0 */
/* sluiced: start workers, then wait for signals. SIGTERM and SIGINT drain, SIGHUP reloads. */
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/assemble.h"
#include "daemon/worker.h"

#define MAX_RETIRED 16

struct daemon {
	const char *path;
	struct worker *workers;
	size_t n_workers;
	struct snapshot *current;
	struct snapshot *retired[MAX_RETIRED]; /* replaced, but a worker may still refer to them */
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

static int start_workers(struct daemon *d, struct error *err)
{
	int cpus[CPU_SETSIZE];
	size_t n_cpus = usable_cpus(cpus, CPU_SETSIZE);
	uint64_t n = d->current->cfg->workers;
	int rc;

	if (n == 0)
		n = n_cpus ? n_cpus : 1;
	d->workers = calloc(n, sizeof(*d->workers));
	if (!d->workers)
		return error_set(err, ENOMEM, "out of memory for the workers");
	for (size_t i = 0; i < n; i++) {
		int cpu = n_cpus ? cpus[i % n_cpus] : -1;

		d->n_workers++;
		rc = worker_init(&d->workers[i], d->current, cpu, (unsigned int)n, err);
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

static bool same_listeners(const struct config *a, const struct config *b)
{
	if (a->n_listeners != b->n_listeners)
		return false;
	for (size_t i = 0; i < a->n_listeners; i++)
		if (!slice_eq(a->listeners[i].address.text, b->listeners[i].address.text))
			return false;
	return true;
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

static void reload(struct daemon *d)
{
	struct snapshot *snap;

	sweep(d);
	if (d->n_retired == MAX_RETIRED) {
		log_error("reload: %d older configurations are still in use by requests, not "
			  "reloaded",
			  MAX_RETIRED);
		return;
	}
	if (load(d->path, d->generation + 1, &snap) < 0) {
		log_error("reload: %s has errors, the old configuration stays", d->path);
		return;
	}
	if (snap->cfg->hash == d->current->cfg->hash) {
		log_info("reload: nothing changed");
		assemble_free(snap);
		return;
	}
	if (!same_listeners(snap->cfg, d->current->cfg)) {
		log_error(
			"reload: listeners: addresses can't change while running, restart sluiced; "
			"the old configuration stays");
		assemble_free(snap);
		return;
	}
	for (size_t i = 0; i < d->n_workers; i++)
		while (!worker_reload(&d->workers[i], snap))
			sched_yield();
	d->generation++;
	d->retired[d->n_retired++] = d->current;
	d->current = snap;
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
	log_info("serving %s with %zu workers", d.path, d.n_workers);
	serve(&d, &signals);
	stop(&d);
	return 0;
}
