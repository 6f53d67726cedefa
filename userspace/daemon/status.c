/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/status.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/version.h"
#include "daemon/plane.h"

void status_init(struct status *s, struct metrics *m, unsigned int n_workers)
{
	*s = (struct status){
		.metrics = m,
		.n_workers = n_workers,
		.started = clock_mono(),
		.started_wall = clock_wall(),
	};
	pthread_mutex_init(&s->lock, NULL);
}

void status_fini(struct status *s)
{
	pthread_mutex_destroy(&s->lock);
}

void status_serve(struct status *s, const struct snapshot *snap)
{
	pthread_mutex_lock(&s->lock);
	s->snap = snap;
	pthread_mutex_unlock(&s->lock);
}

void status_reloaded(struct status *s, const char *failure)
{
	pthread_mutex_lock(&s->lock);
	s->reloads.last_ok = !failure;
	s->reloads.last_wall = clock_wall();
	snprintf(s->reloads.last_text, sizeof(s->reloads.last_text), "%s", failure ? failure : "");
	if (failure)
		s->reloads.failed++;
	else
		s->reloads.succeeded++;
	pthread_mutex_unlock(&s->lock);
}

void status_drain(struct status *s)
{
	pthread_mutex_lock(&s->lock);
	s->draining = true;
	pthread_mutex_unlock(&s->lock);
}

/* Seconds with all their digits: %f would round what %llu keeps. */
static void put_seconds(struct buf *out, uint64_t nsec)
{
	buf_printf(out, "%llu.%09llu", (unsigned long long)(nsec / NSEC_PER_SEC),
		   (unsigned long long)(nsec % NSEC_PER_SEC));
}

static void put_metric(struct buf *out, const char *name, const char *type, const char *help,
		       uint64_t value)
{
	metrics_family(out, name, type, help);
	buf_printf(out, "%s %llu\n", name, (unsigned long long)value);
}

static void put_metric_seconds(struct buf *out, const char *name, const char *type,
			       const char *help, uint64_t nsec)
{
	metrics_family(out, name, type, help);
	buf_printf(out, "%s ", name);
	put_seconds(out, nsec);
	buf_put(out, SLICE("\n"));
}

static void metrics_of_requests(const struct status *s, struct buf *out)
{
	metrics_render(s->metrics, out);
}

static void metrics_of_configuration(const struct status *s, struct buf *out)
{
	metrics_family(out, "sluice_build_info", "gauge", "The version that runs, as a label.");
	buf_puts(out, "sluice_build_info{version=\"" SLUICE_VERSION "\"} 1\n");
	put_metric(out, "sluice_workers", "gauge", "Worker threads.", s->n_workers);
	put_metric(out, "sluice_draining", "gauge", "Whether the process is about to end.",
		   s->draining);
	put_metric(out, "sluice_config_generation", "gauge",
		   "Configurations served so far, this one included.",
		   s->snap ? s->snap->generation : 0);
	put_metric(out, "sluice_config_last_reload_successful", "gauge",
		   "Whether the last reload, if any, was successful.",
		   s->reloads.last_ok || !s->reloads.last_wall);
	metrics_family(out, "sluice_config_reloads_total", "counter",
		       "Reloads asked for, by how they ended.");
	buf_printf(out, "sluice_config_reloads_total{result=\"success\"} %llu\n",
		   (unsigned long long)s->reloads.succeeded);
	buf_printf(out, "sluice_config_reloads_total{result=\"failure\"} %llu\n",
		   (unsigned long long)s->reloads.failed);
}

static void metrics_of_packets(const struct status *s, struct buf *out)
{
	if (s->snap)
		plane_metrics(s->snap->cfg, out);
}

static uint64_t nsec_of(struct timeval tv)
{
	return (uint64_t)tv.tv_sec * NSEC_PER_SEC + (uint64_t)tv.tv_usec * NSEC_PER_USEC;
}

static uint64_t resident_bytes(void)
{
	_cleanup_file_ FILE *f = fopen("/proc/self/statm", "re");
	unsigned long long pages = 0;

	if (!f || fscanf(f, "%*u %llu", &pages) != 1)
		return 0;
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	uint64_t n = 0;

	if (!dir)
		return 0;
	for (const struct dirent *e; (e = readdir(dir));)
		n += e->d_name[0] != '.';
	closedir(dir);
	return n - 1; /* the directory's own */
}

/* The names that Prometheus clients of all languages use. */
static void metrics_of_process(const struct status *s, struct buf *out)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	put_metric_seconds(out, "process_cpu_seconds_total", "counter",
			   "User and system time of the process.",
			   nsec_of(usage.ru_utime) + nsec_of(usage.ru_stime));
	put_metric_seconds(out, "process_start_time_seconds", "gauge",
			   "Start of the process, since the epoch.", s->started_wall);
	put_metric(out, "process_resident_memory_bytes", "gauge", "Resident memory.",
		   resident_bytes());
	put_metric(out, "process_open_fds", "gauge", "Open file descriptors.", open_fds());
}

/* The page is these, one after the other; what else the process knows of is added here. */
static void (*const metrics_parts[])(const struct status *s, struct buf *out) = {
	metrics_of_requests,
	metrics_of_packets,
	metrics_of_configuration,
	metrics_of_process,
};

static unsigned int page_metrics(void *user, struct buf *out)
{
	struct status *s = user;

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < sizeof(metrics_parts) / sizeof(metrics_parts[0]); i++)
		metrics_parts[i](s, out);
	pthread_mutex_unlock(&s->lock);
	return 200;
}

static void put_key(struct buf *out, const char *before, const char *key)
{
	buf_printf(out, "%s\"%s\":", before, key);
}

static void put_listeners(struct buf *out, const struct config *cfg)
{
	put_key(out, ",", "listeners");
	for (size_t i = 0; i < cfg->n_listeners; i++) {
		const struct conf_listener *l = &cfg->listeners[i];

		put_key(out, i ? ",{" : "[{", "name");
		json_put(out, l->name);
		put_key(out, ",", "address");
		json_put(out, l->address.text);
		put_key(out, ",", "role");
		buf_puts(out, l->role == CONF_ROLE_ADMIN ? "\"admin\"}" : "\"public\"}");
	}
	buf_put(out, SLICE("]"));
}

static void put_services(struct buf *out, const struct config *cfg)
{
	put_key(out, ",", "services");
	buf_put(out, SLICE("["));
	for (size_t i = 0; i < cfg->n_services; i++) {
		const struct conf_service *service = &cfg->services[i];

		put_key(out, i ? ",{" : "{", "name");
		json_put(out, service->name);
		put_key(out, ",", "endpoints");
		buf_put(out, SLICE("["));
		for (size_t e = 0; e < service->n_endpoints; e++) {
			put_key(out, e ? ",{" : "{", "url");
			json_put(out, service->endpoints[e].url);
			put_key(out, ",", "weight");
			buf_printf(out, "%llu}", (unsigned long long)service->endpoints[e].weight);
		}
		buf_put(out, SLICE("]}"));
	}
	buf_put(out, SLICE("]"));
}

static void put_reload(struct buf *out, const struct status *s)
{
	put_key(out, ",", "last_reload");
	if (!s->reloads.last_wall) {
		buf_puts(out, "null");
		return;
	}
	put_key(out, "{", "time");
	put_seconds(out, s->reloads.last_wall);
	put_key(out, ",", "successful");
	buf_puts(out, s->reloads.last_ok ? "true" : "false");
	put_key(out, ",", "error");
	if (s->reloads.last_ok)
		buf_puts(out, "null");
	else
		json_put(out, slice_str(s->reloads.last_text));
	buf_put(out, SLICE("}"));
}

static unsigned int page_status(void *user, struct buf *out)
{
	struct status *s = user;
	uint64_t connections = 0;

	for (unsigned int i = 0; i < s->n_workers; i++)
		connections += metrics_get(&metrics_thread(s->metrics, i)->connections);
	pthread_mutex_lock(&s->lock);
	buf_printf(out,
		   "{\"version\":\"" SLUICE_VERSION "\",\"pid\":%d,\"state\":\"%s\","
		   "\"workers\":%u,\"connections\":%llu,\"uptime\":",
		   (int)getpid(), s->draining ? "draining" : "serving", s->n_workers,
		   (unsigned long long)connections);
	put_seconds(out, clock_mono() - s->started);
	if (s->snap) {
		const struct config *cfg = s->snap->cfg;

		put_key(out, ",", "config");
		json_put(out, cfg->path);
		put_key(out, ",", "generation");
		buf_printf(out, "%llu", (unsigned long long)s->snap->generation);
		put_key(out, ",", "routes");
		buf_printf(out, "%zu", cfg->n_routes);
		put_listeners(out, cfg);
		put_services(out, cfg);
		put_key(out, ",", "interfaces");
		plane_status(cfg, out);
	}
	put_reload(out, s);
	buf_put(out, SLICE("}\n"));
	pthread_mutex_unlock(&s->lock);
	return 200;
}

static unsigned int page_ready(void *user, struct buf *out)
{
	struct status *s = user;
	bool draining;

	pthread_mutex_lock(&s->lock);
	draining = s->draining;
	pthread_mutex_unlock(&s->lock);
	buf_puts(out, draining ? "draining\n" : "ready\n");
	return draining ? 503 : 200;
}

const struct admin_page status_pages[] = {
	{"/metrics", "text/plain; version=0.0.4; charset=utf-8", page_metrics},
	{"/status", "application/json", page_status},
	{"/ready", "text/plain; charset=utf-8", page_ready},
	{0},
};
