# SPDX-License-Identifier: Apache-2.0
"""Bans and port rules on a real interface: commands, programs that pipe, ends, refusals; killed ones leave old or new."""
import json
import time

import pytest
from conftest import BUILD, ECHO, PINS, run, until
from test_lists import killed
from test_living import daemon


def bpftool(*args, **more):
    return run("/usr/sbin/bpftool", *args, **more)


def dump(bed, name):
    return [e["formatted"] for e in json.loads(bpftool("-j", "map", "dump", "pinned", PINS / bed.interface / name).stdout)]


def bans(bed, *args):
    return {b["prefix"]: b for b in bed.json("ban", "list", *args, "--interface", bed.interface)[0]["bans"]}


def rules(bed):
    return [(r["action"], r["prefix"], r["port"], r["origin"])
            for r in bed.json("rule", "list", "--interface", bed.interface)[0]["rules"]]


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


def test_shadow(bed):
    bed.attach("  bans: {mode: shadow}\n")
    bed.sluice("ban", "add", "10.7.0.2", "--interface", bed.interface)
    assert bed.ping()
    assert bed.reasons()["banned"] >= 1
    bed.sluice("apply", "-c", bed.config(), "--interface", bed.interface)
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


def test_bpftool_bans(bed):
    bed.attach()
    bans_, lengths = PINS / bed.interface / "bans", PINS / bed.interface / "lengths"
    zeros = ["0"] * 12
    bpftool("map", "update", "pinned", bans_, "key", "4", "32", "0", "0", "10", "7", "0", "2", *zeros, "value", *["0"] * 88)
    bpftool("map", "update", "pinned", lengths, "key", "0", "0", "0", "0", "value", "1", "32", *["0"] * 38)
    assert not bed.ping()
    assert bans(bed)["10.7.0.2"]["offences"] == 0 and "until" not in bans(bed)["10.7.0.2"]
    key = dump(bed, "bans")[0]["key"]
    assert (key["family"], key["prefixlen"], key["addr"][:4]) == (4, 32, [10, 7, 0, 2])
    bed.sluice("ban", "add", "192.0.2.0/24", "--interface", bed.interface)
    assert not bed.ping()
    bpftool("map", "delete", "pinned", bans_, "key", "4", "32", "0", "0", "10", "7", "0", "2", *zeros)
    assert bed.ping()


SERVERS = ECHO.replace('Server(("::", 8080), Handler).serve_forever()', """
import threading
for port in (22, 9901, 8080):
    threading.Thread(target=Server(("::", port), Handler).serve_forever).start()
""")


@pytest.fixture
def servers(bed):
    bed.start(bed.gateway, "/usr/bin/python3", "-c", SERVERS)
    until(lambda: bed.inside(bed.gateway, "ss", "-Hltn").stdout.count("LISTEN") == 3, "the servers")
    return bed


REACH = """
import socket, sys, threading
found = []
def look(port):
    try:
        with socket.create_connection((sys.argv[1], port), 1.5) as s:
            s.sendall(b"ping\\n")
            if s.recv(16) == b"ping\\n":
                found.append(port)
    except OSError:
        pass
threads = [threading.Thread(target=look, args=(p,)) for p in (22, 8080, 9901)]
for t in threads:
    t.start()
for t in threads:
    t.join()
print(*sorted(found))
"""


def reach(bed, address="10.7.0.1"):
    """The ports that can be spoken to."""
    return [int(p) for p in bed.inside(bed.client, "/usr/bin/python3", "-c", REACH, address).stdout.split()]


def expect_denied(bed, port, denied):
    """A datagram from the client's IPv6 address is dropped for its port, or is not."""
    before = bed.reasons()
    code = "import socket,sys; socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b'x', ('fd07::1', int(sys.argv[1])))"
    bed.inside(bed.client, "/usr/bin/python3", "-c", code, port)
    reason = "port_denied" if denied else "passed"
    until(lambda: bed.reasons()[reason] > before[reason], f"{reason} of the datagram")
    assert denied or bed.reasons()["port_denied"] == before["port_denied"]


@pytest.fixture
def servers(bed):
    bed.start(bed.gateway, "/usr/bin/python3", "-c", SERVERS)
    until(lambda: bed.inside(bed.gateway, "ss", "-Hltn").stdout.count("LISTEN") == 3, "the servers")
    return bed


REACH = """
import socket, sys, threading
found = []
def look(port):
    try:
        with socket.create_connection((sys.argv[1], port), 1.5) as s:
            s.sendall(b"ping\\n")
            if s.recv(16) == b"ping\\n":
                found.append(port)
    except OSError:
        pass
threads = [threading.Thread(target=look, args=(p,)) for p in (22, 8080, 9901)]
for t in threads:
    t.start()
for t in threads:
    t.join()
print(*sorted(found))
"""


def reach(bed, address="10.7.0.1"):
    """The ports that can be spoken to."""
    return [int(p) for p in bed.inside(bed.client, "/usr/bin/python3", "-c", REACH, address).stdout.split()]


def is_denied(bed, port):
    """Whether a datagram from the client's IPv6 address is dropped for its port."""
    before = bed.reasons()
    code = "import socket,sys; socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b'x', ('fd07::1', int(sys.argv[1])))"
    bed.inside(bed.client, "/usr/bin/python3", "-c", code, port)

    def counted():
        now = bed.reasons()
        return {r for r in ("passed", "port_denied") if now[r] > before[r]}

    until(counted, "the datagram")
    return "port_denied" in counted()


def test_rules(servers):
    bed = servers
    bed.attach("  rules:\n    - {deny: [10.7.0.2, 'fd07::/64'], to: [tcp/22]}\n")
    here = ("--interface", bed.interface)
    assert reach(bed) == [8080, 9901] and reach(bed, "fd07::1") == [8080, 9901]
    assert bed.reasons()["port_denied"] >= 2
    bed.sluice("rule", "add", "only", "10.8.0.0/16", "tcp/9901", *here)
    assert reach(bed) == [8080] and reach(bed, "fd07::1") == [8080]
    bed.sluice("rule", "add", "only", "10.7.0.0/16", "tcp/9901", *here)
    assert reach(bed) == [8080, 9901] and reach(bed, "fd07::1") == [8080]
    bed.sluice("rule", "add", "deny", "10.7.0.2", "fd07::2", "tcp/8080", "tcp/9901", *here)
    assert reach(bed) == [] and bed.ping()
    # What was added by hand stays, what was the file's goes.
    bed.sluice("apply", "-c", bed.config("  rules: [{deny: [192.0.2.1], to: [udp/53]}]\n"), *here)
    assert reach(bed) == [22]
    assert rules(bed) == [
        ("deny", "10.7.0.2", "tcp/8080", "operator"), ("deny", "fd07::2", "tcp/8080", "operator"),
        ("only", "10.7.0.0/16", "tcp/9901", "operator"), ("only", "10.8.0.0/16", "tcp/9901", "operator"),
        ("deny", "10.7.0.2", "tcp/9901", "operator"), ("deny", "fd07::2", "tcp/9901", "operator"),
        ("deny", "192.0.2.1", "udp/53", "file")]
    bed.sluice("rule", "del", "10.7.0.2", "tcp/8080", "tcp/9901", *here)
    assert reach(bed) == [22, 8080, 9901] and reach(bed, "fd07::1") == [22]
    bed.sluice("allow", "add", "fd07::2", *here)
    assert reach(bed, "fd07::1") == [22, 8080, 9901]
    r = bed.sluice("rule", "del", "10.7.0.2", "tcp/8080", *here, check=False)
    assert (r.returncode, r.stderr) == (3, f"sluice: there is no rule for 10.7.0.2 to tcp/8080 on {bed.interface}\n")
    bed.sluice("rule", "flush", *here)
    assert rules(bed) == [] and dump(bed, "rules") == []


@pytest.mark.parametrize("args, why", [
    (("add", "10.0.0.1", "tcp/22", "udp/22"), "'10.0.0.1' is not one of deny, allow and only"),
    (("add", "deny", "10.0.0.1", "10.0.0.2"), "an address and a port such as tcp/22 are expected"),
    (("add", "deny", "10.0.0.1", "tcp/0"), "'tcp/0' is not a port"), (("add", "deny", "tcp/22"), "missing"),
    (("del", "10.0.0.1", "22"), "'22' is not an address or prefix"), (("list", "x"), "not expected")])
def test_bad_rules(bed, args, why):
    r = bed.sluice("rule", *args, check=False)
    assert r.returncode == 2 and why in r.stderr, r.stderr


def test_bpftool_rules(servers):
    bed = servers
    bed.attach()
    pins = PINS / bed.interface
    # 203.0.113.7 and the client from tcp/22 (0x16), then all others from tcp/9901 (0x26ad).
    for address in (["203", "0", "113", "7"], ["10", "7", "0", "2"]):
        bpftool("map", "update", "pinned", pins / "rules", "key", "4", "32", "6", "0", "22", "0", "0", "0", *address, *["0"] * 12,
                "value", *["0"] * 24)
    bpftool("map", "update", "pinned", pins / "rules", "key", "0", "0", "6", "0", "173", "38", "0", "0", *["0"] * 16,
            "value", *["0"] * 24)
    for port in (["22", "0"], ["173", "38"]):
        bpftool("map", "update", "pinned", pins / "ports", "key", *port, "0", "0", "value", "0", "0", "1")
    assert reach(bed) == [22, 8080, 9901], "no length is in use"
    bpftool("map", "update", "pinned", pins / "lengths", "key", "0", "0", "0", "0", "value", *["0"] * 16, "1", "32", *["0"] * 22)
    assert reach(bed) == [8080] and reach(bed, "fd07::1") == [22, 8080]
    assert ("deny", "others", "tcp/9901", "operator") in rules(bed)


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


def test_killed_rules_leave_old_or_new(bed):
    """The same of rule add: a port is open to all, or only to those that were named."""
    here = ("--interface", bed.interface)
    bed.attach()
    command = (BUILD / "sluice", "rule", "add", "only", "10.7.0.2", "192.0.2.1", "udp/53", "udp/54", *here)
    seen = []
    for n in killed(bed, command, lambda: bed.sluice("rule", "flush", *here)):
        found = len(rules(bed))
        assert found in (0, 4), n
        expect_denied(bed, 53, found == 4)
        seen.append(found)
        bed.sluice("rule", "add", "deny", "192.0.2.77", "tcp/22", *here)
        assert len(rules(bed)) == found + 1, n
        expect_denied(bed, 54, found == 4)
    assert 0 in seen and 4 in seen
    assert dump(bed, "rules") == []


def test_denied_all_the_time_while_rules_change(servers):
    """A rule that stays holds through every change of the others."""
    bed = servers
    bed.attach("  rules: [{only: [192.0.2.0/24], to: [udp/7000]}]\n")
    here = ("--interface", bed.interface)
    listen = ("import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.bind(('10.7.0.1', 7000))\n"
              "s.recv(64)\nopen('" + str(bed.path / "leak") + "', 'w')\n")
    bed.start(bed.gateway, "/usr/bin/python3", "-c", listen)
    until(lambda: ":7000" in bed.inside(bed.gateway, "ss", "-Hlun").stdout, "the receiver")
    send = ("import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.connect(('10.7.0.1', 7000))\n"
            "import time\nend = time.monotonic() + 30\n"
            "while time.monotonic() < end:\n    s.send(b'x')\n    time.sleep(0.0005)\n")
    sender = bed.start(bed.client, "/usr/bin/python3", "-c", send)
    until(lambda: bed.reasons()["port_denied"] > 10, "the sender")
    for i in range(15):
        bed.sluice("rule", "add", "only", f"198.51.100.{i}", "2001:db8::/32", "udp/7000", "udp/7001", *here)
        bed.sluice("rule", "del", f"198.51.100.{i}", "udp/7000", *here)
        bed.sluice("apply", *here, "-c", bed.config(
            f"  rules: [{{only: [192.0.2.0/{24 + i % 2}], to: [udp/7000]}}]\n"))
    sender.kill()
    sender.wait(20)
    assert not (bed.path / "leak").exists()
