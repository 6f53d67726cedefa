/* SPDX-License-Identifier: Apache-2.0 */
#include "loader/screen.h"

#include <errno.h>
#include <ncurses.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct screen {
	SCREEN *terminal;
};

int screen_open(struct screen **ret, struct error *err)
{
	const char *name = getenv("TERM");
	struct screen *s;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return error_set(err, ENOTTY, "this needs a terminal; --once does without");
	s = calloc(1, sizeof(*s));
	if (!s)
		return error_sys(err, ENOMEM, "screen");
	s->terminal = newterm(name, stdout, stdin);
	if (!s->terminal) {
		free(s);
		return error_set(err, ENOTTY, "the terminal '%s' is not known; --once does without",
				 name ? name : "");
	}
	set_term(s->terminal);
	cbreak();
	noecho();
	curs_set(0);
	nodelay(stdscr, TRUE);
	keypad(stdscr, TRUE);
	*ret = s;
	return 0;
}

void screen_draw(struct screen *s, const char *text)
{
	set_term(s->terminal);
	erase();
	for (int row = 0; *text && row < LINES; row++) {
		int len = (int)strcspn(text, "\n");

		if (row == 0)
			attron(A_REVERSE);
		mvaddnstr(row, 0, text, len < COLS ? len : COLS);
		for (int column = len; row == 0 && column < COLS; column++)
			addch(' ');
		attroff(A_REVERSE);
		text += len + (text[len] == '\n');
	}
	refresh();
}

enum screen_key screen_key(struct screen *s)
{
	set_term(s->terminal);
	for (int key = getch(); key != ERR; key = getch()) {
		if (key == 'q' || key == 'Q')
			return SCREEN_QUIT;
		if (key == '\t' || key == KEY_RIGHT || key == KEY_DOWN)
			return SCREEN_NEXT;
	}
	return SCREEN_NONE;
}

void screen_resize(struct screen *s)
{
	struct winsize size;

	set_term(s->terminal);
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col)
		resizeterm(size.ws_row, size.ws_col);
}

void screen_close(struct screen *s)
{
	if (!s)
		return;
	set_term(s->terminal);
	endwin();
	delscreen(s->terminal);
	free(s);
}
