# SPDX-License-Identifier: Apache-2.0
"""
The SYN gate of a host that others are behind: a second server on the same port number, which it routes to, bridges to, or is the
parent of, is none of the gate's business.
"""
import json
import subprocess

import pytest
from conftest import BUILD, ECHO, connect, here, run, until

# An echo of every line, and each line that comes back is said.
LINES = ECHO.replace("self.wfile.write(self.rfile.readline())", "[self.wfile.write(b'behind:' + line) for line in self.rfile]")
TALK = """
import socket, sys
s = socket.create_connection((sys.argv[1], 8080), 5)
for line in sys.stdin:
    s.sendall(line.encode())
    print(s.recv(99).decode(), end="", flush=True)
"""


class Behind:
    """A server that the client reaches through the gateway's namespace, and a connection of the client's to it."""

    def __init__(self, bed, how):
        self.bed = bed
        self.ns = bed.gateway.replace("gw", "be")
        self.device, self.there = bed.interface.replace("slg", "slb"), bed.interface.replace("slg", "sld")
        self.address, self.address6 = "10.7.0.3", "fd07::3"
        run("ip", "netns", "add", self.ns)
        getattr(self, how)()
        run("ip", "-n", self.ns, "link", "set", "lo", "up")
        run("ip", "-n", self.ns, "link", "set", self.there, "up")
        bed.start(self.ns, "/usr/bin/python3", "-c", LINES)
        until(lambda: ":8080" in bed.inside(self.ns, "ss", "-Hltn").stdout, "the server behind")
        until(lambda: bed.ping(self.address) and bed.ping(self.address6), "the way there")

    def gateway(self, *args):
        run("ip", "-n", self.bed.gateway, *args)

    def inner(self, *args):
        run("ip", "-n", self.ns, *args)

    def wire(self):
        run("ip", "link", "add", self.device, "netns", self.bed.gateway, "type", "veth", "peer", "name", self.there, "netns", self.ns)
        self.gateway("link", "set", self.device, "up")

    def near(self):
        self.inner("addr", "add", "10.7.0.3/16", "dev", self.there)
        self.inner("addr", "add", "fd07::3/64", "dev", self.there, "nodad")

    def route(self):
        self.wire()
        self.address, self.address6 = "10.8.0.2", "fd08::2"
        for dev, add, host in ((self.device, self.gateway, 1), (self.there, self.inner, 2)):
            add("addr", "add", f"10.8.0.{host}/24", "dev", dev)
            add("addr", "add", f"fd08::{host}/64", "dev", dev, "nodad")
        self.inner("link", "set", self.there, "up")
        self.inner("route", "add", "default", "via", "10.8.0.1")
        self.inner("route", "add", "default", "via", "fd08::1")
        run("ip", "-n", self.bed.client, "route", "add", "10.8.0.0/24", "via", "10.7.0.1")
        run("ip", "-n", self.bed.client, "route", "add", "fd08::/64", "via", "fd07::1")
        self.bed.sysctl("net.ipv4.ip_forward", 1)
        self.bed.sysctl("net.ipv6.conf.all.forwarding", 1)

    def bridge(self):
        self.wire()
        self.near()
        own = self.bed.interface
        self.gateway("link", "add", "br0", "type", "bridge")
        self.gateway("addr", "flush", "dev", own)
        for dev in (own, self.device):
            self.gateway("link", "set", dev, "master", "br0")
        # Another address than any member's: it is found by asking what the member belongs to.
        self.gateway("link", "set", "br0", "address", "02:00:00:00:07:01")
        self.gateway("addr", "add", "10.7.0.1/16", "dev", "br0")
        self.gateway("addr", "add", "fd07::1/64", "dev", "br0", "nodad")
        self.gateway("link", "set", "br0", "up")

    def macvlan(self):
        self.gateway("link", "add", self.there, "link", self.bed.interface, "type", "macvlan", "mode", "bridge")
        self.gateway("link", "set", self.there, "netns", self.ns)
        self.near()

    def talk(self, address):
        return subprocess.Popen(["nsenter", f"--net=/run/netns/{self.bed.client}", "/usr/bin/python3", "-c", TALK, address],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def close(self):
        run("ip", "netns", "del", self.ns, check=False)


@pytest.fixture(params=["route", "bridge", "macvlan"])
def behind(echo, request):
    b = Behind(echo, request.param)
    yield b
    b.close()


def say(talk, line):
    talk.stdin.write(line + "\n")
    talk.stdin.flush()
    return talk.stdout.readline().rstrip("\n")


def test_connections_to_others_live_under_the_gate(behind):
    """Old ones and new ones, in both families, while a flood takes every cookie that there is."""
    bed = behind.bed
    bed.sysctl("net.ipv4.tcp_syncookies", 2)
    talks = [behind.talk(address) for address in (behind.address, behind.address6)]
    assert [say(t, "before") for t in talks] == ["behind:before"] * 2
    bed.attach("  syn_flood: {mode: always, cookies: 1/s}\n")
    assert "cookie_sent" in bed.sluice("why", "203.0.113.7", *here(bed)).stdout
    bed.start(bed.client, "hping3", "-q", "-i", "u500", "-p", "8080", "-c", "60000", "-S", "-a", "10.7.9.9", "10.7.0.1")
    until(lambda: bed.reasons()["syn_excess"] > 100, "the flood")
    assert [say(t, "under it") for t in talks] == ["behind:under it"] * 2
    for address in (behind.address, behind.address6):
        talks.append(behind.talk(address))
        assert say(talks[-1], "new") == "behind:new"
    # The host itself is what the gate is for.
    assert connect(bed, "10.7.0.1", 8080, 2) == 2
    assert connect(bed, "fd07::1", 8080, 2) == 2
    reasons = bed.reasons()
    assert reasons["cookie_invalid"] == 0 and reasons["cookie_valid"] >= 4, reasons
    for t in talks:
        t.stdin.close()
        assert t.wait(20) == 0
        t.stdout.close()


# One SYN by a raw socket to each: what came back from where.
SYNS = """
import json, socket, struct, sys
me, gateway, dev = bytes.fromhex(sys.argv[1]), bytes.fromhex(sys.argv[2]), sys.argv[3]
def add(b):
    total = sum(struct.unpack("!%dH" % (len(b) // 2), b))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff
def syn(to, port, dport):
    ends = socket.inet_aton("10.7.9.9") + socket.inet_aton(to)
    tcp = struct.pack("!HHIIBBHHH", port, dport, 1, 0, 0x50, 2, 1024, 0, 0)
    tcp = tcp[:16] + struct.pack("!H", add(ends + struct.pack("!HH", 6, 20) + tcp)) + tcp[18:]
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 40, 1, 0, 64, 6, 0) + ends
    return b"\\x08\\x00" + ip[:10] + struct.pack("!H", add(ip)) + ip[12:] + tcp
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x800))
s.bind((dev, 0))
s.settimeout(0.1)
answered = []
for i, (to, mac, address, dport) in enumerate((("none", gateway, "127.0.0.1", 9901), ("group", b"\\1\\0\\x5e\\0\\0\\1", "224.0.0.1", 8080),
        ("all", b"\\xff" * 6, "255.255.255.255", 8080), ("other", b"\\2\\0\\0\\0\\0\\x77", "203.0.113.9", 8080),
        ("own", gateway, "10.7.0.1", 8080))):
    s.send(mac + me + syn(address, 5000 + i, dport))
try:
    while True:
        f = s.recv(2000)
        if f[23] == 6 and f[47] & 0x12 == 0x12:
            answered.append(struct.unpack("!H", f[36:38])[0] - 5000)
            if answered[-1] == 4:
                break
except TimeoutError:
    pass
print(json.dumps(answered))
"""


def mac(bed, ns, dev):
    return json.loads(run("ip", "-n", ns, "-j", "link", "show", dev).stdout)[0]["address"].replace(":", "")


def test_what_is_for_nobody_here_is_not_answered(echo):
    bed = echo
    bed.sysctl("net.ipv4.tcp_syncookies", 2)
    bed.start(bed.gateway, "/usr/bin/python3", "-c",
              "import socket, time\ns = socket.create_server(('127.0.0.1', 9901))\ntime.sleep(600)\n")
    until(lambda: ":9901" in bed.inside(bed.gateway, "ss", "-Hltn").stdout, "the listener on loopback")
    bed.attach("  ports: [8080, 9901]\n  syn_flood: {mode: always}\n")
    out = bed.inside(bed.client, "/usr/bin/python3", "-c", SYNS, mac(bed, bed.client, bed.peer),
                     mac(bed, bed.gateway, bed.interface), bed.peer).stdout
    assert json.loads(out) == [4]
    assert bed.reasons()["cookie_sent"] == 1
    assert "cookie_sent" not in bed.sluice("why", "203.0.113.7", "--to", "127.0.0.1:9901", *here(bed)).stdout
    assert "cookie_sent" in bed.sluice("why", "203.0.113.7", *here(bed)).stdout


def test_the_daemon_follows_addresses_and_routes(echo):
    bed = echo
    bed.sysctl("net.ipv4.tcp_syncookies", 2)
    run("ip", "-n", bed.gateway, "addr", "add", "10.8.0.1/24", "dev", "lo")
    run("ip", "-n", bed.gateway, "route", "add", "10.8.1.0/24", "dev", bed.interface)
    file = bed.config("  syn_flood: {mode: always}\n", port=8081)
    text = file.read_text().replace("  syn_flood", "  ports: [8080]\n  syn_flood")
    file.write_text(text)
    bed.start(bed.gateway, BUILD / "sluiced", "-c", file)

    def why(to):
        return "cookie_sent" in bed.sluice("why", "203.0.113.7", "--to", to, *here(bed), check=False).stdout

    until(lambda: why("10.7.0.1:8080") and why("10.8.1.1:8080"), "the guard")
    bed.sysctl("net.ipv4.ip_forward", 1)
    until(lambda: not why("10.8.1.1:8080"), "the daemon to ask the routes")
    assert why("10.7.0.1:8080") and why("10.8.0.1:8080")
    bed.sysctl("net.ipv4.ip_forward", 0)
    until(lambda: why("10.8.1.1:8080"), "the daemon to ask them no more")
    before = bed.reasons()["cookie_sent"]
    run("ip", "-n", bed.gateway, "link", "set", bed.interface, "address", "02:00:00:00:07:07")
    run("ip", "-n", bed.client, "neigh", "flush", "dev", bed.peer)
    until(lambda: connect(bed, "10.7.0.1", 8080, 1) and bed.reasons()["cookie_sent"] > before, "a cookie by the new address")
