# SPDX-License-Identifier: Apache-2.0
"""Port rules on a real interface: commands, ends and notes, refusals; killed ones leave old or new."""
import pytest
from conftest import BUILD, ECHO, PINS, until
from test_bans import bpftool, dump
from test_lists import killed
from test_living import daemon


def rules(bed):
    return [(r["action"], r["prefix"], r["port"], r["origin"])
            for r in bed.json("rule", "list", "--interface", bed.interface)[0]["rules"]]


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
    (("add", "deny", "10.0.0.1", "tcp/22", "--ttl", "soon"), "not a duration"), (("flush", "--ttl", "1s"), "--ttl"),
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


def rule_list(bed):
    return bed.json("rule", "list", "--interface", bed.interface)[0]["rules"]


def test_ends_and_notes(servers):
    """No daemon runs: a rule counts no more from its end, and the next command of the rules removes it."""
    bed = servers
    bed.attach("  rules: [{deny: [10.7.0.2], to: [tcp/22]}]\n")
    here = ("--interface", bed.interface)
    bed.sluice("rule", "add", "deny", "10.7.0.2", "tcp/8080", "--ttl", "10m", "--note", "scans", "--by", "alice", *here)
    entry = rule_list(bed)[1]
    assert 598 <= entry.pop("expires_in") <= 601
    assert entry == {"action": "deny", "prefix": "10.7.0.2", "port": "tcp/8080", "origin": "operator", "by": "alice", "why": "scans"}
    file, row = bed.sluice("rule", "list", *here).stdout.splitlines()
    assert row.split() == [bed.interface, "deny", "10.7.0.2", "tcp/8080", "operator", "ends", "in", row.split()[7], "alice:", "scans"]
    assert file.split() == [bed.interface, "deny", "10.7.0.2", "tcp/22", "file"]
    assert reach(bed) == [9901]
    # Another one takes its place, with another end; what all others are told ends with it.
    bed.sluice("rule", "add", "allow", "10.7.0.2", "tcp/8080", "--ttl", "2s", *here)
    bed.sluice("rule", "add", "only", "10.8.0.0/16", "tcp/9901", "--ttl", "2s", *here)
    assert reach(bed) == [8080]
    until(lambda: len(rule_list(bed)) == 1, "the end")
    assert reach(bed) == [8080, 9901]
    assert len(dump(bed, "rules")) == 4
    bed.sluice("rule", "add", "deny", "192.0.2.1", "udp/53", *here)
    assert [r["key"]["port"] for r in dump(bed, "rules") if r["key"]["port"] != 22] == [53]
    assert rules(bed) == [("deny", "10.7.0.2", "tcp/22", "file"), ("deny", "192.0.2.1", "udp/53", "operator")]


def test_the_daemon_removes(bed):
    log = daemon(bed, bed.config())
    bed.sluice("rule", "add", "only", "10.8.0.0/16", "tcp/22", "--ttl", "1s", "--interface", bed.interface)
    assert len(dump(bed, "rules")) == 2
    until(lambda: dump(bed, "rules") == [], "the sweep")
    until(lambda: dump(bed, "lengths")[0]["value"]["rule4"]["n"] == 0, "the end of looking")
    assert "error" not in log.read_text()


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
