/* SPDX-License-Identifier: Apache-2.0 */
/* The packet plane as the daemon sees it: brought in line with the file, never in the way of serving. */
#ifndef DAEMON_PLANE_H
#define DAEMON_PLANE_H

#include "conf/config.h"

/*
 * Attach the guard to the file's interfaces, or apply the file's policy where it is attached already. What is not
 * possible is logged with its reason, and requests are served without.
 */
void plane_sync(const struct config *cfg);

#endif
