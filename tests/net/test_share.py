# SPDX-License-Identifier: Apache-2.0
"""
Interfaces shared with other programs by libxdp's dispatcher. It is made of extension programs, which some kernels refuse: there
each test sees that sharing is refused for that reason, and that nothing has changed. pytest -v tells by the name which it was.
"""
import ctypes
import json
import os
import pathlib
import re
import signal
import subprocess

import pytest
from conftest import BUILD, PINS, run, until
from test_all_or_none import strace
from test_living import DISPATCHER, config, daemon, two, veth  # noqa: F401, a fixture

EXT = 28
# libbpf's own probe: not the one that sluice uses.
SHARES = ctypes.CDLL("libbpf.so.1").libbpf_probe_bpf_prog_type(EXT, None) == 1
REASON = "can't be shared: this kernel refuses extension programs (freplace), of which libxdp's dispatcher is made: Operation not permitted"
SECOND = BUILD / "tests/bpf/second.bpf.o"
OTHER = BUILD / "variant-program/sluice"
XDP = pathlib.Path("/sys/fs/bpf/xdp")

pytestmark = pytest.mark.parametrize("kernel", ["shares" if SHARES else "refuses"])


def program(bed, interface=None):
    """Of the interface, as the kernel tells."""
    link = json.loads(run("ip", "-n", bed.gateway, "-j", "link", "show", interface or bed.interface).stdout)[0]
    return link.get("xdp", {}).get("prog", {}).get("id")


def shared(bed, text="", *args, interface=None):
    """Attach so. False: the kernel refuses, which was checked."""
    interface = interface or bed.interface
    before = program(bed, interface)
    pins = sorted(XDP.glob("*"))
    r = bed.sluice("attach", "-c", bed.config(text), "--interface", interface, "--share", *args, check=False)
    if SHARES:
        assert r.returncode == 0, r.stderr
        return True
    assert (r.returncode, r.stderr) == (1, f"sluice: {interface} {REASON}\n")
    assert program(bed, interface) == before and not (PINS / interface).exists()
    assert sorted(XDP.glob("*")) == pins and not list(PINS.glob(f":*{interface}"))
    assert bed.ping()
    return False


def status(bed, interface=None):
    return bed.json("status", "--interface", interface or bed.interface)[0]


def test_status_tells_whether(bed, kernel):
    bed.attach()
    assert status(bed)["features"]["freplace"] == (kernel == "shares")


def names(bed, interface=None):
    return [p["name"] for p in status(bed, interface)["shared"]["programs"]]


def add_second(bed, interface=None):
    bed.inside(bed.gateway, "xdp-loader", "load", "-m", "unspecified", "-s", "xdp", interface or bed.interface, SECOND)


def loaded(bed):
    """All programs of the interface's dispatcher: name, id, as xdp-loader tells; the guard may be none of them."""
    lines = bed.inside(bed.gateway, "xdp-loader", "status", bed.interface).stdout.splitlines()
    return {line.split()[2]: int(line.split()[3]) for line in lines if line.lstrip().startswith("=>")}


def met(bed):
    """Packets that the second program has met."""
    tool = "/usr/sbin/bpftool"
    info = json.loads(run(tool, "-j", "prog", "show", "id", loaded(bed)["second"]).stdout)
    return json.loads(run(tool, "-j", "map", "dump", "id", info["map_ids"][0]).stdout)[0]["formatted"]["value"]


def pinned(bed):
    """Ids of the guards that libxdp has pinned."""
    found = [json.loads(run("/usr/sbin/bpftool", "-j", "prog", "show", "pinned", p).stdout) for p in XDP.glob("*/prog*-prog")]
    return sorted(p["id"] for p in found if p["name"] == "sluice_guard")


def test_alone_in_a_dispatcher_of_its_own(bed, kernel):
    if not shared(bed, "  deny: [10.7.0.2]\n"):
        return
    assert not bed.ping() and bed.reasons()["denied"] > 0
    mine = status(bed)
    assert mine["attached"] and mine["mode"] == "native" and mine["link_id"] == 0 and mine["features"]["freplace"]
    assert [(p["name"], p["program_id"], p["priority"]) for p in mine["shared"]["programs"]] == \
        [("sluice_guard", mine["program_id"], 10)]
    assert mine["shared"]["dispatcher"] == program(bed)
    assert f"shared      by libxdp's dispatcher, program {program(bed)}: sluice_guard (priority 10)\n" in bed.sluice("status").stdout
    assert bed.json("why", "10.7.0.2")[0]["reason"] == "denied"
    assert "another program" not in bed.sluice("why", "10.7.0.2").stdout
    r = bed.sluice("attach", "--share", "-c", bed.config(), check=False)
    assert r.returncode == 1 and f"{bed.interface} is already attached (program {mine['program_id']})" in r.stderr
    bed.sluice("deny", "del", "10.7.0.2")
    assert bed.ping()
    bed.sluice("detach")
    assert program(bed) is None and not pinned(bed) and not (PINS / bed.interface).exists()


def test_asked_for_in_the_file(bed, kernel):
    file = bed.config("  deny: [10.7.0.2]\n")
    file.write_text(file.read_text().replace(f"{{name: {bed.interface}}}", f"{{name: {bed.interface}, share: true}}"))
    r = bed.sluice("attach", "-c", file, check=False)
    if SHARES:
        assert r.returncode == 0 and names(bed) == ["sluice_guard"] and not bed.ping()
    else:
        assert (r.returncode, r.stderr) == (1, f"sluice: {bed.interface} {REASON}\n")
        assert program(bed) is None and bed.ping() and not (PINS / bed.interface).exists()


def test_beside_a_program_that_is_there(bed, kernel):
    if SHARES:
        add_second(bed)
    if not shared(bed):
        return
    # Without sharing it is refused, and says how.
    r = bed.sluice("attach", "-c", bed.config(), "--interface", bed.interface, check=False)
    assert r.returncode == 1
    assert names(bed) == ["sluice_guard", "second"]
    before = met(bed)
    assert bed.ping() and met(bed) > before
    bed.sluice("deny", "add", "10.7.0.2")
    denied, before = bed.reasons()["denied"], met(bed)
    assert not bed.ping() and bed.reasons()["denied"] > denied
    assert met(bed) == before, "the guard comes first"
    bed.sluice("detach")
    assert list(loaded(bed)) == ["second"] and bed.ping() and met(bed) > before
    r = bed.sluice("attach", "-c", bed.config(), check=False)
    assert r.returncode == 1 and f"{bed.interface} is shared by libxdp's dispatcher (program {program(bed)})" in r.stderr
    assert "'share: true' in edge.interfaces, or --share" in r.stderr


def test_others_come_and_go(bed, kernel):
    if not shared(bed, "  deny: [10.7.0.2]\n"):
        return
    id_ = status(bed)["program_id"]
    add_second(bed)
    assert names(bed) == ["sluice_guard", "second"] and status(bed)["program_id"] == id_
    assert not bed.ping()
    bed.inside(bed.gateway, "xdp-loader", "unload", bed.interface, "--id", loaded(bed)["second"])
    assert names(bed) == ["sluice_guard"] and not bed.ping()
    # Somebody takes all off it: the lists wait, and attaching brings them back.
    bed.sluice("deny", "add", "192.0.2.9")
    bed.inside(bed.gateway, "xdp-loader", "unload", bed.interface, "--all")
    assert not status(bed)["attached"] and bed.ping()
    assert "has gone" in bed.sluice("status").stdout
    assert shared(bed, "  deny: [10.7.0.2]\n") and not bed.ping()
    assert "192.0.2.9" in bed.sluice("deny", "list").stdout


def test_the_mode_is_that_of_those_who_are_there(bed, kernel):
    if not SHARES:
        assert not shared(bed, "", "--mode", "generic")
        return
    bed.inside(bed.gateway, "xdp-loader", "load", "-m", "skb", "-s", "xdp", bed.interface, SECOND)
    before = program(bed)
    r = bed.sluice("attach", "--share", "--mode", "native", "-c", bed.config(), check=False)
    assert r.returncode == 1 and "is shared in generic mode by the programs that are there" in r.stderr
    assert program(bed) == before
    assert shared(bed) and status(bed)["mode"] == "generic" and names(bed) == ["sluice_guard", "second"]
    bed.sluice("detach")
    assert list(loaded(bed)) == ["second"]


def test_what_only_looks_like_a_dispatcher(bed, kernel):
    run("ip", "-n", bed.gateway, "link", "set", "dev", bed.interface, "xdp", "obj", DISPATCHER, "sec", "xdp")
    before = program(bed)
    if not SHARES:
        assert not shared(bed)
        return
    r = bed.sluice("attach", "--share", "-c", bed.config(), check=False)
    assert r.returncode == 1 and f"has a dispatcher (program {before}) of another version of libxdp" in r.stderr
    assert program(bed) == before and not (PINS / bed.interface).exists()


def test_upgrade_joins_before_the_old_one_leaves(bed, kernel):
    if SHARES:
        add_second(bed)
    if not shared(bed, "  deny: [10.7.0.2]\n"):
        return
    here = ("--interface", bed.interface)
    old = status(bed)["program_id"]
    assert not bed.ping()
    dropped = bed.reasons()["denied"]
    assert bed.sluice("upgrade", *here).stdout == f"{bed.interface}: unchanged\n"
    flood = subprocess.Popen(["nsenter", f"--net=/run/netns/{bed.client}", "ping", "-nqi", "0.002", "10.7.0.1"],
                             stdout=subprocess.PIPE, text=True)
    for tool in (OTHER, BUILD / "sluice", BUILD / "variant-grown/sluice"):
        assert bed.inside(bed.gateway, tool, "upgrade", *here).stdout == f"{bed.interface}: upgraded\n"
        assert list(loaded(bed)) == ["sluice_guard", "second"] and loaded(bed)["sluice_guard"] != old
        old = loaded(bed)["sluice_guard"]
        assert pinned(bed) == [old]
    flood.send_signal(signal.SIGINT)
    told = flood.communicate(timeout=20)[0]
    assert re.search(r"[0-9]{3,} packets transmitted, 0 received", told), told
    grown = (BUILD / "variant-grown/sluice", "stats", *here, "--json")
    reasons = json.loads(bed.inside(bed.gateway, *grown).stdout)[0]["reasons"]
    assert reasons["denied"]["packets"] > dropped
    bed.inside(bed.gateway, BUILD / "variant-grown/sluice", "detach", *here)
    assert list(loaded(bed)) == ["second"]


def test_two_interfaces_or_none(two, kernel):  # noqa: F811
    bed = two
    file = config(bed, "  deny: [10.7.0.2, 10.8.0.2]\n")
    file.write_text(file.read_text().replace("mode: generic", "share: true"))
    r = bed.sluice("attach", "-c", file, check=False)
    if not SHARES:
        assert (r.returncode, r.stderr) == (1, f"sluice: {bed.second} {REASON}\n")
        assert program(bed) is None and program(bed, bed.second) is None
        assert not [p for p in PINS.iterdir() if bed.interface in p.name or bed.second in p.name]
        return
    assert r.returncode == 0, r.stderr
    assert status(bed)["shared"] is None and names(bed, bed.second) == ["sluice_guard"]
    assert not bed.ping("10.7.0.1") and not bed.ping("10.8.0.1")
    bed.inside(bed.gateway, OTHER, "upgrade")
    assert not bed.ping("10.7.0.1") and not bed.ping("10.8.0.1")
    # From elsewhere it can be neither seen nor changed, and neither is the other one.
    r = run(BUILD / "sluice", "detach", check=False)
    assert r.returncode == 1 and f"{bed.second} is shared with other programs in another network namespace" in r.stderr
    assert "in another network namespace" in run(BUILD / "sluice", "status", "--interface", bed.second).stdout
    assert not bed.ping("10.7.0.1") and not bed.ping("10.8.0.1")
    bed.inside(bed.gateway, OTHER, "detach")
    assert bed.ping("10.7.0.1") and bed.ping("10.8.0.1")
    bed.sluice("detach", "--interface", bed.second, check=False)


def programs_held(bed):
    """Descriptors of packet programs that the daemon has open."""
    pid = bed.processes[-1].pid  # of nsenter, which has become sluiced
    return sum(os.readlink(f) == "anon_inode:bpf-prog" for f in pathlib.Path(f"/proc/{pid}/fd").iterdir())


def test_daemon_follows_an_interface_that_comes_back(two, kernel):  # noqa: F811
    bed = two
    file = config(bed, "  deny: [192.0.2.1]\n")
    file.write_text(file.read_text().replace("mode: generic", "share: true"))
    log = daemon(bed, file)
    here = ("--interface", bed.second)
    if not SHARES:
        assert f"packet plane off: {bed.second} {REASON}" in log.read_text()
        assert status(bed)["attached"] and program(bed, bed.second) is None
        return
    bed.sluice("deny", "add", "10.8.0.2", *here)
    assert bed.ping("10.7.0.1") and not bed.ping("10.8.0.1")
    old = status(bed, bed.second)["program_id"]
    run("ip", "-n", bed.gateway, "link", "del", bed.second)
    until(lambda: f"{bed.second} has gone" in log.read_text(), "its loss in the log")
    assert not status(bed, bed.second)["attached"]
    veth(bed, bed.second, 8)
    until(lambda: log.read_text().count(f"packet plane: {bed.second} follows") == 2, "the guard", 60)
    assert names(bed, bed.second) == ["sluice_guard"] and not bed.ping("10.8.0.1")
    entries = {e["prefix"]: e["origin"] for e in bed.json("deny", "list", *here)[0]["entries"]}
    assert entries == {"10.8.0.2": "operator", "192.0.2.1": "file"}
    assert old not in pinned(bed), "the dispatcher of the interface that has gone"
    before = programs_held(bed)
    for i in range(3):
        seen = len(log.read_text())
        file.write_text(file.read_text().replace(f"192.0.2.{i + 1}", f"192.0.2.{i + 2}"))
        bed.processes[-1].send_signal(signal.SIGHUP)
        until(lambda: f"{bed.second} follows" in log.read_text()[seen:], "the reload", 60)  # noqa: B023
    assert programs_held(bed) == before, "leaked descriptors"
    file.write_text(file.read_text().replace(", share: true", ""))
    bed.processes[-1].send_signal(signal.SIGHUP)
    until(lambda: f"{bed.second} is shared, as when it was attached" in log.read_text(), "the note", 60)
    run("ip", "-n", bed.gateway, "link", "del", bed.second)
    until(lambda: log.read_text().count(f"{bed.second} has gone") == 2, "its loss in the log")
    bed.sluice("detach", *here)
    assert pinned(bed) == [] and not (PINS / bed.second).exists()


def points(made):
    """Where to kill: the last calls, where things are pinned and moved, every other one."""
    last = made.count("bpf")
    found = [("bpf", n) for n in range(max(1, last - 60), last + 1, 5)]
    for call in ("mkdir", "rename", "renameat2", "unlink"):
        n = made.count(call)
        found += [(call, k) for k in sorted({1, (n + 1) // 2, n}) if 0 < k <= n]
    return found


@pytest.mark.parametrize("what", ["attach", "upgrade", "detach"])
def test_killed_commands_leave_old_or_new(bed, kernel, what):
    if not SHARES:
        assert not shared(bed)
        return
    add_second(bed)
    file = bed.config("  deny: [10.7.0.2]\n")
    sluice = BUILD / "sluice"
    commands = {"attach": (sluice, "attach", "--share", "-c", file), "upgrade": (OTHER, "upgrade"), "detach": (sluice, "detach")}
    command = (*commands[what], *(("--interface", bed.interface) if what != "attach" else ()))

    def once(*inject):
        if what != "attach":
            shared(bed, "  deny: [10.7.0.2]\n")
        made, r = strace(bed, command, *inject)
        return made, r

    made, r = once()
    assert r.returncode == 0, r.stderr
    if what != "detach":
        bed.sluice("detach")
    ended = set()
    for call, n in points(made):
        _, r = once("-e", f"inject={call}:signal=KILL:when={n}")
        assert r.returncode == -signal.SIGKILL, r.stderr
        if what == "upgrade":
            assert not bed.ping(), (call, n)
        bed.sluice("deny", "add", "192.0.2.7", check=False)  # whoever takes the lock ends it
        there = (PINS / bed.interface).exists()
        ended.add(there and loaded(bed).get("sluice_guard"))
        assert there == (not bed.ping()), (call, n)
        assert sorted(loaded(bed)) == (["second", "sluice_guard"] if there else ["second"]), (call, n)
        assert pinned(bed) == ([loaded(bed)["sluice_guard"]] if there else []), (call, n)
        assert not list(PINS.glob(f":*{bed.interface}")), (call, n)
        if there:
            bed.sluice("detach")
            assert bed.ping() and list(loaded(bed)) == ["second"]
    assert len(ended) > 1, "always the same end"
