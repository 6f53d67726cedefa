# SPDX-License-Identifier: Apache-2.0
"""Bans on a real interface: commands, programs that pipe, ends, refusals; killed ones leave old or new."""
import json
import signal
import subprocess
import time

import pytest
from conftest import BUILD, PINS, run, until
from test_lists import killed
from test_living import daemon


def bpftool(*args, **more):
    return run("/usr/sbin/bpftool", *args, **more)


def dump(bed, name):
    return [e["formatted"] for e in json.loads(bpftool("-j", "map", "dump", "pinned", PINS / bed.interface / name).stdout)]


def bans(bed, *args):
    return {b["prefix"]: b for b in bed.json("ban", "list", *args, "--interface", bed.interface)[0]["bans"]}


def test_a_ban_holds_and_ends_by_itself(bed):
    """No daemon runs."""
    bed.attach("  bans: {ttl: 2s, escalate: 3x, max_ttl: 20s}\n")
    here = ("--interface", bed.interface)
    assert bed.ping() and bed.ping("fd07::1")
    begin = time.monotonic()
    added = bed.json("ban", "add", "10.7.0.2", "--note", "scans", "--by", "alice", *here)[0]["added"]
    assert [(b["prefix"], b["offences"], b["by"], b["reason"]) for b in added] == [("10.7.0.2", 1, "alice", "scans")]
    assert not bed.ping() and bed.ping("fd07::1")
    assert list(bans(bed)) == ["10.7.0.2"]
    assert bed.reasons()["banned"] >= 1
    until(bed.ping, "the end of the ban")
    assert 2 <= time.monotonic() - begin < 10
    assert bans(bed) == {}
    # Who comes back is banned for longer.
    again = bed.json("ban", "add", "10.7.0.2", *here)[0]["added"][0]
    assert again["offences"] == 2 and 5 <= again["expires_in"] <= 7
    assert abs(again["until"] - time.time() - 6) < 3
    assert not bed.ping()
    assert bed.sluice("ban", "del", "10.7.0.2", *here).stdout == f"{bed.interface}: ban: 1 removed\n"
    assert bed.ping()
    r = bed.sluice("ban", "del", "10.7.0.2", *here, check=False)
    assert (r.returncode, r.stderr) == (3, f"sluice: 10.7.0.2 is not banned on {bed.interface}\n")


def test_the_daemon_forgets(bed):
    daemon(bed, bed.config("  bans: {ttl: 1s, max_ttl: 1s}\n"))
    bed.sluice("ban", "add", "10.7.0.2", "2001:db8::/48", "--interface", bed.interface)
    assert not bed.ping() and len(dump(bed, "bans")) == 2
    until(lambda: dump(bed, "bans") == [], "the sweep")
    assert bed.ping()
    assert [v["n"] for k, v in dump(bed, "lengths")[0]["value"].items() if k != "filtered"] == [0, 0, 0, 0]


def test_never(bed):
    bed.attach("  bans: {never: [10.7.0.0/16]}\n")
    here = ("--interface", bed.interface)
    r = bed.sluice("ban", "add", "192.0.2.1", "10.7.0.2", *here, check=False)
    assert (r.returncode, r.stderr) == (
        1, "sluice: 10.7.0.2 must not be banned: 10.7.0.0/16 is on the never-ban list\n")
    assert bans(bed) == {}, "all or none"
    r = bed.sluice("ban", "add", "10.0.0.0/8", *here, check=False)
    assert r.returncode == 1 and "10.7.0.0/16 is on the never-ban list" in r.stderr
    bed.sluice("never", "add", "fd07::2", "--note", "our monitor", *here)
    assert bed.sluice("ban", "add", "fd07::/64", *here, check=False).returncode == 1
    assert {e["prefix"]: e["origin"] for e in bed.json("never", "list", *here)[0]["entries"]} == {
        "10.7.0.0/16": "file", "fd07::2": "operator"}
    bed.sluice("apply", "-c", bed.config("  bans: {never: [192.0.2.0/24]}\n"), *here)
    assert {e["prefix"] for e in bed.json("never", "list", *here)[0]["entries"]} == {"192.0.2.0/24", "fd07::2"}
    bed.sluice("never", "del", "fd07::2", *here)
    bed.sluice("ban", "add", "fd07::/64", "10.7.0.2", *here)
    assert not bed.ping() and not bed.ping("fd07::1")
    bed.sluice("ban", "flush", *here)
    assert bed.ping() and bed.ping("fd07::1") and dump(bed, "bans") == []


def test_never_from_now_on(bed):
    """Who is put on the never-ban list, by hand or by the file, is banned no more."""
    bed.attach()
    here = ("--interface", bed.interface)
    bed.sluice("ban", "add", "10.7.0.2", "10.7.0.0/24", "fd07::/64", *here)
    assert not bed.ping() and not bed.ping("fd07::1")
    r = bed.sluice("never", "add", "10.7.0.0/16", "fd07::2", *here)
    assert r.stdout == f"{bed.interface}: never: 2 added\n{bed.interface}: ban: 2 lifted\n"
    assert r.stderr == (f"sluice: warning: {bed.interface}: the ban of fd07::/64 stays, and holds fd07::2, "
                        "which is never to be banned\n")
    assert bed.ping() and not bed.ping("fd07::1") and list(bans(bed)) == ["fd07::/64"]
    assert bed.json("never", "add", "fd07::/64", *here) == [
        {"interface": bed.interface, "list": "never", "added": 1, "bans_lifted": 1}]
    assert bed.ping("fd07::1")
    bed.sluice("never", "flush", *here)
    bed.sluice("ban", "add", "10.7.0.2", "fd07::2", *here)
    r = bed.sluice("apply", "-c", bed.config("  bans: {never: [10.7.0.2]}\n"), *here)
    assert r.stderr == f"sluice: warning: {bed.interface}: 1 ban is lifted: bans.never names it\n"
    assert bed.ping() and list(bans(bed)) == ["fd07::2"]
    # A reload does the same.
    log = daemon(bed, bed.config())
    bed.config("  bans: {never: ['fd07::/64']}\n")
    bed.processes[-1].send_signal(signal.SIGHUP)
    until(lambda: bed.ping("fd07::1"), "the reload")
    assert f"{bed.interface}: 1 ban is lifted: bans.never names it" in log.read_text()


def test_shadow(bed):
    here = ("--interface", bed.interface)
    bed.attach("  bans: {mode: shadow, ttl: 90s, escalate: 3x, max_ttl: 36h}\n")
    bed.sluice("ban", "add", "10.7.0.2", *here)
    assert bed.ping()
    assert bed.reasons()["banned"] >= 1
    assert bed.json("status", *here)[0]["bans"] == {"mode": "shadow", "ttl": 90, "escalate": 3, "max_ttl": 36 * 3600}
    assert ("\n  bans        shadow: they only count, for 1m30s, 3 times longer each time, at most 1d12h\n"
            in bed.sluice("status", *here).stdout)
    bed.sluice("apply", "-c", bed.config(), *here)
    assert bed.json("status", *here)[0]["bans"]["mode"] == "enforce"
    assert "\n  bans        enforced, for 10m, " in bed.sluice("status", *here).stdout
    assert not bed.ping(), "bans outlive a policy"


def test_another_program_pipes(bed):
    bed.attach()
    here = ("--interface", bed.interface)
    lines = ('{"prefix": "203.0.113.7", "reason": "12 failed logins", "by": "sshd", "ttl": "1h"}\n'
             f'{{"prefix": "203.0.113.8", "until": {int(time.time()) + 300}}}\n'
             "# a comment\n"
             "2001:db8::/64\n")
    out = bed.sluice("ban", "add", "--file", "-", "--by", "me", *here, input=lines).stdout
    assert out == f"{bed.interface}: ban: 3 added\n"
    found = bans(bed)
    assert (found["203.0.113.7"]["by"], found["203.0.113.7"]["reason"]) == ("sshd", "12 failed logins")
    assert 3590 <= found["203.0.113.7"]["expires_in"] <= 3602
    assert 290 <= found["203.0.113.8"]["expires_in"] <= 302
    assert found["2001:db8::/64"]["by"] == "me" and 590 <= found["2001:db8::/64"]["expires_in"] <= 602
    assert set(bans(bed, "203.0.113.0/24")) == {"203.0.113.7", "203.0.113.8"}
    r = bed.sluice("ban", "add", "--file", "-", *here, input='192.0.2.1\n{"prefix": "x"}\n', check=False)
    assert r.returncode == 2
    assert r.stderr.startswith("sluice ban: standard input:2: 'prefix': 'x' is not an address or prefix"), r.stderr
    assert set(bans(bed)) == set(found)


def test_each_line_that_comes_counts(bed):
    """tail -f verdicts | sluice ban add --file - --follow"""
    bed.attach("  bans: {never: [192.0.2.0/24]}\n")
    follow = subprocess.Popen(["nsenter", f"--net=/run/netns/{bed.gateway}", BUILD / "sluice", "ban", "add", "--file", "-", "--follow",
                               "--by", "ids", "--interface", bed.interface], text=True, bufsize=1,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    bed.processes.append(follow)

    def ban(line):
        follow.stdin.write(line + "\n")
        assert follow.stdout.readline() == f"{bed.interface}: ban: 1 added\n"
        return follow.stdout.readline().split()[1]

    assert ban("10.7.0.2") == "10.7.0.2" and not bed.ping()
    follow.stdin.write("# nobody\n192.0.2.7\nnonsense\n")
    assert ban('{"prefix": "fd07::/64", "reason": "12 failed logins", "by": "sshd"}') == "fd07::/64" and not bed.ping("fd07::1")
    assert {p: b["by"] for p, b in bans(bed).items()} == {"10.7.0.2": "ids", "fd07::/64": "sshd"}
    _, said = follow.communicate(timeout=20)
    assert said.splitlines() == ["sluice: 192.0.2.7 must not be banned: 192.0.2.0/24 is on the never-ban list",
                                 "sluice ban: standard input:4: 'nonsense' is not an address or prefix such as 10.0.0.0/8"]
    assert follow.returncode == 1
    r = bed.sluice("ban", "add", "10.7.0.2", "--follow", check=False)
    assert (r.returncode, r.stderr) == (2, "sluice ban: --follow is for --file\n")
    bed.sluice("ban", "flush", "--interface", bed.interface)
    r = bed.sluice("ban", "add", "10.7.0.2", "--file", "-", "--follow", "--interface", bed.interface, input="fd07::2\n")
    assert set(bans(bed)) == {"10.7.0.2", "fd07::2"}


@pytest.mark.parametrize("args, why", [
    (("add",), "missing"), (("add", "10.0.0.1/8"), "has bits set behind its prefix"),
    (("add", "nobody"), "is not an address or prefix"), (("del", "x"), "is not an address or prefix"),
    (("add", "192.0.2.1", "--ttl", "soon"), "not a duration"), (("forgive",), "no such action")])
def test_bad_usage(bed, args, why):
    r = bed.sluice("ban", *args, check=False)
    assert r.returncode == 2 and why in r.stderr, r.stderr


def test_a_missing_file_is_no_missing_entry(bed, tmp_path):
    for command in ("ban", "deny"):
        r = bed.sluice(command, "add", "--file", tmp_path / "none", check=False)
        assert (r.returncode, r.stderr) == (1, f"sluice {command}: {tmp_path}/none: No such file or directory\n")


def test_full_refuses_and_keeps(bed):
    bed.attach("  bans: {capacity: 1000, max_ttl: 1h}\n")
    here = ("--interface", bed.interface)
    bed.sluice("ban", "add", "10.7.0.2", *here)
    many = "".join(f"11.0.{i >> 8}.{i & 255}\n" for i in range(1000))
    r = bed.sluice("ban", "add", "--file", "-", *here, input=many, check=False)
    assert (r.returncode, r.stderr) == (1, "sluice: 11.0.3.231: there are 1000 bans already (bans.capacity)\n")
    assert list(bans(bed)) == ["10.7.0.2"]
    bed.sluice("ban", "add", "--file", "-", *here, input="".join(many.splitlines(True)[:999]))
    r = bed.sluice("ban", "add", "192.0.2.1", *here, check=False)
    assert r.returncode == 1 and "there are 1000 bans already" in r.stderr
    r = bed.sluice("ban", "add", "192.0.2.1", "--ttl", "2h", *here, check=False)
    assert r.returncode == 1 and "7200s is longer than bans.max_ttl, 3600s" in r.stderr
    assert len(bans(bed)) == 1000 and not bed.ping()
    r = bed.sluice("apply", "-c", bed.config("  bans: {capacity: 2000}\n"), *here)
    assert "there is room for 1000 bans, as when it was attached" in r.stderr
    assert len(bans(bed)) == 1000
    # Another size is another interface's: a new program takes the map as it is.
    assert bed.inside(bed.gateway, BUILD / "variant-program/sluice", "upgrade", *here).stdout.endswith("upgraded\n")
    assert len(bans(bed)) == 1000 and not bed.ping()
    bed.sluice("ban", "del", "10.7.0.2", *here)
    assert bed.ping()


def test_room_for_more(bed):
    """A larger bans.capacity counts from an upgrade with the file, or the start of the daemon; the bans stay."""
    def capacity():
        return bed.json("ban", "list", *here)[0]["capacity"]

    here = ("--interface", bed.interface)
    bed.attach("  bans: {capacity: 3}\n")
    bed.sluice("ban", "add", "10.7.0.2", "192.0.2.1", "192.0.2.2", *here)
    assert bed.sluice("upgrade", *here).stdout == f"{bed.interface}: unchanged\n" and capacity() == 3
    larger = bed.config("  bans: {capacity: 5}\n")
    r = bed.sluice("apply", *here, "-c", larger)
    assert "room for 3 bans, as when it was attached; 'sluice upgrade -c FILE' makes it what bans.capacity says\n" in r.stderr
    assert bed.sluice("upgrade", *here, "-c", larger).stdout == f"{bed.interface}: upgraded\n" and capacity() == 5
    assert sorted(bans(bed)) == ["10.7.0.2", "192.0.2.1", "192.0.2.2"] and not bed.ping() and bed.ping("fd07::1")
    bed.sluice("ban", "add", "192.0.2.3", "fd07::2", *here)
    assert not bed.ping("fd07::1") and bed.sluice("ban", "add", "192.0.2.4", *here, check=False).returncode == 1
    # It is not made again, and not smaller.
    assert bed.sluice("upgrade", *here, "-c", larger).stdout == f"{bed.interface}: unchanged\n"
    r = bed.sluice("upgrade", *here, "-c", bed.config("  bans: {capacity: 1}\n"))
    assert r.stdout == f"{bed.interface}: unchanged\n" and capacity() == 5 and len(bans(bed)) == 5
    daemon(bed, bed.config("  bans: {capacity: 7}\n"))
    assert capacity() == 7 and len(bans(bed)) == 5 and not bed.ping()


def test_bpftool_bans(bed):
    bed.attach()
    bans_, lengths = PINS / bed.interface / "bans", PINS / bed.interface / "lengths"
    zeros = ["0"] * 12
    bpftool("map", "update", "pinned", bans_, "key", "4", "32", "0", "0", "10", "7", "0", "2", *zeros, "value", *["0"] * 88)
    bpftool("map", "update", "pinned", lengths, "key", "0", "0", "0", "0", "value", "1", "32", *["0"] * 38)
    assert not bed.ping()
    assert bans(bed)["10.7.0.2"]["offences"] == 0 and "until" not in bans(bed)["10.7.0.2"]
    assert "\n  ban       10.7.0.2\n" in bed.sluice("why", "10.7.0.2", "--interface", bed.interface).stdout
    # A text that is not UTF-8 is no reason to say nothing of the ban.
    bpftool("map", "update", "pinned", bans_, "key", "4", "32", "0", "0", "10", "7", "0", "2", *zeros,
            "value", *["0"] * 24, "255", *["0"] * 63)
    assert bed.json("why", "10.7.0.2", "--interface", bed.interface)[0]["ban"] == {"prefix": "10.7.0.2", "by": "?", "reason": "", "offences": 0}
    assert bans(bed)["10.7.0.2"]["by"] == "?"
    key = dump(bed, "bans")[0]["key"]
    assert (key["family"], key["prefixlen"], key["addr"][:4]) == (4, 32, [10, 7, 0, 2])
    bed.sluice("ban", "add", "192.0.2.0/24", "--interface", bed.interface)
    assert not bed.ping()
    bpftool("map", "delete", "pinned", bans_, "key", "4", "32", "0", "0", "10", "7", "0", "2", *zeros)
    assert bed.ping()


def test_bpftool_bans_beside_others(bed):
    """After `sluice ban add`, as the README says: filtered becomes 0, all else of lengths stays."""
    bed.attach()
    here = ("--interface", bed.interface)
    pins = PINS / bed.interface
    bed.sluice("ban", "add", "10.7.0.77", "fd07::/64", *here)
    bpftool("map", "update", "pinned", pins / "bans", "key", "4", "32", "0", "0", "10", "7", "0", "2", *["0"] * 12, "value", *["0"] * 88)
    assert bed.ping(), "filtered is 1"
    lengths = json.loads(bpftool("-j", "map", "lookup", "pinned", pins / "lengths", "key", "0", "0", "0", "0").stdout)["value"]
    assert len(lengths) == 40 and [int(b, 16) for b in lengths[-8:]] == [1, *[0] * 7]
    bpftool("map", "update", "pinned", pins / "lengths", "key", "0", "0", "0", "0", "value", *lengths[:-8], *["0"] * 8)
    assert not bed.ping() and not bed.ping("fd07::1")
    bed.sluice("ban", "add", "10.7.0.78", *here)
    assert dump(bed, "lengths")[0]["value"]["filtered"] == 1 and not bed.ping()


def test_killed_bans_leave_old_or_new(bed):
    """ban add, killed at each bpf(2) call: all of them are banned or none, also for packets and the next command."""
    here = ("--interface", bed.interface)
    bed.attach()
    many = ["10.7.0.2", "2001:db8::/64", "192.0.2.1", "192.0.2.2"]
    seen = []
    for n in killed(bed, (BUILD / "sluice", "ban", "add", *many, *here), lambda: bed.sluice("ban", "flush", *here)):
        found = sorted(bans(bed))
        assert found in ([], sorted(many)), n
        assert bed.ping() == (found == []), n
        seen.append(found != [])
        bed.sluice("ban", "add", "192.0.2.77", *here)
        assert sorted(bans(bed)) == sorted([*found, "192.0.2.77"]), n
        assert {b["offences"] for b in bans(bed).values()} == {1}, n
    assert True in seen and False in seen
