/* SPDX-License-Identifier: Apache-2.0 */
/* All commands and options of sluice. A new one is a row here, and a function or a member of struct options. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "conf/load_edge.h"
#include "conf/schema.h"
#include "edge/reason.h"
#include "loader/command.h"

static const char *parse_interface(const char *value, void *out)
{
	struct options *o = out;

	o->interface = value;
	return conf_interface_check(slice_str(value));
}

static const char *parse_mode(const char *value, void *out)
{
	static const char *const modes[] = {"auto", "native", "generic"};
	struct options *o = out;

	for (size_t i = 0; i < 3; i++)
		if (strcmp(value, modes[i]) == 0) {
			o->mode = (enum conf_xdp_mode)i;
			o->mode_given = true;
			return NULL;
		}
	return "no such mode";
}

static const char *parse_ttl(const char *value, void *out)
{
	struct options *o = out;

	if (!conf_parse_duration(slice_str(value), &o->ttl) || o->ttl == 0 ||
	    o->ttl / NSEC_PER_SEC > UINT32_MAX / 2)
		return "not a duration such as 30s, 10m or 24h";
	return NULL;
}

static const char *parse_interval(const char *value, void *out)
{
	struct options *o = out;

	return conf_parse_duration(slice_str(value), &o->interval) &&
			       o->interval >= NSEC_PER_SEC / 10 &&
			       o->interval <= 3600 * NSEC_PER_SEC
		       ? NULL
		       : "not a duration from 100ms to 1h";
}

static const char *parse_origin(const char *value, void *out)
{
	struct options *o = out;

	o->origin = value;
	return strcmp(value, "operator") == 0 || strcmp(value, "file") == 0 ? NULL
									    : "no such origin";
}

static const char *parse_reason(const char *value, void *out)
{
	struct options *o = out;

	o->reasons = edge_reasons_parse(slice_str(value));
	return o->reasons ? NULL : "not a reason, nor the beginning of some (sluice stats)";
}

static const char *parse_rate(const char *value, void *out)
{
	struct options *o = out;

	return conf_parse_rate(slice_str(value), &o->rate) && o->rate >= 1 && o->rate <= 1000000
		       ? NULL
		       : "not a rate such as 100/s, up to 1M/s";
}

static const char *parse_protocol(const char *value, void *out)
{
	struct options *o = out;

	o->protocol = value;
	return strcmp(value, "tcp") == 0 || strcmp(value, "udp") == 0 || strcmp(value, "icmp") == 0
		       ? NULL
		       : "no such protocol";
}

static const char *parse_events(const char *value, void *out)
{
	struct options *o = out;
	char *end;

	o->events = strtoull(value, &end, 10);
	return *value >= '0' && *value <= '9' && !*end && o->events ? NULL : "not a number from 1";
}

#define AT(member) .offset = offsetof(struct options, member)

static const struct cmdline_option options[OPTION_COUNT] = {
	[OPTION_CONFIG] = {"config", 'c', "FILE", AT(file), .help = "The configuration file."},
	[OPTION_INTERFACE] = {"interface", 'i', "IF", .parse = parse_interface,
			      .help = "This interface only, not all that are attached."},
	[OPTION_MODE] = {"mode", 'm', "auto|native|generic", .parse = parse_mode,
			 .help = "Where the program runs: in the driver (native), in the kernel's "
				 "receive path (generic), or in the better one that works (auto)."},
	[OPTION_SHARE] = {"share", 's', NULL, AT(share),
			  .help = "Share the interface with other XDP programs by libxdp's "
				  "dispatcher, which calls the guard first."},
	[OPTION_FIX_SYSCTL] = {"fix-sysctl", 'f', NULL, AT(fix_sysctl),
			       .help = "Set what the SYN gate needs of the kernel's settings, "
				       "instead of only naming it."},
	[OPTION_JSON] = {"json", 'j', NULL, AT(json), .help = "Print JSON, for scripts."},
	[OPTION_TTL] = {"ttl", 't', "DURATION", .parse = parse_ttl,
			.help = "The entries end after this time: 30s, 10m, 24h. One that is there "
				"without end stays so."},
	[OPTION_NOTE] = {"note", 'n', "TEXT", AT(note),
			 .help = "Why the entries are there; 47 bytes are kept."},
	[OPTION_BY] = {"by", 'b', "WHO", AT(by),
		       .help = "Who put them there, instead of the user who runs this."},
	[OPTION_FILE] = {"file", 'F', "FILE", AT(input),
			 .help = "Also the addresses in FILE, one a line, '#' comments; '-' is "
				 "standard input."},
	[OPTION_ORIGIN] = {"origin", 'o', "operator|file", .parse = parse_origin,
			   .help = "Only entries that were put there by hand, or by the "
				   "configuration file."},
	[OPTION_REASON] = {"reason", 'R', "REASON,...", .parse = parse_reason,
			   .help = "Only packets of these reasons; the beginning of some names "
				   "stands for all of them."},
	[OPTION_RATE] = {"rate", 'r', "RATE", .parse = parse_rate,
			 .help = "At most so many packets of each interface, 100/s unless given."},
	[OPTION_PASSES] = {"passes", 'p', NULL, AT(passes),
			   .help = "Packets that are not dropped, too: one in 16 of them."},
	[OPTION_PCAP] = {"pcap", 'w', "FILE", AT(pcap),
			 .help = "Write the packets' first 128 bytes there, for Wireshark, instead "
				 "of text; '-' is standard output."},
	[OPTION_EVENTS] = {"count", 'N', "NUMBER", .parse = parse_events,
			   .help = "End after so many packets."},
	[OPTION_FOLLOW] = {"follow", 'W', NULL, AT(follow),
			   .help = "Each line of FILE counts as soon as it is there; one that is "
				   "refused is named, and the next ones are read."},
	[OPTION_ONCE] = {"once", '1', NULL, AT(once),
			 .help = "Print one interval's rates and end."},
	[OPTION_INTERVAL] = {"interval", 'I', "DURATION", .parse = parse_interval,
			     .help = "How often it looks, 1s unless given."},
	[OPTION_TO] = {"to", 'T', "ADDRESS[:PORT]", AT(to),
		       .help = "Where the packet goes, instead of the interface's address and the "
			       "first port that is protected."},
	[OPTION_PROTO] = {"proto", 'P', "tcp|udp|icmp", .parse = parse_protocol,
			  .help = "What it is: a TCP segment, UDP, or a ping."},
	[OPTION_ACK] = {"ack", 'a', NULL, AT(ack),
			.help = "A TCP segment in the middle of a connection, instead of the SYN "
				"that begins one."},
};

const struct cmdline command_options = {options, OPTION_COUNT};

#define ANY	SIZE_MAX

#define FILTERS (OPTION(FILE) | OPTION(ORIGIN))

static const struct command_action list_actions[] = {
	{"add", "ADDRESS...", 1, ANY, OPTION(TTL) | OPTION(NOTE) | OPTION(BY) | OPTION(FILE),
	 "Put addresses and prefixes on the list: all or none."},
	{"del", "ADDRESS...", 1, ANY, OPTION(FILE), "Take them off the list: all or none."},
	{"list", "[ADDRESS...]", 0, ANY, FILTERS,
	 "Print the list, or what lies in or around the addresses."},
	{"count", "[ADDRESS...]", 0, ANY, FILTERS, "How many entries that are."},
	{"export", "[ADDRESS...]", 0, ANY, FILTERS,
	 "Print them as --file takes them; ends and notes become comments, which it does not "
	 "read."},
	{"test", "ADDRESS...", 1, ANY, OPTION(FILE),
	 "Whether addresses are on the list, and by which entry; exit status 3: one is not. Feeds "
	 "are "
	 "not looked at: why does that."},
	{"flush", "", 0, 0, 0, "Take everything off the list."},
	{0},
};

static const struct command_action ban_actions[] = {
	{"add", "ADDRESS...", 1, ANY,
	 OPTION(TTL) | OPTION(NOTE) | OPTION(BY) | OPTION(FILE) | OPTION(FOLLOW),
	 "Ban addresses and prefixes: all or none. A line of FILE may also be a JSON object: "
	 "{\"prefix\": \"203.0.113.7\", \"reason\": \"scans\", \"by\": \"ids\", \"ttl\": "
	 "\"10m\"}."},
	{"del", "ADDRESS...", 1, ANY, OPTION(FILE), "Lift their bans: all or none."},
	{"list", "[ADDRESS...]", 0, ANY, OPTION(FILE),
	 "Print the bans in force, or those in or around the addresses."},
	{"flush", "", 0, 0, 0, "Lift all bans, and forget who was banned."},
	{0},
};

static const struct command_action rule_actions[] = {
	{"add", "deny|allow|only ADDRESS... PORT...", 3, ANY,
	 OPTION(TTL) | OPTION(NOTE) | OPTION(BY),
	 "Deny ports, tcp/22 or udp/53, to addresses and prefixes; allow them although a shorter "
	 "prefix is denied; or allow them only to these."},
	{"del", "ADDRESS... PORT...", 2, ANY, 0, "Remove the rules of these prefixes and ports."},
	{"list", "", 0, 0, 0, "Print the rules, who made each, why and until when."},
	{"flush", "", 0, 0, 0, "Remove all."},
	{0},
};

#define COMMON (OPTION(INTERFACE) | OPTION(JSON))

const struct command commands[] = {
	{"attach", cmd_attach,
	 .options = COMMON | OPTION(CONFIG) | OPTION(MODE) | OPTION(SHARE) | OPTION(FIX_SYSCTL),
	 .required = OPTION(CONFIG),
	 .help = "Attach the guard with FILE's policy to IF, or to all interfaces that FILE "
		 "names."},
	{"detach", cmd_detach, .options = COMMON,
	 .help = "Detach it from IF, or from all, and forget its lists."},
	{"apply", cmd_apply, .options = COMMON | OPTION(CONFIG), .required = OPTION(CONFIG),
	 .help = "Put FILE's lists, ports and policy in place of those attached; what was added by "
		 "hand stays. Of an entry by hand that would end and that FILE names, too, the end "
		 "counts once FILE names it no more."},
	{"upgrade", cmd_upgrade, .options = COMMON | OPTION(CONFIG),
	 .help = "Put this build's program in place of the attached one; lists, policy and "
		 "counters stay. With FILE, room for as many bans as it says, when that is more."},
	{"status", cmd_status, .options = COMMON,
	 .help = "What is attached, how, since when, with what policy."},
	{"deny", cmd_list, .actions = list_actions, .options = COMMON,
	 .help = "Change or show the deny list: addresses and prefixes, IPv4 and IPv6."},
	{"allow", cmd_list, .actions = list_actions, .options = COMMON,
	 .help = "The same for the allow list, which comes before everything else."},
	{"never", cmd_list, .actions = list_actions, .options = COMMON,
	 .help = "The same for the list of those who are never banned; add lifts their bans."},
	{"ban", cmd_ban, .actions = ban_actions, .options = COMMON,
	 .help = "Keep addresses and prefixes away for a while, longer each time."},
	{"rule", cmd_rule, .actions = rule_actions, .options = COMMON,
	 .help = "Say who may speak to which ports; the longest prefix decides."},
	{"feeds", cmd_feeds, .options = COMMON,
	 .help = "The feeds that are loaded: their entries, what each has dropped, when it was "
		 "read from "
		 "which file, and the memory that all take."},
	{"top", cmd_top, .options = COMMON | OPTION(ONCE) | OPTION(INTERVAL),
	 .help = "What comes in, live: rates by reason, the sources that send the most, feeds that "
		 "hit, what a packet costs; q ends it, Tab shows the next interface."},
	{"why", cmd_why, .args = "ADDRESS[:PORT]", .min_args = 1, .max_args = 1,
	 .options = COMMON | OPTION(TO) | OPTION(PROTO) | OPTION(ACK),
	 .help = "What would become of a packet from there, and why: which entry decides, what is "
		 "left in its buckets, which bans have ended, what it was seen doing lately. "
		 "Asking changes nothing."},
	{"watch", cmd_watch,
	 .options = COMMON | OPTION(REASON) | OPTION(RATE) | OPTION(PASSES) | OPTION(PCAP) |
		    OPTION(EVENTS),
	 .help = "Show packets as they are dropped, a sample of them, and why, until Ctrl-C. One "
		 "at a time can watch an interface."},
	{"stats", cmd_stats, .options = COMMON,
	 .help = "Packets and bytes by what became of them."},
	{"check", cmd_check, .options = OPTION(CONFIG) | OPTION(JSON), .required = OPTION(CONFIG),
	 .help = "Check a configuration file, and the files that it names, as sluiced would."},
	{0},
};

static void usage_line(const struct command *c, const struct command_action *a, FILE *to)
{
	const char *args = a ? a->args : c->args;

	fprintf(to, "%s%s%s", c->name, a ? " " : "", a ? a->name : "");
	if (args && *args)
		fprintf(to, " %s", args);
	cmdline_usage(&command_options, c->options | (a ? a->options : 0), c->required, to);
	fputc('\n', to);
}

void command_usage(const struct command *c, const char *first, const char *others, FILE *to)
{
	const struct command_action *a = c->actions;

	fputs(first, to);
	usage_line(c, a, to);
	while (a && (++a)->name) {
		fputs(others, to);
		usage_line(c, a, to);
	}
}
