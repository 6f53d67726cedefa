/* SPDX-License-Identifier: Apache-2.0 */
#include "loader/entry.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "conf/cidr.h"

static const char *origin_text(enum origin origin)
{
	return origin == ORIGIN_FILE ? "file" : "operator";
}

const char *entry_origin(const struct edge_entry *entry)
{
	return origin_text(entry->origin);
}

int entry_make_note(const struct options *o, const struct edge *e, uint16_t *ret, struct error *err)
{
	*ret = 0;
	if (!o->note && !o->by)
		return 0;
	return edge_note_make(e, o->by ? o->by : command_user(), o->note ? o->note : "", ret, err);
}

uint32_t entry_until(const struct options *o)
{
	/* The second that has begun is not counted. */
	return o->ttl ? clock_seconds() + 1 + (uint32_t)((o->ttl + NSEC_PER_SEC - 1) / NSEC_PER_SEC)
		      : 0;
}

int entry_keep(struct entry_kept *kept, const char *text)
{
	if (kept->n++ == 0)
		snprintf(kept->first, sizeof(kept->first), "%s", text);
	return 0;
}

void entry_warn_kept(const struct entry_kept *kept, const struct options *o, const struct edge *e)
{
	char text[256], others[64] = "";

	if (kept->n > 1)
		snprintf(others, sizeof(others), " (and %zu more)", kept->n - 1);
	snprintf(text, sizeof(text), "%s: %s: %s is there without end, and stays%s", e->name,
		 o->family, kept->first, others);
	if (kept->n)
		command_warn(text);
}

static void add_note(const struct edge *e, uint16_t number, json_t *to)
{
	struct note note;

	edge_note_read(e, number, &note);
	if (*note.by)
		json_object_set_new(to, "by", json_string(note.by));
	if (*note.why)
		json_object_set_new(to, "why", json_string(note.why));
}

/* And the end of the line. */
static void print_note(const struct edge *e, uint16_t number)
{
	struct note note;

	edge_note_read(e, number, &note);
	if (*note.by)
		printf("  %s%s%s", note.by, *note.why ? ": " : "", note.why);
	putchar('\n');
}

uint64_t entry_seconds_left(uint32_t until)
{
	uint32_t now = clock_seconds();

	return until > now ? until - now : 0;
}

static void add_end(uint32_t until, json_t *to)
{
	if (until)
		json_object_set_new(to, "expires_in",
				    json_integer((json_int_t)entry_seconds_left(until)));
}

void entry_print_end(uint32_t until)
{
	if (until)
		printf("  ends in %" PRIu64 "s", entry_seconds_left(until));
}

json_t *entry_json(const struct edge *e, const struct edge_entry *entry)
{
	char text[CONF_CIDR_TEXT];
	json_t *all;

	conf_cidr_format(&entry->cidr, text);
	all = json_pack("{s:s, s:s}", "prefix", text, "origin", entry_origin(entry));
	add_end(entry->until, all);
	add_note(e, entry->note, all);
	return all;
}

void entry_print_note(const struct edge *e, const struct edge_entry *entry)
{
	entry_print_end(entry->until);
	print_note(e, entry->note);
}

const struct edge_banned *entry_find_ban(const struct edge_banned_list *bans,
					 const struct conf_cidr *address)
{
	const struct edge_banned *best = NULL;

	for (size_t i = 0; i < bans->n; i++) {
		const struct edge_banned *ban = &bans->items[i];

		if (conf_cidr_holds(&ban->cidr, address) &&
		    (!best || ban->cidr.prefixlen > best->cidr.prefixlen))
			best = ban;
	}
	return best;
}

/* Without its end. */
static json_t *verdict_json(const struct edge_banned *ban)
{
	char text[CONF_CIDR_TEXT];

	conf_cidr_format(&ban->cidr, text);
	return json_pack("{s:s, s:s, s:s, s:I}", "prefix", text, "by", ban->by, "reason", ban->why,
			 "offences", (json_int_t)ban->offences);
}

json_t *entry_ban_json(const struct edge_banned *ban)
{
	json_t *all;

	if (!ban)
		return json_null();
	all = verdict_json(ban);
	add_end(ban->until, all);
	if (ban->until)
		json_object_set_new(all, "until",
				    json_integer((json_int_t)(clock_wall() / NSEC_PER_SEC +
							      entry_seconds_left(ban->until))));
	return all;
}

static uint64_t ended_ago(const struct edge_banned *ban)
{
	return clock_seconds() - ban->until;
}

/* 0: about to be. */
static uint64_t forgotten_in(const struct edge_banned *ban, uint32_t remembered)
{
	uint64_t ago = ended_ago(ban);

	return remembered > ago ? remembered - ago : 0;
}

json_t *entry_past_ban_json(const struct edge_banned *ban, uint32_t remembered)
{
	json_t *all = verdict_json(ban);

	json_object_set_new(all, "ended_seconds_ago", json_integer((json_int_t)ended_ago(ban)));
	json_object_set_new(all, "forgotten_in",
			    json_integer((json_int_t)forgotten_in(ban, remembered)));
	return all;
}

static void print_verdict(const struct edge_banned *ban)
{
	if (*ban->by || *ban->why)
		printf("  %s%s%s", ban->by, *ban->by && *ban->why ? ": " : "", ban->why);
	if (ban->offences)
		printf(", offence %" PRIu32, ban->offences);
	putchar('\n');
}

void entry_print_ban(const struct edge_banned *ban)
{
	char text[CONF_CIDR_TEXT];

	conf_cidr_format(&ban->cidr, text);
	printf("%s", text);
	entry_print_end(ban->until);
	print_verdict(ban);
}

void entry_print_past_ban(const struct edge_banned *ban, uint32_t remembered)
{
	char text[CONF_CIDR_TEXT];

	conf_cidr_format(&ban->cidr, text);
	printf("%s  ended %" PRIu64 "s ago, forgotten in %" PRIu64 "s", text, ended_ago(ban),
	       forgotten_in(ban, remembered));
	print_verdict(ban);
}

/* "tcp/22" */
static void port_text(const struct conf_port *port, char ret[16])
{
	snprintf(ret, 16, "%s/%u", port->protocol == IPPROTO_TCP ? "tcp" : "udp", port->number);
}

/* Of what "only" says to others: what that means for them. */
static const char *action_text(const struct edge_rule *rule)
{
	static const char *const texts[] = {"deny", "allow", "only"};

	return rule->cidr.family	    ? texts[rule->action % 3]
	       : rule->action == RULE_ALLOW ? "allow"
					    : "deny";
}

static void prefix_text(const struct edge_rule *rule, char ret[CONF_CIDR_TEXT])
{
	if (rule->cidr.family)
		conf_cidr_format(&rule->cidr, ret);
	else
		snprintf(ret, CONF_CIDR_TEXT, "others");
}

json_t *entry_rule_json(const struct edge *e, const struct edge_rule *rule)
{
	char prefix[CONF_CIDR_TEXT], port[16];
	json_t *all;

	prefix_text(rule, prefix);
	port_text(&rule->to, port);
	all = json_pack("{s:s, s:s, s:s, s:s}", "action", action_text(rule), "prefix", prefix,
			"port", port, "origin", origin_text(rule->origin));
	add_end(rule->until, all);
	add_note(e, rule->note, all);
	return all;
}

void entry_print_rule(const struct edge *e, const struct edge_rule *rule)
{
	char text[EDGE_RULE_TEXT];

	edge_rule_format(rule, text);
	printf("%s %s, %s", action_text(rule), text, origin_text(rule->origin));
	entry_print_end(rule->until);
	print_note(e, rule->note);
}

void entry_list_rule(const struct edge *e, const struct edge_rule *rule)
{
	char prefix[CONF_CIDR_TEXT], port[16];

	prefix_text(rule, prefix);
	port_text(&rule->to, port);
	printf("%-16s %-5s %-43s %-9s %s", e->name, action_text(rule), prefix, port,
	       origin_text(rule->origin));
	entry_print_end(rule->until);
	print_note(e, rule->note);
}
