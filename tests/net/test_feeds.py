# SPDX-License-Identifier: Apache-2.0
"""Feeds: files into the guard, replaced while packets come, watched by sluiced, limited in memory."""
import json
import os
import random
import re
import subprocess
import time

from conftest import BUILD, run, until
from test_daemon import serve
from test_living import config, two  # noqa: F401, a fixture

DROP = "  deny:\n    - {file: drop.netset}\n"

RECEIVE = """
import json, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('10.7.0.1', 7000))
seen = {}
print('up', flush=True)
while True:
    data, (who, _) = s.recvfrom(64)
    seen[who] = seen.get(who, 0) + 1
    if data == b'end':
        print(json.dumps(seen), flush=True)
        break
"""

SEND = """
import select, socket, sys, time
def to(source):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((source, 0))
    s.connect(('10.7.0.1', 7000))
    return s
good, bad = to('10.7.0.2'), to('10.7.0.3')
n = 0
print('up', flush=True)
while not select.select([sys.stdin], [], [], 0.002)[0]:
    bad.send(b'x')
    good.send(b'x')
    n += 1
time.sleep(0.2)
good.send(b'end')
print(n, flush=True)
"""


def write(bed, text, name="drop.netset"):
    """In one step, as whoever fetches a list should."""
    (bed.path / "new").write_text(text)
    os.replace(bed.path / "new", bed.path / name)


def feeds(bed):
    return {f["name"]: f for f in bed.json("feeds", "--interface", bed.interface)[0]["feeds"]}


def log(bed):
    return (bed.path / "stderr").read_text()


def test_sets_of_files(bed):
    here = ("--interface", bed.interface)
    write(bed, "# one\n10.7.0.2 ; the client\n198.51.100.0/24\n")
    write(bed, "fd07::-fd07::ffff\n10.7.0.0/24\n", "other.txt")
    assert bed.ping() and bed.ping("fd07::1")
    out = bed.attach("  deny:\n    - 203.0.113.0/24\n    - {file: drop.netset}\n    - {file: other.txt, name: wide}\n")
    assert "loading 2 feeds, 4 entries," in out.stderr and "MiB of memory" in out.stderr
    assert not bed.ping() and not bed.ping("fd07::1")
    got = feeds(bed)
    assert list(got) == ["drop", "wide"]
    assert (got["drop"]["entries4"], got["drop"]["entries6"]) == (2, 0)
    assert (got["wide"]["entries4"], got["wide"]["entries6"]) == (1, 1)
    assert got["drop"]["packets"] == 1 and got["wide"]["packets"] >= 1, "the longest prefix counts"
    assert got["drop"]["bytes"] == 98
    assert got["drop"]["file"] == str((bed.path / "drop.netset").resolve())
    assert abs(got["drop"]["loaded"] - time.time()) < 60
    assert bed.reasons()["listed"] == got["drop"]["packets"] + got["wide"]["packets"]
    text = bed.sluice("feeds", *here).stdout
    assert "drop" in text and "wide" in text and str(bed.path) in text
    r = bed.sluice("deny", "test", "203.0.113.1", "10.7.0.2", *here, check=False)
    assert r.returncode == 3 and "203.0.113.1 is on the deny list" in r.stdout
    assert r.stdout.endswith("10.7.0.2 is not on the deny list (whether in a feed, 'sluice why' says)\n"), r.stdout
    # What an operator adds by hand still counts, and a file without feeds ends them.
    bed.sluice("apply", *here, "-c", bed.config("  deny: [203.0.113.0/24]\n"))
    assert bed.ping() and bed.ping("fd07::1")
    assert bed.json("feeds", *here) == [{"interface": bed.interface, "memory": 0, "feeds": []}]


def test_a_broken_file_changes_nothing(bed):
    here = ("--interface", bed.interface)
    write(bed, "10.7.0.2\n")
    bed.attach(DROP)
    before = feeds(bed)
    write(bed, "10.7.0.3\n10.7.0.400\n")
    r = bed.sluice("apply", *here, "-c", bed.config(DROP), check=False)
    assert r.returncode == 1
    assert f"{bed.path}/drop.netset:2: '10.7.0.400' is not an address or prefix" in r.stderr
    assert feeds(bed) == before and not bed.ping()
    (bed.path / "drop.netset").unlink()
    r = bed.sluice("apply", *here, "-c", bed.config(DROP), check=False)
    assert r.returncode == 1 and "drop.netset: No such file" in r.stderr
    assert not bed.ping()


def test_names_in_json(bed):
    """A path that is cut within a character, and an error about bytes that are no text: nothing vanishes."""
    for extra in range(2):
        name = "ü" * 60 + "x" * extra + ".netset"
        write(bed, "10.7.0.2\n", name)
        deny = f"  deny: [{{file: {name}, name: drop}}]\n"
        bed.attach(deny) if extra == 0 else bed.sluice("apply", "-c", bed.config(deny), "--interface", bed.interface)
        file = feeds(bed)["drop"]["file"]
        assert len(file.encode()) in (78, 79) and name.endswith(file), file
    (bed.path / "drop.netset").write_bytes(b"10.7.0.2\n\xff\n")
    r = bed.sluice("check", "-c", bed.config(DROP), "--json", check=False)
    said = json.loads(r.stdout)
    assert r.returncode == 1 and not said["ok"] and len(said["errors"]) == 1
    assert said["errors"][0].endswith("drop.netset:2: '?' is not an address or prefix such as 10.0.0.0/8"), said


def test_a_million_entries_in_seconds_and_limited(bed):
    here = ("--interface", bed.interface)
    rnd = random.Random(1)
    lines = [f"{rnd.randrange(11, 220)}.{rnd.randrange(256)}.{rnd.randrange(256)}.{rnd.randrange(256)}"
             for _ in range(700000)]
    lines += [f"2001:db8:{rnd.randrange(65536):x}:{rnd.randrange(65536):x}::/64" for _ in range(300000)]
    write(bed, "\n".join(lines) + "\n")
    bed.attach()
    start = time.monotonic()
    out = bed.sluice("apply", *here, "-c", bed.config(DROP))
    assert time.monotonic() - start < 30
    got = feeds(bed)["drop"]
    assert got["entries4"] + got["entries6"] == len(set(lines))
    memory = bed.json("feeds", *here)[0]["memory"]
    assert f"loading 1 feed, {len(set(lines))} entries, {memory >> 20} MiB of memory" in out.stderr
    assert memory < 64 << 20
    r = bed.sluice("apply", *here, "-c", bed.config(DROP + "  feeds: {memory: 8MiB}\n"), check=False)
    assert r.returncode == 1
    assert f"take {memory >> 20} MiB, and edge.feeds.memory allows 8 MiB" in r.stderr
    assert feeds(bed)["drop"] == got


def test_replacements_let_nothing_through(bed):
    """Fifty of them, larger and smaller ones, while a listed source and a welcome one send all the time."""
    here = ("--interface", bed.interface)
    run("ip", "-n", bed.client, "addr", "add", "10.7.0.3/16", "dev", bed.peer)
    write(bed, "10.7.0.3\n")
    bed.attach(DROP)
    server = subprocess.Popen(["nsenter", f"--net=/run/netns/{bed.gateway}", "/usr/bin/python3", "-c", RECEIVE],
                              stdout=subprocess.PIPE, text=True)
    assert server.stdout.readline() == "up\n"
    client = subprocess.Popen(["nsenter", f"--net=/run/netns/{bed.client}", "/usr/bin/python3", "-c", SEND],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert client.stdout.readline() == "up\n"
    file = bed.config(DROP)
    listed = ["10.7.0.3", "10.7.0.3/32\n10.7.0.4", "10.7.0.3-10.7.0.9", "10.7.0.3/32"]
    for i in range(50):
        more = "".join(f"192.{j >> 8}.{j & 255}.0/25\n2001:db8:{j:x}::/48\n" for j in range((i % 5) * 4000))
        write(bed, f"{listed[i % 4]}\n{more}")
        bed.sluice("apply", *here, "-c", file)
    sent = int(client.communicate("\n", timeout=60)[0])
    seen, _ = server.communicate(timeout=60)
    assert json.loads(seen) == {"10.7.0.2": sent + 1}
    assert sent > 100 and feeds(bed)["drop"]["packets"] >= sent
    assert bed.reasons()["listed"] >= sent, "the counters went on"


def test_sluiced_begins_with_the_feeds_that_are_in_order(bed):
    """One that is missing takes the others off nobody; when it comes, all are loaded."""
    write(bed, "10.7.0.2\n")
    serve(bed, bed.config(DROP + "    - {file: missing.netset}\n"))
    assert "a feed is left out: " in log(bed) and "missing.netset" in log(bed)
    assert not bed.ping() and set(feeds(bed)) == {"drop"}
    (bed.path / "missing.netset").write_text("192.0.2.1\n")
    until(lambda: "has the new feeds" in log(bed), "the feeds")
    assert not bed.ping() and set(feeds(bed)) == {"drop", "missing"}


def test_sluiced_loads_what_changes(bed):
    write(bed, "10.7.0.9\n")
    serve(bed, bed.config(DROP))
    assert "loading 1 feed, 1 entries" in log(bed)
    assert bed.ping()
    write(bed, "10.7.0.2\n")
    until(lambda: not bed.ping(), "the new list")
    write(bed, "10.7.0.2\nwhat\n")
    until(lambda: "drop.netset:2: 'what' is not" in log(bed), "the warning")
    assert not bed.ping() and feeds(bed)["drop"]["entries4"] == 1
    write(bed, "10.7.0.9\n10.7.0.10\n")
    until(bed.ping, "the list after that")
    assert feeds(bed)["drop"]["entries4"] == 2


def test_each_interface_has_them(two):  # noqa: F811
    """By a command, and by sluiced when a file has changed."""
    bed = two
    bed.sluice("attach", "-c", config(bed))
    write(bed, "10.7.0.2\n10.8.0.2\n")
    file = config(bed, DROP)
    bed.sluice("apply", "-c", file)
    assert not bed.ping() and not bed.ping("10.8.0.1")
    serve(bed, file)
    write(bed, "10.7.0.9\n")
    until(lambda: bed.ping() and bed.ping("10.8.0.1"), "the new list")


def test_what_packets_may_be_reading_stays(bed):
    """The kernel waits for them with an update of the map of maps. Before that nothing is taken out of it."""
    write(bed, "10.7.0.3\n")
    bed.attach(DROP)
    write(bed, "10.7.0.4\n")
    trace = bed.path / "trace"
    bed.inside(bed.gateway, "strace", "-qq", "-o", trace, "-e", "trace=bpf", BUILD / "sluice", "apply", "--interface", bed.interface,
               "-c", bed.config(DROP), env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
    calls = re.findall(r"^bpf\(BPF_MAP_(UPDATE|DELETE)_ELEM, \{map_fd=(\d+)", trace.read_text(), re.M)
    taken, = {fd for call, fd in calls if call == "DELETE"}
    assert [call for call, fd in calls if fd == taken] == ["UPDATE", "DELETE"]


MMDB = """
use MaxMind::DB::Writer::Tree;
my %types = (country => 'map', iso_code => 'utf8_string', autonomous_system_number => 'uint32');
my $tree = MaxMind::DB::Writer::Tree->new(ip_version => 6, record_size => 24, database_type => 'Test',
    languages => ['en'], description => {en => 'test'}, alias_ipv6_to_ipv4 => 1, remove_reserved_networks => 0,
    map_key_type_callback => sub { $types{$_[0]} });
$tree->insert_network('10.7.0.2/31', {country => {iso_code => 'AQ'}, autonomous_system_number => 64496});
$tree->insert_network('10.9.0.0/16', {country => {iso_code => 'AQ'}, autonomous_system_number => 64497});
$tree->insert_network('10.7.1.0/24', {country => {iso_code => 'BV'}, autonomous_system_number => 64498});
$tree->insert_network('fd07::/64', {country => {iso_code => 'BV'}, autonomous_system_number => 64498});
open my $file, '>:raw', $ARGV[0] or die;
$tree->write_tree($file);
"""


def test_countries_and_systems(bed):
    here = ("--interface", bed.interface)
    run("perl", "-e", MMDB, bed.path / "test.mmdb")
    bed.attach("  deny:\n    - {mmdb: test.mmdb, countries: [AQ], name: aq}\n")
    assert not bed.ping() and bed.ping("fd07::1")
    assert (feeds(bed)["aq"]["entries4"], feeds(bed)["aq"]["entries6"]) == (2, 0)
    bed.sluice("apply", *here, "-c",
               bed.config("  deny:\n    - {mmdb: test.mmdb, asns: [64498, 64497], name: as}\n"))
    assert bed.ping() and not bed.ping("fd07::1")
    assert (feeds(bed)["as"]["entries4"], feeds(bed)["as"]["entries6"]) == (2, 1)
    for feed, why in (("{mmdb: test.mmdb, countries: [ZZ]}", "test.mmdb: no network of country ZZ"),
                      ("{mmdb: test.mmdb, asns: [1]}", "test.mmdb: no network of system 1"),
                      ("{mmdb: edge.yaml, asns: [1]}", "edge.yaml: "),
                      ("{mmdb: none.mmdb, asns: [1]}", "none.mmdb: No such file")):
        r = bed.sluice("apply", *here, "-c", bed.config(f"  deny:\n    - {feed}\n"), check=False)
        assert r.returncode == 1 and why in r.stderr
    assert bed.ping() and not bed.ping("fd07::1")
