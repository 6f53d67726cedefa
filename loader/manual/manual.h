/* SPDX-License-Identifier: Apache-2.0 */
/* Manual pages and shell completion, made at build time of the tables that the programs themselves read. */
#ifndef LOADER_MANUAL_MANUAL_H
#define LOADER_MANUAL_MANUAL_H

#include <stdio.h>

#include "base/cmdline.h"

/* Text for roff: backslashes, hyphens that are to stay, and dots at a line's begin are not commands. */
void roff_text(const char *text, FILE *to);

/* The title line and the section NAME. */
void roff_head(const char *name, const char *section, const char *what, FILE *to);

/* The pages, in the man(7) macros. */
void page_sluice(FILE *to);
void page_sluiced(FILE *to);
void page_yaml(FILE *to);

/* What completes the argument of an option or command. */
enum completed { COMPLETE_NOTHING, COMPLETE_FILES, COMPLETE_INTERFACES, COMPLETE_WORDS };

/* By its text: "FILE", "IF", "auto|native". */
enum completed completed_by(const char *arg);

void completion_bash(FILE *to);
void completion_zsh(FILE *to);

#endif
