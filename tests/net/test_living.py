# SPDX-License-Identifier: Apache-2.0
"""Living with other things: several interfaces, some that come and go, other programs, commands that are killed."""
import fcntl
import json
import os
import re
import secrets
import signal
import subprocess

import pytest
from conftest import BUILD, PASS, PINS, run, until

DISPATCHER = BUILD / "tests/bpf/dispatcher.bpf.o"


def veth(bed, name, host):
    """Another pair between the two: 10.8.0.1 and 10.8.0.2; names and addresses as for the bed's own."""
    peer = name.replace("slg", "slc")
    run("ip", "link", "add", name, "netns", bed.gateway, "type", "veth", "peer", "name", peer, "netns", bed.client)
    for ns, dev, end in ((bed.gateway, name, 1), (bed.client, peer, 2)):
        run("ip", "-n", ns, "addr", "add", f"10.{host}.0.{end}/16", "dev", dev)
        run("ip", "-n", ns, "link", "set", dev, "up")


@pytest.fixture
def two(bed):
    bed.second = f"slg{secrets.token_hex(4)}"
    veth(bed, bed.second, 8)
    yield bed
    run(BUILD / "sluice", "detach", "--interface", bed.second, check=False)


def config(bed, text=""):
    file = bed.config(text)
    file.write_text(file.read_text().replace(f"{{name: {bed.interface}}}",
                                             f"{{name: {bed.interface}}}, {{name: {bed.second}, mode: generic}}"))
    return file


def daemon(bed, file):
    log = bed.path / "sluiced.log"
    bed.processes.append(subprocess.Popen(["nsenter", f"--net=/run/netns/{bed.gateway}", BUILD / "sluiced", "-c", file],
                                          stderr=log.open("wb")))
    until(lambda: "serving" in log.read_text(), "sluiced")
    return log


def test_two_interfaces_of_one_file(two):
    bed = two
    assert bed.ping("10.7.0.1") and bed.ping("10.8.0.1")
    bed.sluice("attach", "-c", config(bed, "  deny: [10.7.0.2, 10.8.0.2]\n"))
    mine = {i: bed.json("status", "--interface", i)[0]["mode"] for i in (bed.interface, bed.second)}
    assert mine == {bed.interface: "native", bed.second: "generic"}
    assert not bed.ping("10.7.0.1") and not bed.ping("10.8.0.1")
    bed.sluice("deny", "del", "10.8.0.2", "--interface", bed.second)
    assert not bed.ping("10.7.0.1") and bed.ping("10.8.0.1")


def test_two_interfaces_or_none(two):
    bed = two
    file = config(bed)
    file.write_text(file.read_text().replace(bed.second, "nowhere0"))
    r = bed.sluice("attach", "-c", file, check=False)
    assert (r.returncode, r.stderr) == (1, "sluice: there is no interface 'nowhere0'\n")
    assert not (PINS / bed.interface).exists()
    assert "xdp" not in run("ip", "-n", bed.gateway, "link", "show", bed.interface).stdout


def test_interface_comes_back_with_its_lists(two):
    bed = two
    log = daemon(bed, config(bed, "  deny: [192.0.2.1]\n"))
    here = ("--interface", bed.second)
    bed.sluice("deny", "add", "10.8.0.2", *here)
    assert bed.ping("10.7.0.1") and not bed.ping("10.8.0.1")
    run("ip", "-n", bed.gateway, "link", "del", bed.second)
    until(lambda: f"{bed.second} has gone" in log.read_text(), "its loss in the log")
    veth(bed, bed.second, 8)
    until(lambda: log.read_text().count(f"packet plane: {bed.second} follows") == 2, "the guard")
    assert bed.json("status", *here)[0]["attached"] is True
    entries = {e["prefix"]: e["origin"] for e in bed.json("deny", "list", *here)[0]["entries"]}
    assert entries == {"10.8.0.2": "operator", "192.0.2.1": "file"}
    assert not bed.ping("10.8.0.1") and bed.ping("10.7.0.1")


def test_interface_that_was_renamed(bed):
    bed.attach("  deny: [10.7.0.2]\n")
    old, new = bed.interface, bed.interface.replace("slg", "slr")
    run("ip", "-n", bed.gateway, "link", "set", old, "name", new)
    assert not bed.ping()
    config = bed.config().read_text().replace(old, new)
    (bed.path / "edge.yaml").write_text(config)
    r = bed.sluice("attach", "-c", bed.path / "edge.yaml", check=False)
    assert (r.returncode, r.stderr) == (1, f"sluice: {new} has the guard that was attached to it as {old}: "
                                           f"'sluice detach --interface {old}' first\n")
    bed.sluice("detach", "--interface", old)
    bed.sluice("attach", "-c", bed.path / "edge.yaml")
    assert bed.json("status", "--interface", new)[0]["attached"] is True
    bed.sluice("detach", "--interface", new)


def test_interface_that_comes_late(two):
    bed = two
    run("ip", "-n", bed.gateway, "link", "del", bed.second)
    log = daemon(bed, config(bed, "  deny: [10.8.0.2]\n"))
    assert f"packet plane off: there is no interface '{bed.second}'" in log.read_text()
    veth(bed, bed.second, 8)
    until(lambda: f"packet plane: {bed.second} follows" in log.read_text(), "the guard")
    assert not bed.ping("10.8.0.1")
    # What an operator detaches stays detached.
    bed.sluice("detach", "--interface", bed.second)
    assert bed.ping("10.8.0.1")


def test_a_command_that_hangs_does_not_hold_the_daemon(bed):
    file = bed.config("  deny: [10.7.0.2]\n")
    PINS.mkdir(exist_ok=True)
    lock = os.open(PINS, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    log = daemon(bed, file)
    p = bed.processes[-1]
    waiting = "packet plane: another command is changing it"
    assert waiting in log.read_text() and bed.ping()
    fcntl.flock(lock, fcntl.LOCK_UN)
    until(lambda: f"packet plane: {bed.interface} follows" in log.read_text(), "the guard")
    assert not bed.ping()
    fcntl.flock(lock, fcntl.LOCK_EX)
    bed.config()
    p.send_signal(signal.SIGHUP)
    until(lambda: "generation 2" in log.read_text(), "the reload")
    assert log.read_text().count(waiting) == 2 and not bed.ping()
    p.terminate()
    assert p.wait(40) == 0
    os.close(lock)


def test_daemon_tells_when_its_guard_has_gone(bed):
    log = daemon(bed, bed.config("  deny: [10.7.0.2]\n"))
    bed.sluice("detach", "--interface", bed.interface)
    gone = f"warn: packet plane: {bed.interface} has lost its guard"
    until(lambda: gone in log.read_text(), "the warning")
    assert bed.ping()
    bed.sluice("attach", "-c", bed.path / "edge.yaml")
    until(lambda: f"packet plane: {bed.interface} has a guard" in log.read_text(), "the guard")
    run("bpftool", "link", "detach", "pinned", PINS / bed.interface / "link")
    until(lambda: log.read_text().count(gone) == 2, "the second warning")


def test_daemon_gets_the_lock_between_the_commands_of_a_stream(bed):
    log = daemon(bed, bed.config())
    p = bed.processes[-1]
    # The addresses are those of a file without end: of what yes writes.
    addresses = subprocess.Popen(["yes", "192.0.2.1\n192.0.2.2"], stdout=subprocess.PIPE)
    stream = subprocess.Popen(["nsenter", f"--net=/run/netns/{bed.gateway}", BUILD / "sluice", "ban", "add", "--file", "-",
                               "--follow", "--ttl", "10m"], stdin=addresses.stdout, stdout=subprocess.DEVNULL)
    bed.processes += [addresses, stream]
    until(lambda: len(bed.json("ban", "list", "--interface", bed.interface)[0]["bans"]) == 2, "the stream")
    for i in range(5):
        bed.config(f"  deny: [10.7.0.{i + 2}]\n")
        p.send_signal(signal.SIGHUP)
        until(lambda i=i: f"generation {i + 2} " in log.read_text(), "the reload")
        assert stream.poll() is None
    assert deny_list(bed) == ["10.7.0.6"] and "another command" not in log.read_text()


def test_a_new_device_by_the_name_of_a_guarded_one(bed):
    """It is not taken for the guarded one, which has another name now; and once that is detached the new one is guarded."""
    log = daemon(bed, bed.config("  deny: [10.9.0.2]\n"))
    old = bed.interface.replace("slg", "slr")
    run("ip", "-n", bed.gateway, "link", "set", bed.interface, "name", old)
    until(lambda: f"{bed.interface} has gone" in log.read_text(), "its loss in the log")
    run("ip", "link", "add", bed.interface, "netns", bed.gateway, "type", "veth", "peer", "name",
        bed.interface.replace("slg", "slx"), "netns", bed.client)
    refused = f"{old} has the guard that was attached to {bed.interface}: 'sluice detach --interface {bed.interface}' first"
    until(lambda: refused in log.read_text(), "the refusal in the log")
    assert "xdp" not in run("ip", "-n", bed.gateway, "link", "show", bed.interface).stdout
    bed.sluice("detach", "--interface", bed.interface)
    bed.processes[-1].send_signal(signal.SIGHUP)
    until(lambda: log.read_text().count(f"packet plane: {bed.interface} follows") == 2, "the guard")
    assert "xdp" in run("ip", "-n", bed.gateway, "link", "show", bed.interface).stdout


def test_daemon_tries_again_what_failed(two):
    bed = two
    log = daemon(bed, config(bed, "  deny: [10.8.0.2]\n"))
    run("ip", "-n", bed.gateway, "link", "del", bed.second)
    until(lambda: f"{bed.second} has gone" in log.read_text(), "its loss in the log")
    name = bed.second.replace("slg", "slh")
    run("ip", "-n", bed.gateway, "link", "add", name, "type", "veth", "peer", "name", name.replace("slh", "sli"))
    run("ip", "-n", bed.gateway, "link", "set", "dev", name, "xdp", "obj", PASS, "sec", "xdp.frags")
    run("ip", "-n", bed.gateway, "link", "set", name, "name", bed.second)
    until(lambda: f"{bed.second} has an XDP program of somebody else" in log.read_text(), "the refusal in the log")
    run("ip", "-n", bed.gateway, "link", "set", "dev", bed.second, "xdp", "off")
    until(lambda: log.read_text().count(f"packet plane: {bed.second} follows") == 2, "the guard", 90)
    assert log.read_text().count("somebody else") == 1


def test_daemon_tells_of_what_is_no_longer_in_the_file(two):
    bed = two
    log = daemon(bed, config(bed))
    bed.config()
    bed.processes[-1].send_signal(signal.SIGHUP)
    until(lambda: "generation 2" in log.read_text(), "the reload")
    left = [line for line in log.read_text().splitlines() if "no longer in" in line]
    assert len(left) == 1 and f"'sluice detach --interface {bed.second}'" in left[0]
    assert bed.json("status", "--interface", bed.second)[0]["attached"] is True


def test_dispatcher_is_told_from_other_programs(bed):
    run("ip", "-n", bed.gateway, "link", "set", "dev", bed.interface, "xdp", "obj", DISPATCHER, "sec", "xdp")
    r = bed.sluice("attach", "-c", bed.config(), check=False)
    assert r.returncode == 1 and "is shared by libxdp's dispatcher" in r.stderr
    assert f"'xdp-loader unload {bed.interface} --all'" in r.stderr
    assert not (PINS / bed.interface).exists()


def deny_list(bed):
    return [e["prefix"] for e in bed.json("deny", "list", "--interface", bed.interface)[0]["entries"]]


def test_values_that_grew_are_migrated(bed):
    bed.attach("  deny: [10.7.0.2]\n")
    here = ("--interface", bed.interface)
    bed.sluice("deny", "add", "192.0.2.7", "2001:db8::/32", *here)
    before = sorted(deny_list(bed))
    assert not bed.ping()
    dropped = bed.reasons()["denied"]
    grown = BUILD / "variant-grown/sluice"
    r = bed.inside(bed.gateway, grown, "stats", *here, check=False)
    assert r.returncode == 1 and f"'sluice upgrade --interface {bed.interface}' takes it over" in r.stderr, r.stderr
    assert bed.inside(bed.gateway, grown, "upgrade", *here).stdout == f"{bed.interface}: upgraded\n"
    assert not bed.ping()
    found = json.loads(bed.inside(bed.gateway, grown, "deny", "list", *here, "--json").stdout)[0]["entries"]
    assert sorted(e["prefix"] for e in found) == before
    counted = json.loads(bed.inside(bed.gateway, grown, "stats", *here, "--json").stdout)[0]["reasons"]
    assert counted["denied"]["packets"] > dropped
    # The maps that are pinned are those that the program reads.
    bed.inside(bed.gateway, grown, "deny", "del", "10.7.0.2", *here)
    assert bed.ping()
    assert bed.inside(bed.gateway, grown, "upgrade", *here).stdout == f"{bed.interface}: unchanged\n"
    # Back is no growth.
    for command in ("upgrade", "stats"):
        r = bed.sluice(command, *here, check=False)
        assert r.returncode == 1 and "is of another layout" in r.stderr, r.stderr
    assert bed.ping()


def test_members_in_each_others_place_are_not_misread(bed):
    bed.attach("  deny: [10.7.0.2]\n")
    assert not bed.ping()
    for command in ("upgrade", "stats"):
        r = bed.inside(bed.gateway, BUILD / "variant-swapped/sluice", command, "--interface", bed.interface, check=False)
        assert r.returncode == 1, r.stdout
        assert re.search(r"the pinned map \w+ is of another layout \('[\w.]+\.packets' is not what it was\)", r.stderr), r.stderr
    assert not bed.ping() and bed.reasons()["denied"] > 0


def test_killed_upgrades_leave_old_or_new(bed):
    """Killed at its bpf(2) calls and renames in turn: the denied stay denied, and the pinned maps are the program's."""
    here = ("--interface", bed.interface)
    kept = {"upgraded": 0, "not": 0}
    trace = bed.path / "trace"
    upgrade = (BUILD / "variant-grown/sluice", "upgrade", *here)

    def strace(*more):
        bed.attach("  deny: [10.7.0.2]\n")
        return bed.inside(bed.gateway, "strace", "-qq", "-o", trace, "-e", "trace=bpf,rename", *more, *upgrade, check=False,
                          # LeakSanitizer does not work under ptrace.
                          env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})

    assert strace().returncode == 0
    made = [line.split("(")[0] for line in trace.read_text().splitlines()]
    bed.inside(bed.gateway, BUILD / "variant-grown/sluice", "detach", *here)
    last = made.count("bpf")
    points = [("bpf", n) for n in (last // 2, *range(last - 18, last + 1, 2))]
    points += [("rename", n + 1) for n in range(made.count("rename"))]
    for call, n in points:
        r = strace("-e", f"inject={call}:signal=KILL:when={n}")
        assert r.returncode == -signal.SIGKILL, r.stderr
        grown = bed.inside(bed.gateway, BUILD / "variant-grown/sluice", "deny", "add", "192.0.2.7", *here, check=False)
        kept["upgraded" if grown.returncode == 0 else "not"] += 1
        tool = BUILD / ("variant-grown/sluice" if grown.returncode == 0 else "sluice")
        assert not bed.ping(), (call, n)
        bed.inside(bed.gateway, tool, "deny", "del", "10.7.0.2", *here)
        until(bed.ping, f"the client after {call} {n}")
        assert not list(PINS.glob(f":*{bed.interface}"))
        bed.inside(bed.gateway, tool, "detach", *here)
    assert kept["upgraded"] and kept["not"], kept
