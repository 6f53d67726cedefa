/* SPDX-License-Identifier: Apache-2.0 */
/* sluiced: start workers, then wait for signals. SIGTERM and SIGINT drain, SIGHUP reloads, SIGUSR1 reopens logs. */
#include <errno.h>
#include <getopt.h> /* optind */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin/admin.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/args.h"
#include "daemon/assemble.h"
#include "daemon/plane.h"
#include "daemon/status.h"
#include "daemon/worker.h"

struct daemon {
	struct plane plane;
	const char *path;
	struct worker *workers;
	size_t n_workers;
	struct snapshot *current;
	struct snapshot **retired; /* replaced, but a request may still refer to them */
	size_t n_retired;
	uint64_t generation;
	struct metrics *metrics;
	struct log_writer *logs;
	struct status status;
	struct admin *admin;
};

/* All errors go to standard error, the first one to err as well. */
static int load(const char *path, uint64_t generation, struct error *err,
		struct snapshot **ret_snap)
{
	struct conf_diag diag;
	int rc;

	conf_diag_init(&diag);
	rc = assemble(path, generation, &diag, ret_snap);
	if (rc < 0) {
		struct slice text = buf_slice(&diag.text);
		struct slice first = slice_cut(&text, '\n');

		conf_diag_print(&diag, stderr);
		error_set(err, -rc, "%.*s", SLICE_FMT(first));
	}
	conf_diag_fini(&diag);
	return rc;
}

/* sluiced --check: its exit status. */
static int check(const char *path)
{
	struct conf_diag diag;
	int rc;

	conf_diag_init(&diag);
	rc = assemble_check(path, &diag);
	conf_diag_print(&diag, stderr);
	conf_diag_fini(&diag);
	return rc < 0;
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
	int rc;

	/* The writer of the access logs counts, too. */
	d->metrics = metrics_new((unsigned int)n + 1);
	d->logs = d->metrics ? log_writer_new(d->metrics, (unsigned int)n) : NULL;
	if (!d->logs)
		return error_set(err, ENOMEM, "out of memory for metrics and logs");
	rc = assemble_attach(d->current, d->metrics, d->logs, err);
	if (rc == 0)
		rc = sockets_open(NULL, d->current->cfg, n, err, &sockets);
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

static int start_admin(struct daemon *d, struct error *err)
{
	status_init(&d->status, d->metrics, (unsigned int)d->n_workers);
	status_serve(&d->status, d->current);
	return admin_start(d->current->cfg, status_pages, &d->status, err, &d->admin);
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

/* The admin listeners of now instead of those of old. On failure those of old are opened again. */
static int change_admin(struct daemon *d, const struct config *old, const struct config *now,
			struct error *err)
{
	struct error again = {0};
	int rc;

	if (admin_same(old, now))
		return 0;
	admin_stop(d->admin);
	d->admin = NULL;
	rc = admin_start(now, status_pages, &d->status, err, &d->admin);
	if (rc < 0 && admin_start(old, status_pages, &d->status, &again, &d->admin) < 0)
		log_error("reload: %s: there is no admin listener now", again.text);
	return rc;
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
	rc = assemble_attach(snap, d->metrics, d->logs, err);
	if (rc == 0)
		rc = sockets_open(old, snap->cfg, d->n_workers, err, &sockets);
	for (size_t i = 0; rc == 0 && i < d->n_workers; i++)
		if (worker_prepare(&d->workers[i], snap, &sockets) < 0)
			rc = error_set(err, ENOMEM, "out of memory");
	if (rc == 0)
		rc = change_admin(d, old, snap->cfg, err);
	if (rc < 0) {
		for (size_t i = 0; i < d->n_workers; i++)
			worker_forget(&d->workers[i]);
		return rc;
	}
	for (size_t i = 0; i < d->n_workers; i++)
		worker_reload(&d->workers[i]);
	return 0;
}

static int reload(struct daemon *d, struct error *err)
{
	struct snapshot *snap;
	int rc;

	sweep(d);
	rc = load(d->path, d->generation + 1, err, &snap);
	if (rc < 0)
		return rc;
	rc = take_over(d, snap, err);
	if (rc < 0) {
		assemble_free(snap);
		return rc;
	}
	d->generation++;
	d->retired[d->n_retired++] = d->current;
	d->current = snap;
	plane_sync(&d->plane, snap->cfg);
	status_serve(&d->status, snap);
	log_info("reload: generation %llu of %s", (unsigned long long)d->generation, d->path);
	return 0;
}

static void reload_and_tell(struct daemon *d)
{
	struct error err = {0};
	int rc = reload(d, &err);

	if (rc < 0)
		log_error("reload: %s; the old configuration stays", err.text);
	status_reloaded(&d->status, rc < 0 ? err.text : NULL);
}

static void serve(struct daemon *d, const sigset_t *signals)
{
	const struct timespec tick = {.tv_sec = 1};

	for (;;) {
		int sig = sigtimedwait(signals, NULL, &tick);

		if (sig == SIGTERM || sig == SIGINT)
			return;
		if (sig == SIGHUP)
			reload_and_tell(d);
		if (sig == SIGHUP || sig == SIGUSR1)
			log_writer_reopen(d->logs);
		sweep(d);
		plane_watch(&d->plane, d->current->cfg);
	}
}

static void stop(struct daemon *d)
{
	if (d->admin)
		status_drain(&d->status);
	for (size_t i = 0; i < d->n_workers; i++)
		if (d->workers[i].running)
			worker_drain(&d->workers[i]);
	for (size_t i = 0; i < d->n_workers; i++) {
		worker_join(&d->workers[i]);
		worker_fini(&d->workers[i]);
	}
	free(d->workers);
	admin_stop(d->admin);
	for (size_t i = 0; i < d->n_retired; i++)
		assemble_free(d->retired[i]);
	free(d->retired);
	plane_fini(&d->plane);
	assemble_free(d->current);
	log_writer_free(d->logs);
	metrics_free(d->metrics);
}

static int usage(FILE *to, int status)
{
	fputs("usage: sluiced", to);
	cmdline_usage(&args_table, ARGS_ALL, ARGS_REQUIRED, to);
	fputc('\n', to);
	cmdline_help(&args_table, ARGS_ALL, to);
	fputs("SIGTERM drains, SIGHUP reloads, SIGUSR1 reopens the logs. Exit status: 0 ended by a "
	      "signal or checked, 1 failed, 2 usage.\n",
	      to);
	return status;
}

/* True when the command line says what to do; else *ret_status ends the process. */
static bool read_args(int argc, char **argv, struct args *args, int *ret_status)
{
	struct error err = {0};
	uint64_t given = 0;
	int rc = cmdline_parse(&args_table, argc, argv, args, &given, &err);

	if (rc == CMDLINE_HELP) {
		*ret_status = usage(stdout, 0);
		return false;
	}
	if (rc == CMDLINE_DONE)
		rc = cmdline_check(&args_table, given, ARGS_ALL, ARGS_REQUIRED, &err);
	if (rc == 0 && optind != argc)
		rc = error_set(&err, EINVAL, "not expected: %s", argv[optind]);
	if (rc == 0)
		return true;
	fprintf(stderr, "sluiced: %s\n", err.text);
	*ret_status = usage(stderr, 2);
	return false;
}

int main(int argc, char **argv)
{
	struct daemon d = {.generation = 1, .plane.starting = true};
	struct args args = {0};
	struct error err = {0};
	sigset_t signals;
	int status;

	if (!read_args(argc, argv, &args, &status))
		return status;
	d.path = args.file;
	if (args.check)
		return check(d.path);
	if (load(d.path, d.generation, &err, &d.current) < 0)
		return 1;
	/* Before the workers start, so that they inherit the mask and signals come to us alone. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (start_workers(&d, &err) < 0 || start_admin(&d, &err) < 0) {
		log_error("%s", err.text);
		stop(&d);
		return 1;
	}
	plane_sync(&d.plane, d.current->cfg);
	log_info("serving %s with %zu workers", d.path, d.n_workers);
	serve(&d, &signals);
	stop(&d);
	return 0;
}
