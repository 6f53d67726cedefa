/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/sysctl.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

#define MEASURE_MSEC 1000

enum { SYNCOOKIES, TIMESTAMPS, SACK, WINDOW_SCALING, SETTINGS };

static_assert((int)SETTINGS == EDGE_SETTINGS, "each can be put back");

/* What the gate needs: the wanted value, and what is lost by each smaller one. */
static const struct setting {
	const char *name;
	int wanted;
	const char *lost[2];
} settings[SETTINGS] = {
	[SYNCOOKIES] = {"tcp_syncookies",
			2,
			{"so the kernel makes no cookies: set it to 2",
			 "so cookies are sent only while a listener's queue is full, whatever the "
			 "threshold: 2 lets the gate decide"}},
	[TIMESTAMPS] = {"tcp_timestamps",
			2,
			{"so connections that begin with a cookie have neither SACK nor window "
			 "scaling: 2 keeps both",
			 "and its secret offsets keep SACK and window scaling from connections "
			 "that begin with a cookie: 2 is without offsets"}},
	[SACK] = {"tcp_sack", 1, {"so no connection has SACK: set it to 1", NULL}},
	[WINDOW_SCALING] = {"tcp_window_scaling",
			    1,
			    {"so no connection has window scaling: set it to 1", NULL}},
};

static int open_setting(const struct setting *s, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/%s", s->name);
	return open(path, flags | O_CLOEXEC);
}

/* -1: it can't be read. */
static int value_of(const struct setting *s)
{
	_cleanup_close_ int fd = open_setting(s, O_RDONLY);
	char text[16] = "";

	return fd < 0 || read(fd, text, sizeof(text) - 1) <= 0 ? -1 : atoi(text);
}

static int set(const struct setting *s, int value, struct error *err)
{
	_cleanup_close_ int fd = open_setting(s, O_WRONLY);
	char digit = (char)('0' + value);

	if (fd < 0 || write(fd, &digit, 1) != 1)
		return error_sys(err, errno, "net.ipv4.%s=%d", s->name, value);
	return 0;
}

/* A socket of 127.0.0.1 on a port that the kernel chooses, and its address. */
static int local_socket(struct sockaddr_in *ret)
{
	socklen_t len = sizeof(*ret);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	*ret = (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (fd >= 0 && bind(fd, (struct sockaddr *)ret, len) == 0 &&
	    getsockname(fd, (struct sockaddr *)ret, &len) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/*
 * The window scale that this kernel gives a listener's connections: by a connection to ourselves, because the formula is the
 * kernel's own. -1: there is none, or loopback is down.
 */
static int measure_wscale(void)
{
	struct linger reset = {.l_onoff = 1};
	struct sockaddr_in to, from;
	_cleanup_close_ int listener = local_socket(&to);
	_cleanup_close_ int client = local_socket(&from);
	_cleanup_close_ int server = -1;
	struct pollfd wait = {.fd = listener, .events = POLLIN};
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (listener < 0 || client < 0 || listen(listener, 1) < 0)
		return -1;
	setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)); /* no TIME_WAIT */
	if (connect(client, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS)
		return -1;
	if (poll(&wait, 1, MEASURE_MSEC) == 1)
		server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (server < 0 || getsockopt(server, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return -1;
	return info.tcpi_options & TCPI_OPT_WSCALE ? info.tcpi_rcv_wscale : -1;
}

int edge_sysctl_check(const struct conf_edge *conf, struct edge_sysctl_undo *fix,
		      void (*warn)(const char *text), struct error *err)
{
	bool scaled = true;

	for (int i = 0; i < SETTINGS && conf->syn_flood.mode != CONF_SYN_OFF; i++) {
		const struct setting *s = &settings[i];
		int value = value_of(s), rc;
		char text[320];

		if (value < 0)
			return error_sys(err, errno ? errno : EIO, "net.ipv4.%s", s->name);
		if (value >= s->wanted)
			continue;
		if (fix) {
			rc = set(s, s->wanted, err);
			if (rc < 0)
				return rc;
			fix->changed[i] = true;
			fix->value[i] = value;
			continue;
		}
		scaled = scaled && i == SYNCOOKIES;
		snprintf(text, sizeof(text),
			 "syn_flood: net.ipv4.%s is %d, %s (sluice attach --fix-sysctl sets it)",
			 s->name, value, s->lost[value]);
		warn(text);
	}
	if (conf->syn_flood.mode != CONF_SYN_OFF && scaled && measure_wscale() < 0)
		warn("syn_flood: the kernel's window scale can't be measured, so connections that "
		     "begin with a cookie have none: is the loopback interface up?");
	return 0;
}

void edge_sysctl_undo(const struct edge_sysctl_undo *undo)
{
	for (int i = 0; i < SETTINGS; i++)
		if (undo->changed[i])
			set(&settings[i], undo->value[i], NULL);
}

void edge_sysctl_cookies(struct policy *policy)
{
	int wscale;

	policy->cookie_options = 0;
	policy->cookie_wscale = 0;
	if (policy->syn_mode == SYN_OFF)
		return;
	if (value_of(&settings[SYNCOOKIES]) == 0) {
		policy->cookie_options = COOKIE_NONE;
		return;
	}
	if (value_of(&settings[SYNCOOKIES]) == 1)
		policy->cookie_options |= COOKIE_WHEN_FULL;
	if (value_of(&settings[TIMESTAMPS]) != 2)
		return;
	policy->cookie_options |= COOKIE_TIMESTAMPS;
	if (value_of(&settings[SACK]) > 0)
		policy->cookie_options |= COOKIE_SACK;
	wscale = measure_wscale();
	if (wscale < 0)
		return;
	policy->cookie_options |= COOKIE_WSCALE;
	policy->cookie_wscale = (__u8)wscale;
}

uint64_t edge_sysctl_digest(void)
{
	static const char *const others[] = {"ipv4/tcp_rmem", "core/rmem_max"};
	uint64_t digest = 0;

	for (int i = 0; i < SETTINGS; i++)
		digest = digest * 31 + (uint64_t)(value_of(&settings[i]) + 1);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		char path[64], text[64] = "";
		_cleanup_close_ int fd = -1;

		snprintf(path, sizeof(path), "/proc/sys/net/%s", others[i]);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0)
			for (const char *c = text; *c; c++)
				digest = digest * 31 + (unsigned char)*c;
	}
	return digest;
}
