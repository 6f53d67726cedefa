/* SPDX-License-Identifier: Apache-2.0 */
/* What this tree calls itself. */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#define SLUICE_VERSION "0.1.0-dev"
#define SLUICE_DATE    "2026-11-24" /* when it became this, for the manual */

#endif
