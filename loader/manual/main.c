/* SPDX-License-Identifier: Apache-2.0 */
/* manual DIRECTORY: write man/ and completion/ into it. Runs when the project is built, and is not installed. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "loader/manual/manual.h"

static const struct {
	const char *path;
	void (*write)(FILE *to);
} files[] = {
	{"man/sluice.8", page_sluice},		{"man/sluiced.8", page_sluiced},
	{"man/sluice.yaml.5", page_yaml},	{"completion/sluice.bash", completion_bash},
	{"completion/_sluice", completion_zsh},
};

static int write_file(const char *dir, const char *path, void (*write)(FILE *to))
{
	char name[512];
	FILE *to;

	snprintf(name, sizeof(name), "%s/%.*s", dir, (int)(strchr(path, '/') - path), path);
	if (mkdir(name, 0777) < 0 && errno != EEXIST) {
		perror(name);
		return 1;
	}
	snprintf(name, sizeof(name), "%s/%s", dir, path);
	to = fopen(name, "w");
	if (to)
		write(to);
	if (!to || fclose(to)) {
		perror(name);
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	int status = 0;

	if (argc != 2) {
		fputs("usage: manual DIRECTORY\n", stderr);
		return 2;
	}
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		status |= write_file(argv[1], files[i].path, files[i].write);
	return status;
}
