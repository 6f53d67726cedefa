# SPDX-License-Identifier: Apache-2.0
"""The packet plane: what the guard's ways cost over the empty program, beside an LPM trie alone, xdp-filter and the
bare SYN cookie helpers, with lists of several sizes."""
import json

from process import Failed

# Entries that are kept by hand, and in a feed.
SETTINGS = ((0, 0), (1000, 0), (0, 100_000), (0, 1_000_000), (1000, 1_000_000))
FLOOD = 10_000_000  # sources
RUN = 100_000  # packets a run, for each second that a run of the other suites has

# (way, is it so with this many entries, what it is compared with, at most)
NS, BARE, LOST = "ns", "bare cookie", "verified sources lost"
AIMS = [
    ("clean IPv4", lambda hand, feed: not hand, NS, 60),
    ("clean IPv6", lambda hand, feed: not hand, NS, 60),
    ("denied by address, IPv4", lambda hand, feed: True, NS, 60),
    ("denied by address, IPv6", lambda hand, feed: True, NS, 60),
    ("denied by prefix, IPv4", lambda hand, feed: True, NS, 60),
    ("denied by prefix, IPv6", lambda hand, feed: True, NS, 60),
    ("verified source, limited", lambda hand, feed: not hand, NS, 120),
    ("spoofed flood", lambda hand, feed: not hand, NS, 150),
    ("spoofed flood", lambda hand, feed: True, LOST, 0),
    ("SYN cookie, IPv4", lambda hand, feed: not hand and not feed, BARE, 1.3),
    ("SYN cookie, IPv6", lambda hand, feed: not hand and not feed, BARE, 1.3),
]


def size(text):
    """1000 or 1000+1000000: by hand, in a feed."""
    hand, _, feed = text.partition("+")
    return int(hand), int(feed or 0)


def measure(options, processes, directory):
    out, err = directory / "packet.json", directory / "packet.log"
    flood = min(FLOOD, options.seconds * RUN * 10) if options.seconds < 3 else FLOOD
    process = processes.start([options.build / "bench/packet", str(options.rounds), str(options.seconds * RUN),
                               str(flood), *(f"{hand}+{feed}" for hand, feed in options.entries or SETTINGS)],
                              0, err, out)
    if processes.finish(process, 900) != 0:
        raise Failed(f"bench/packet failed (it needs root and a kernel that takes XDP programs): "
                     f"{err.read_text().strip()}")
    return json.loads(out.read_text())


def settings(figures):
    return list(dict.fromkeys((f["by_hand"], f["in_feed"]) for f in figures))


def verdicts(figures):
    """One for each aim and each size that it is about: {way, by_hand, in_feed, what, is, aim, met}."""
    found = {(f["way"], f["by_hand"], f["in_feed"], f["subject"]): f for f in figures}
    out = []
    for way, concerns, what, aim in AIMS:
        for hand, feed in settings(figures):
            guard = found.get((way, hand, feed, "guard"))
            if guard is None or not concerns(hand, feed):
                continue
            value = guard["over_ns"]
            if what == LOST:
                value = guard["lost"]
            elif what == BARE:
                value /= max(1, found[way, hand, feed, what]["over_ns"])
            out.append({"way": way, "by_hand": hand, "in_feed": feed, "what": what, "is": value, "aim": aim,
                        "met": value <= aim})
    return out


def short(n):
    return f"{n // 1_000_000}M" if n >= 1_000_000 else f"{n // 1000}k" if n >= 1000 else str(n)


def title(hand, feed):
    if not feed:
        return f"{short(hand)} by hand" if hand else "none"
    return f"{short(hand)} + " * bool(hand) + f"{short(feed)} feed"


def verdict_text(found):
    """Each aim of a way once, with the sizes that miss it."""
    texts = []
    for what in dict.fromkeys(v["what"] for v in found):
        these = [v for v in found if v["what"] == what]
        aim = {NS: "<= {} ns", BARE: "<= {} of bare cookie", LOST: "<= {} verified sources lost"}[what]
        missed = [title(v["by_hand"], v["in_feed"]) for v in these if not v["met"]]
        texts.append(aim.format(these[0]["aim"]) + (f" MISSED with {', '.join(missed)}" if missed else " met"))
    return "; ".join(texts)


def table(figures, checked):
    sizes = settings(figures)
    rows = [("way", "subject", *(title(*s) for s in sizes), "aim")]
    # The longest list has all ways but those that are about no list.
    for way in dict.fromkeys(f["way"] for f in sorted(figures, key=lambda f: (f["by_hand"], f["in_feed"]) != sizes[-1])):
        name = way
        for subject in dict.fromkeys(f["subject"] for f in figures if f["way"] == way):
            by_size = {(f["by_hand"], f["in_feed"]): f["over_ns"] for f in figures
                       if f["way"] == way and f["subject"] == subject}
            aim = verdict_text([v for v in checked if v["way"] == way]) if subject == "guard" else ""
            rows.append((name, subject, *(str(by_size.get(s, "-")) for s in sizes), aim))
            name = ""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    left = (0, 1, len(widths) - 1)
    return "\n".join("  ".join(cell.ljust(w) if i in left else cell.rjust(w)
                               for i, (cell, w) in enumerate(zip(row, widths))).rstrip() for row in rows)


def run(options, processes, directory):
    """Measure, print the table; return what goes into the file."""
    figures = measure(options, processes, directory)
    checked = verdicts(figures)
    flood = max(f["sources"] for f in figures)
    print(f"Nanoseconds a packet over the empty program, BPF_PROG_TEST_RUN in turns, medians of {options.rounds} rounds. "
          "Every packet is from another\nsource, clean ones all over the address space, denied ones at random from the "
          f"list (the flood: {flood:,} sources in all).\n1,000 bans and as many rules for the packets' port are measured "
          "without a list. lpm: a trie and nothing else;\nxdp-filter: of xdp-tools, single addresses only; bare cookie: the "
          "helpers and nothing else.\n")
    print(table(figures, checked))
    return {"rounds": options.rounds, "figures": figures, "aims": checked}
