/* SPDX-License-Identifier: Apache-2.0 */
/* sluice.yaml(5): every key by its path, of the option tables that the loader and the filters read a file by. */
#include <inttypes.h>

#include "conf/load.h"
#include "filter/filter.h"
#include "loader/manual/manual.h"

static const char *const forms[] = {
	[CONF_STRING] = "text",
	[CONF_BOOL] = "true or false",
	[CONF_UINT] = "number",
	[CONF_INT] = "number, may be negative",
	[CONF_DURATION] = "duration",
	[CONF_SIZE] = "size",
	[CONF_RATE] = "rate",
	[CONF_BYTE_RATE] = "rate of bytes",
	[CONF_STRINGS] = "list of texts, or one",
	[CONF_PAIRS] = "map of names to texts",
	[CONF_ADDRESS] = "ADDRESS:PORT",
	[CONF_STRUCT] = "map",
	[CONF_LIST_OF] = "list of maps",
	[CONF_MAP_OF] = "map of names to maps",
};

static void form(const struct conf_option *o, FILE *to)
{
	if (o->type == CONF_CUSTOM) {
		roff_text(o->form, to);
		return;
	}
	if (o->type != CONF_ENUM) {
		roff_text(forms[o->type], to);
		return;
	}
	for (const char *const *name = o->names; *name; name++) {
		if (name != o->names)
			fputs(name[1] ? ", " : " or ", to);
		roff_text(*name, to);
	}
}

static void limits(const struct conf_option *o, FILE *to)
{
	if (o->type != CONF_UINT && o->type != CONF_INT && o->type != CONF_RATE)
		return;
	if (o->max)
		fprintf(to, ", %" PRIu64 " to %" PRIu64, o->min, o->max);
	else if (o->min)
		fprintf(to, ", at least %" PRIu64, o->min);
}

static void key(const struct conf_option *o, const char *path, FILE *to)
{
	fputs(".TP\n\\fB", to);
	roff_text(path, to);
	fputs("\\fR (", to);
	form(o, to);
	limits(o, to);
	if (o->required)
		fputs("; required", to);
	if (o->fallback) {
		fputs("; default: ", to);
		roff_text(o->fallback, to);
	}
	fputs(")\n", to);
	roff_text(o->help, to);
	fputc('\n', to);
}

static void keys(const struct conf_table *t, const char *prefix, FILE *to)
{
	for (const struct conf_option *o = t->options; o->name; o++) {
		const char *more = o->type == CONF_LIST_OF  ? "[]."
				   : o->type == CONF_MAP_OF ? ".NAME."
							    : ".";
		char path[256];

		snprintf(path, sizeof(path), "%s%s", prefix, o->name);
		key(o, path, to);
		snprintf(path, sizeof(path), "%s%s%s", prefix, o->name, more);
		if (o->table)
			keys(o->table, path, to);
	}
}

void page_yaml(FILE *to)
{
	roff_head("sluice.yaml", "5", "what the gateway does", to);
	fputs(".SH DESCRIPTION\n"
	      "One YAML file describes both planes: \\fBedge\\fR is the packet plane, the rest are "
	      "the\n"
	      "requests. \\fBsluice check\\fR tells every mistake and where it is; unknown keys "
	      "are\n"
	      "mistakes. \\fB${NAME}\\fR and \\fB${NAME:\\-default}\\fR are the "
	      "environment\\(aqs.\n"
	      ".PP\n"
	      "Durations are 20ms, 5s, 10m or 1h; sizes 512, 64KiB, 1MiB or 1GiB; rates 100/s or "
	      "10k/s,\n"
	      "of bytes 64KiB/s or 10MiB/s. A limit can be written as its rate alone.\n"
	      "File names are relative to the file\\(aqs directory. In the paths below, \\fB[]\\fR "
	      "stands for\n"
	      "each element of a list, and \\fBNAME\\fR for a name of your own.\n"
	      ".SH KEYS\n",
	      to);
	keys(&conf_file_table, "", to);
	fputs(".SH FILTERS\nAn element of \\fBfilters\\fR is a map of a filter\\(aqs name to its "
	      "options.\n",
	      to);
	for (const char *const *name = filter_names(); *name; name++) {
		fprintf(to, ".SS %s\n", *name);
		keys(filter_find(slice_str(*name))->options, "", to);
	}
	fputs(".SH EXAMPLES\n.nf\n"
	      "version: 1\n"
	      "listeners: [{name: public, address: 127.0.0.1:8080}]\n"
	      "services: {api: {endpoints: [http://127.0.0.1:9000]}}\n"
	      "routes: [{name: all, match: {path: /*}, to: api}]\n"
	      ".fi\n"
	      ".SH SEE ALSO\n\\fBsluice\\fR(8), \\fBsluiced\\fR(8)\n",
	      to);
}
