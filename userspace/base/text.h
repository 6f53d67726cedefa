/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes from anybody as text that can be shown on a line. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/slice.h"

/* Length of the valid UTF-8 sequence (RFC 3629, section 4) at the start of s, which is not ASCII; 0: there is none. */
size_t text_sequence(struct slice s);

/*
 * Cut to its room between characters; control characters become spaces, what is not UTF-8 question marks. What is left of the
 * room, a byte at least, is zeros.
 */
void text_clean(char *out, size_t size, struct slice in);

#endif
