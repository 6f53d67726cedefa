/* SPDX-License-Identifier: Apache-2.0 */
/* What this tree calls itself. */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#define SLUICE_VERSION "0.1.0-dev"

#endif
