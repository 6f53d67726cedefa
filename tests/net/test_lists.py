# SPDX-License-Identifier: Apache-2.0
"""The list commands on a real interface: ends, notes, files, filters; killed ones leave the old or the new."""
import json
import os
import signal
import time

from conftest import BUILD, until
from test_living import daemon


def entries(bed, *filters, family="deny"):
    return bed.json(family, "list", *filters, "--interface", bed.interface)[0]["entries"]


def prefixes(bed, *filters, family="deny"):
    return sorted(e["prefix"] for e in entries(bed, *filters, family=family))


def test_an_entry_ends_by_itself(bed):
    """No daemon runs: it stops counting at once, and the next command that changes something removes it."""
    bed.attach()
    here = ("--interface", bed.interface)
    bed.sluice("deny", "add", "10.7.0.2", "--ttl", "2s", *here)
    begin = time.monotonic()
    assert not bed.ping()
    until(bed.ping, "the end of the entry")
    assert 2 <= time.monotonic() - begin < 10
    assert prefixes(bed) == []
    deny4 = f"/sys/fs/bpf/sluice/{bed.interface}/deny4"
    dump = ("/usr/sbin/bpftool", "-j", "map", "dump", "pinned", deny4)
    assert len(json.loads(bed.inside(bed.gateway, *dump).stdout)) == 1
    bed.sluice("deny", "add", "192.0.2.1", *here)
    assert [e["formatted"]["key"]["addr"] for e in json.loads(bed.inside(bed.gateway, *dump).stdout)] == [[192, 0, 2, 1]]


def test_what_ends_lifts_nothing(bed):
    """A denial for a while of what the file denies, in either order."""
    file = bed.config("  deny: [10.7.0.2]\n  rules: [{deny: ['fd07::2'], to: [tcp/22]}]\n")
    here = ("--interface", bed.interface)
    bed.sluice("attach", "-c", file)
    r = bed.sluice("deny", "add", "10.7.0.2", "192.0.2.1", "--ttl", "1s", *here)
    assert r.stdout == f"{bed.interface}: deny: 1 added\n"
    assert r.stderr == f"sluice: warning: {bed.interface}: deny: 10.7.0.2 is there without end, and stays\n"
    r = bed.sluice("rule", "add", "deny", "fd07::2", "tcp/22", "--ttl", "1s", *here)
    assert r.stdout == f"{bed.interface}: rule: 0 added\n"
    assert r.stderr == f"sluice: warning: {bed.interface}: rule: fd07::2 to tcp/22 is there without end, and stays\n"
    r = bed.sluice("rule", "add", "allow", "fd07::2", "tcp/22", "--ttl", "1s", *here, check=False)
    assert r.returncode == 1 and "fd07::2 to tcp/22: there is a rule without end that says otherwise" in r.stderr
    until(lambda: prefixes(bed) == ["10.7.0.2"], "the end of the other")
    assert not bed.ping()
    assert [r["origin"] for r in bed.json("rule", "list", *here)[0]["rules"]] == ["file"]
    # The file names what was denied by hand, and names it no more.
    bed.sluice("apply", "-c", bed.config(), *here)
    assert bed.ping()
    bed.sluice("deny", "add", "10.7.0.2", "--ttl", "10m", "--note", "scans", "--by", "alice", *here)
    bed.sluice("apply", "-c", bed.config("  deny: [10.7.0.2]\n"), *here)
    assert entries(bed) == [{"prefix": "10.7.0.2", "origin": "file", "by": "alice", "why": "scans"}]
    bed.sluice("apply", "-c", bed.config(), *here)
    (entry,) = entries(bed)
    assert 590 <= entry.pop("expires_in") <= 601 and not bed.ping()
    assert entry == {"prefix": "10.7.0.2", "origin": "operator", "by": "alice", "why": "scans"}


def test_the_daemon_removes_what_has_ended(bed):
    daemon(bed, bed.config("  deny: [192.0.2.1]\n"))
    deny4 = f"/sys/fs/bpf/sluice/{bed.interface}/deny4"
    bed.sluice("deny", "add", "10.7.0.2", "--ttl", "1s", "--interface", bed.interface)
    assert not bed.ping()
    until(lambda: len(json.loads(bed.inside(bed.gateway, "/usr/sbin/bpftool", "-j", "map", "dump", "pinned",
                                            deny4).stdout)) == 1, "the sweep")
    assert bed.ping() and prefixes(bed) == ["192.0.2.1"]


def test_notes_and_filters(bed):
    bed.attach("  deny: [192.0.2.0/24, '2001:db8::/32']\n")
    here = ("--interface", bed.interface)
    bed.sluice("deny", "add", "203.0.113.7", "--note", "scans ssh", "--by", "alice", "--ttl", "10m", *here)
    bed.sluice("deny", "add", "203.0.113.8", "--note", "scans too", *here)
    bed.sluice("deny", "add", "192.0.2.9", *here)
    found = {e["prefix"]: e for e in entries(bed)}
    ssh = found["203.0.113.7"]
    assert (ssh["by"], ssh["why"], ssh["origin"]) == ("alice", "scans ssh", "operator") and 598 <= ssh["expires_in"] <= 601
    assert found["203.0.113.8"]["by"] and found["203.0.113.8"]["why"] == "scans too"
    assert found["192.0.2.9"] == {"prefix": "192.0.2.9", "origin": "operator"}
    text = bed.sluice("deny", "list", "203.0.113.7", *here).stdout
    assert "ends in" in text and "alice: scans ssh" in text
    assert prefixes(bed, "--origin", "file") == ["192.0.2.0/24", "2001:db8::/32"]
    assert prefixes(bed, "192.0.2.0/28") == ["192.0.2.0/24", "192.0.2.9"]
    assert prefixes(bed, "2001:db8::1", "203.0.113.0/24") == ["2001:db8::/32", "203.0.113.7", "203.0.113.8"]
    assert bed.json("deny", "count", "--origin", "operator", *here)[0]["entries"] == 3
    # An entry that is there gets the new end and note.
    bed.sluice("deny", "add", "203.0.113.7", *here)
    assert {e["prefix"]: e for e in entries(bed)}["203.0.113.7"] == {"prefix": "203.0.113.7", "origin": "operator"}


def test_a_note_is_text_on_a_line(bed):
    """It does not become lines of an export, nor vanish from JSON when it is cut."""
    bed.attach()
    here = ("--interface", bed.interface)
    bed.sluice("deny", "add", "192.0.2.1", "--note", "scans\n0.0.0.0/0", "--by", "eve\r\x1b[2J", *here)
    bed.sluice("deny", "add", "192.0.2.2", "--note", "x" * 46 + "ü", "--by", "y" * 14 + "ß", *here)
    bed.sluice("deny", "add", "192.0.2.3", "--note", b"gr\xfc\xdfe", "--by", b"\xff", *here)
    assert sorted(line.split()[0] for line in bed.sluice("deny", "export", *here).stdout.splitlines()) == [
        "192.0.2.1", "192.0.2.2", "192.0.2.3"]
    found = {e["prefix"]: (e["by"], e["why"]) for e in entries(bed)}
    assert found == {"192.0.2.1": ("eve  [2J", "scans 0.0.0.0/0"), "192.0.2.2": ("y" * 14, "x" * 46),
                     "192.0.2.3": ("?", "gr??e")}
    assert bed.json("deny", "export", "192.0.2.3", *here)[0]["entries"] == [
        {"prefix": "192.0.2.3", "origin": "operator", "by": "?", "why": "gr??e"}]


def test_files_and_standard_input(bed):
    bed.attach()
    here = ("--interface", bed.interface)
    file = bed.path / "drop.netset"
    file.write_text("# a comment\n192.0.2.0/24\n\n  2001:db8::/32 ; why\n203.0.113.7 # scans\r\n")
    assert bed.sluice("deny", "add", "--file", file, *here).stdout == f"{bed.interface}: deny: 3 added\n"
    assert prefixes(bed) == ["192.0.2.0/24", "2001:db8::/32", "203.0.113.7"]
    assert bed.sluice("deny", "add", "192.0.2.1", "192.0.2.1/32", *here).stdout == f"{bed.interface}: deny: 1 added\n"
    assert bed.sluice("deny", "del", "192.0.2.1", "192.0.2.1/32", *here).stdout == f"{bed.interface}: deny: 1 removed\n"
    exported = bed.sluice("deny", "export", *here).stdout
    assert sorted(exported.splitlines()) == ["192.0.2.0/24", "2001:db8::/32", "203.0.113.7"]
    bed.sluice("deny", "flush", *here)
    bed.sluice("deny", "add", "198.51.100.1", "--file", "-", *here, input=exported)
    assert prefixes(bed) == ["192.0.2.0/24", "198.51.100.1", "2001:db8::/32", "203.0.113.7"]
    file.write_text("\ufeff198.51.100.7 - 198.51.100.9 # a range\n") # as some editors write it
    bed.sluice("deny", "add", "--file", file, *here)
    assert prefixes(bed, "198.51.100.0/24") == ["198.51.100.1", "198.51.100.7", "198.51.100.8/31"]
    bed.sluice("deny", "del", "--file", file, *here)
    file.write_text("192.0.2.0/24\n203.0.113.999\n")
    r = bed.sluice("deny", "del", "--file", file, *here, check=False)
    assert r.returncode == 2 and f"{file}:2: '203.0.113.999' is not an address or prefix" in r.stderr
    r = bed.sluice("deny", "add", "--file", bed.path / "nowhere", *here, check=False)
    assert r.returncode == 1 and "nowhere: No such file" in r.stderr
    assert len(prefixes(bed)) == 4


def test_an_empty_file_is_about_nobody(bed):
    bed.attach("  deny: [192.0.2.1]\n")
    here = ("--interface", bed.interface)
    bed.sluice("ban", "add", "203.0.113.7", *here)
    file = bed.path / "empty"
    file.write_text("# nothing\n")
    assert bed.sluice("deny", "count", "--file", file, *here).stdout == f"{bed.interface}: deny: 0 entries\n"
    for command in (("deny", "list"), ("deny", "export"), ("ban", "list"), ("deny", "test")):
        assert bed.sluice(*command, "--file", file, *here).stdout == "", command
    assert bed.sluice("deny", "export", "--file", file, "192.0.2.0/24", *here).stdout == "192.0.2.1\n"


def test_what_could_not_be_written_is_told(bed):
    """An export to a full disk is no backup. What has been changed is done, whether or not that can be told."""
    bed.attach()
    here = ("--interface", bed.interface)
    for command, status in ((("deny", "add", "192.0.2.1"), 0), (("deny", "export"), 1), (("ban", "list", "--json"), 1),
                            (("status",), 1), (("why", "192.0.2.1"), 1), (("top", "--once"), 1)):
        r = bed.inside(bed.gateway, "sh", "-c", '"$@" >/dev/full', "sh", BUILD / "sluice", *command, *here, check=False)
        assert r.returncode == status, (command, r.stderr)
        assert r.stderr == ("sluice: standard output: No space left on device\n" if status else ""), command
    assert prefixes(bed) == ["192.0.2.1"]


def test_bytes_that_end_no_line_are_errors(bed):
    """Carriage returns alone, NUL bytes (UTF-16): what stands behind them must not be lost in silence."""
    bed.attach()
    here = ("--interface", bed.interface)
    file = bed.path / "drop.netset"
    for text in (b"192.0.2.1\r192.0.2.2\r192.0.2.3", b"192.0.2.1\0192.0.2.2\n", b"\0192.0.2.1\n"):
        file.write_bytes(text)
        for command in ("deny", "ban"):
            r = bed.sluice(command, "add", "--file", file, *here, check=False)
            assert r.returncode == 2 and f"sluice {command}: {file}:1: " in r.stderr, (text, r.stdout, r.stderr)
    assert prefixes(bed) == [] and bed.json("ban", "list", *here)[0]["bans"] == []
    file.write_bytes(b"192.0.2.1\r\n192.0.2.2")
    assert bed.sluice("deny", "add", "--file", file, *here).stdout == f"{bed.interface}: deny: 2 added\n"


def test_address_is_tested(bed):
    bed.attach("  deny: [192.0.2.0/24, 192.0.2.128/25]\n")
    here = ("--interface", bed.interface)
    r = bed.sluice("deny", "test", "192.0.2.129", *here)
    assert "192.0.2.129 is on the deny list by 192.0.2.128/25, file" in r.stdout
    r = bed.sluice("deny", "test", "192.0.2.1", "198.51.100.1", *here, check=False)
    assert r.returncode == 3 and "198.51.100.1 is not on the deny list" in r.stdout
    found = json.loads(bed.sluice("deny", "test", "192.0.2.1", *here, "--json").stdout)[0]
    assert found["listed"] is True and found["entry"] == {"prefix": "192.0.2.0/24", "origin": "file"}


def test_bad_arguments(bed):
    bed.attach()
    here = ("--interface", bed.interface)
    for arguments, words in ((("add", "10.0.0.1", "--ttl", "soon"), "not a duration"),
                             (("add", "10.0.0.1", "--ttl", "0s"), "not a duration"),
                             (("list", "--origin", "nobody"), "no such origin"),
                             (("flush", "--ttl", "1s"), "--ttl"),
                             (("add",), "an argument is missing")):
        r = bed.sluice("deny", *arguments, *here, check=False)
        assert r.returncode == 2 and words in r.stderr, r.stderr
    assert entries(bed) == []


def strace(bed, inject, command):
    return bed.inside(bed.gateway, "strace", "-qq", "-o", bed.path / "trace", "-e", "trace=bpf", *inject, *command,
                      check=False,
                      # LeakSanitizer does not work under ptrace.
                      env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})


def killed(bed, command, undo):
    """The command, killed at some of its bpf(2) calls in turn, a yield each time; then undo. It has worked once before."""
    assert strace(bed, (), command).returncode == 0
    calls = len((bed.path / "trace").read_text().splitlines())
    undo()
    # Most of them open what is pinned; what changes it comes last.
    for n in sorted({*range(calls // 3, calls, max(1, calls // 24)), *range(calls - 6, calls + 1)}):
        r = strace(bed, ("-e", f"inject=bpf:signal=KILL:when={n}"), command)
        assert r.returncode in (-signal.SIGKILL, 0), r.stderr
        yield n
        undo()


def test_killed_changes_leave_old_or_new(bed):
    """deny add of many, killed at each bpf(2) call: all of them are on the list or none, also for packets and the next one."""
    here = ("--interface", bed.interface)
    bed.attach("  deny: [192.0.2.1]\n")
    many = ["10.7.0.2", *(f"192.0.2.{i}" for i in range(2, 6))]
    old, new = ["192.0.2.1"], sorted(["192.0.2.1", *many])
    seen = []

    def undo():
        bed.sluice("deny", "flush", *here)
        bed.sluice("apply", *here, "-c", bed.config("  deny: [192.0.2.1]\n"))

    for n in killed(bed, (BUILD / "sluice", "deny", "add", *many, *here), undo):
        found = prefixes(bed)
        assert found in (old, new), n
        assert bed.ping() == (found == old), n
        seen.append(found == new)
        bed.sluice("allow", "add", "192.0.2.77", *here)
        assert prefixes(bed) == found, n
    assert True in seen and False in seen


def test_killed_apply_leaves_old_or_new(bed):
    here = ("--interface", bed.interface)

    def view():
        status = bed.json("status", *here)[0]
        return status["rate"], status["syn_mode"], prefixes(bed), prefixes(bed, family="allow")

    texts = ("  deny: [192.0.2.1, 10.7.0.2]\n  rate_limit: {rate: 100/s}\n",
             "  deny: [192.0.2.1, 192.0.2.2]\n  allow: [192.0.2.3]\n  syn_flood: {mode: auto}\n")
    files = [bed.config(text, name=f"{i}.yaml") for i, text in enumerate(texts)]
    views = []
    bed.sluice("attach", "-c", files[0])
    for file in reversed(files):
        bed.sluice("apply", *here, "-c", file)
        views.insert(0, view())
    assert views[0] != views[1]
    seen = []

    def undo():
        bed.sluice("apply", *here, "-c", files[0])
        assert view() == views[0]

    for n in killed(bed, (BUILD / "sluice", "apply", *here, "-c", files[1]), undo):
        found = view()
        assert found in views, n
        assert bed.ping() == (found == views[1]), n
        seen.append(views.index(found))
    assert 0 in seen and 1 in seen
