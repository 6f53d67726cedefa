/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/cleanup.h"

#define NAME "net.ipv4.tcp_syncookies"
#define PATH "/proc/sys/net/ipv4/tcp_syncookies"

int edge_sysctl_check(const struct conf_edge *conf, bool fix, struct error *err)
{
	_cleanup_close_ int fd = -1;
	char value = '0';

	if (conf->syn_flood.mode == CONF_SYN_OFF)
		return 0;
	fd = open(PATH, (fix ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	if (fd < 0 || read(fd, &value, 1) != 1)
		return error_sys(err, errno ? errno : EIO, "%s", PATH);
	if (value == '2')
		return 0;
	if (fix)
		return pwrite(fd, "2", 1, 0) == 1 ? 0 : error_sys(err, errno, "%s=2", NAME);
	if (value == '0')
		return error_set(err, EAGAIN,
				 "syn_flood: " NAME
				 " is 0, so the kernel makes no cookies: set it to 2 "
				 "(sluice attach --fix-sysctl does)");
	return error_set(err, EAGAIN,
			 "syn_flood: " NAME
			 " is %c, so cookies are sent only while a listener's queue is "
			 "full: 2 lets the gate decide (sluice attach --fix-sysctl sets it)",
			 value);
}
