# SPDX-License-Identifier: Apache-2.0
"""Limits on a real interface: who has a connection keeps it and may open more, whatever is forged beside it."""
import subprocess

import pytest
from conftest import connect, run, until

# Echoes line after line, so that one connection can last.
LINES = """
import socket, socketserver
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line)
            self.wfile.flush()
class Server(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64
Server(("::", 8080), Handler).serve_forever()
"""

# A connection that asks when it is told to: "N" on standard input, how many of N lines came back on standard output.
CLIENT = """
import socket, sys
s = socket.create_connection((sys.argv[1], 8080), 5)
f = s.makefile("rw")
print("up", flush=True)
for n in sys.stdin:
    ok = 0
    for i in range(int(n)):
        f.write(f"{i}\\n")
        f.flush()
        ok += f.readline() == f"{i}\\n"
    print(ok, flush=True)
"""


@pytest.fixture
def lines(bed):
    bed.start(bed.gateway, "/usr/bin/python3", "-c", LINES)
    until(lambda: ":8080" in bed.inside(bed.gateway, "ss", "-Hltn").stdout, "the server")
    return bed


def client_of(bed, address):
    p = subprocess.Popen(["nsenter", f"--net=/run/netns/{bed.client}", "/usr/bin/python3", "-c", CLIENT, address],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert p.stdout.readline() == "up\n"
    return p


def ask(client, n):
    client.stdin.write(f"{n}\n")
    client.stdin.flush()
    return int(client.stdout.readline())


def flood(bed, *kind):
    """Forged sources, one a packet, for at most 20 s or until the test ends it."""
    return bed.start(bed.client, "hping3", "-q", "-i", "u100", "-c", "100000", "--rand-source", "-p", "8080", *kind,
                     "10.7.0.1")


def status(bed):
    return bed.json("status", "--interface", bed.interface)[0]


@pytest.mark.parametrize("kind", ["-S", "-A"])
@pytest.mark.parametrize("address", ["10.7.0.1", "fd07::1"])
def test_connections_keep_going_under_a_flood(lines, address, kind):
    bed = lines
    early = client_of(bed, address)
    assert ask(early, 1) == 1
    # Strangers have next to nothing together; the connection is older than the guard.
    bed.attach("  rate_limit: {rate: 5000/s, burst: 10000}\n  limits: {port: {packets: {rate: 50/s, burst: 50}}}\n")
    try:
        p = flood(bed, kind)
        until(lambda: bed.reasons()["limited_port"] > 2000, "the flood")
        assert ask(early, 300) == 300
        assert status(bed)["verified"]["sources"] == 1
        assert connect(bed, address, 8080, 5) == 5, "a known source's new connections"
        assert p.poll() is None, "the flood went on all the time"
        reasons = bed.reasons()
        assert reasons["limited_port"] > 2000 and reasons["limited"] == 0
        assert status(bed)["verified"] == {"sources": 1, "places": 65536, "ever": 1, "refused": 0}
    finally:
        early.kill()
        early.communicate()


def test_sources_verified_by_cookies_keep_their_limits(lines):
    bed = lines
    bed.sysctl("net.ipv4.tcp_syncookies", 2)
    bed.attach("  syn_flood: {mode: always}\n"
               "  limits: {source: {connections: {rate: 1/s, burst: 3}}, port: {udp: 10/s}}\n")
    assert connect(bed, "10.7.0.1", 8080, 3) == 3
    assert status(bed)["verified"]["sources"] == 1
    assert bed.reasons()["limited_connections"] == 0
    before = bed.reasons()["cookie_valid"]
    connect(bed, "10.7.0.1", 8080, 6)
    assert bed.reasons()["limited_connections"] > 0, "more than one a second"
    assert before == 3


@pytest.mark.parametrize("mode", ["'off'", "auto"])
def test_connections_that_the_kernels_cookies_begin_are_limited(lines, mode):
    bed = lines
    bed.sysctl("net.ipv4.tcp_syncookies", 2)
    bed.attach(f"  syn_flood: {{mode: {mode}}}\n  limits: {{source: {{connections: {{rate: 1/s, burst: 3}}}}}}\n")
    connect(bed, "10.7.0.1", 8080, 8)
    assert bed.reasons()["limited_connections"] > 0
    assert bed.reasons()["cookie_sent"] == 0


def test_limits_by_kind(lines):
    bed = lines
    bed.attach("  limits: {source: {icmp: {rate: 1/s, burst: 5}, udp: {rate: 1/s, burst: 7}, fragments: 1/s}}\n")
    bed.inside(bed.client, "hping3", "-q", "-1", "-i", "u1000", "-c", "40", "10.7.0.1", check=False)
    bed.inside(bed.client, "hping3", "-q", "-2", "-i", "u1000", "-c", "40", "-p", "8080", "10.7.0.1", check=False)
    bed.inside(bed.client, "ping", "-nq", "-c1", "-W1", "-s", "4000", "10.7.0.1", check=False)
    reasons = bed.reasons()
    assert 30 <= reasons["limited_icmp"] <= 36
    assert 30 <= reasons["limited_udp"] <= 33
    assert reasons["limited_fragments"] == 1, "three fragments, two at once"
    assert connect(bed, "10.7.0.1", 8080, 3) == 3


def test_tiers(bed):
    bed.attach("  ports: [9]\n  rate_limit: {rate: 1/s, burst: 10}\n"
               "  tiers:\n    - {name: partners, sources: [10.7.0.3], limits: {packets: {rate: 1/s, burst: 100}}}\n")
    run("ip", "-n", bed.client, "addr", "add", "10.7.0.3/16", "dev", bed.peer)

    def dropped(source):
        before = bed.reasons()["limited"]
        bed.inside(bed.client, "hping3", "-q", "-2", "-i", "u500", "-c", "150", "-p", "9", "-a", source, "10.7.0.1",
                   check=False)
        return bed.reasons()["limited"] - before

    assert 130 <= dropped("10.7.0.2") <= 140
    assert 40 <= dropped("10.7.0.3") <= 50
    tiers = status(bed)["tiers"]
    assert tiers == [{"name": "partners", "prefixes": 1, "limits": {"packets": {"rate": 1, "burst": 100}}}]
    bed.sluice("apply", "--interface", bed.interface, "-c",
               bed.config("  ports: [9]\n  rate_limit: {rate: 1/s, burst: 10}\n"))
    assert status(bed)["tiers"] == []
    assert dropped("10.7.0.3") >= 130


def test_status_shows_limits(bed):
    bed.attach("  rate_limit: {rate: 1000/s, burst: 50, ipv4_prefix: 24, ipv6_prefix: 56}\n"
               "  limits: {source: {bytes: 10MiB/s}, port: {syns: 20k/s}}\n"
               "  tiers: [{name: partners, sources: [192.0.2.0/24, '2001:db8::/32'], limits: {packets: 0/s}}]\n")
    got = status(bed)
    assert (got["rate"], got["burst"], got["ipv4_prefix"], got["ipv6_prefix"], got["shadow"]) == (1000, 50, 24, 56, False)
    assert got["limits"]["source"]["bytes"]["rate"] == pytest.approx(10 << 20, rel=0.001)
    assert got["limits"]["source"]["bytes"]["burst"] == 20 << 20
    assert got["limits"]["port"] == {"syns": {"rate": 20000, "burst": 40000}}
    assert got["tiers"][0]["prefixes"] == 2 and "packets" not in got["tiers"][0]["limits"]
    text = bed.sluice("status", "--interface", bed.interface).stdout
    for line in ("  per source  packets 1000/s, burst 50", "  per port    syns 20000/s, burst 40000",
                 "  tier        partners, prefixes: 2", "              packets without limit",
                 "  verified    0 of at most 65536 sources"):
        assert line in text, text


def test_shadow_drops_nothing(lines):
    bed = lines
    bed.sysctl("net.ipv4.tcp_syncookies", 2)
    bed.attach("  mode: shadow\n  deny: [10.7.0.2, 'fd07::2']\n")
    assert bed.ping() and bed.ping("fd07::1")
    assert connect(bed, "10.7.0.1", 8080, 3) == 3
    assert bed.reasons()["denied"] > 10
    assert status(bed)["shadow"] is True
    assert "shadow: everything passes" in bed.sluice("status", "--interface", bed.interface).stdout
    # SYNs are counted as answered, and are the kernel's all the same.
    here = ("--interface", bed.interface)
    bed.sluice("apply", *here, "-c", bed.config("  mode: shadow\n  syn_flood: {mode: always}\n"))
    assert connect(bed, "10.7.0.1", 8080, 3) == 3
    assert bed.reasons()["cookie_sent"] == 3 and bed.reasons()["cookie_invalid"] == 0
    bed.sluice("apply", *here, "-c", bed.config("  deny: [10.7.0.2]\n"))
    assert not bed.ping()
