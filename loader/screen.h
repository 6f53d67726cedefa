/* SPDX-License-Identifier: Apache-2.0 */
/* The whole terminal, for a view that is drawn again and again (ncurses). */
#ifndef LOADER_SCREEN_H
#define LOADER_SCREEN_H

#include "base/error.h"

struct screen;

enum screen_key { SCREEN_NONE, SCREEN_QUIT, SCREEN_NEXT };

/* -ENOTTY: there is no terminal, or one that ncurses does not know. */
int screen_open(struct screen **ret, struct error *err);

/* Lines, the first one as a title; what does not fit is cut off. */
void screen_draw(struct screen *s, const char *text);

/* What was typed, without waiting. */
enum screen_key screen_key(struct screen *s);

/* The window's size has changed. */
void screen_resize(struct screen *s);

/* The terminal is as it was before. */
void screen_close(struct screen *s);

#endif
