# SPDX-License-Identifier: Apache-2.0
"""The SYN gate on a real interface: handshakes under every setting of the kernel's, full queues, floods of SYNs and ACKs."""
import json
import subprocess

import pytest
from conftest import BUILD, PASS, connect, here, run, until

# tcp_info: options, both window scales, and the peer's window as it was last told.
INFO = """
import json, socket, struct
def info(s):
    raw = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 232)
    return {"options": raw[5] & 7, "theirs": raw[6] & 15, "ours": raw[6] >> 4, "window": struct.unpack_from("I", raw, 228)[0]}
"""
TIMESTAMPS, SACK, WSCALE = 1, 2, 4
ALL = TIMESTAMPS | SACK | WSCALE

# Says what its side of a connection agreed on, takes as many bytes as the client says, and sends as many back.
BULK = INFO + """
import socketserver
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        n = int(self.rfile.readline())
        self.wfile.write(json.dumps(info(self.connection)).encode() + b"\\n")
        while n > 0:
            n -= len(self.rfile.read1(min(n, 1 << 20))) or n
        self.wfile.write(b"y" * BYTES)
class Server(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    allow_reuse_address = True
    request_queue_size = 8
Server(("::", 8080), Handler).serve_forever()
"""
BYTES = 4 << 20

CLIENT = INFO + """
import sys
s = socket.create_connection((sys.argv[1], 8080), 5)
s.settimeout(20)
f = s.makefile("rb")
s.sendall(b"%d\\n" % BYTES + b"x" * BYTES) # right behind the ACK
server = json.loads(f.readline())
got = len(f.read(BYTES))
print(json.dumps({"client": info(s), "server": server, "got": got}))
"""


@pytest.fixture
def bulk(bed):
    """Megabytes in both directions on port 8080 of the gateway, whose window scale is not the client's."""
    bed.sysctl("net.ipv4.tcp_rmem", "4096 131072 67108864")
    bed.start(bed.gateway, "/usr/bin/python3", "-c", f"BYTES = {BYTES}\n" + BULK)
    until(lambda: ":8080" in bed.inside(bed.gateway, "ss", "-Hltn").stdout, "the server")
    return bed


def transfer(bed, address):
    out = bed.inside(bed.client, "/usr/bin/python3", "-c", f"BYTES = {BYTES}\n" + CLIENT, address).stdout
    found = json.loads(out)
    assert found["got"] == BYTES
    client, server = found["client"], found["server"]
    assert client["options"] == server["options"]
    # What one side says of its window is what the other understands.
    assert (client["theirs"], client["ours"]) == (server["ours"], server["theirs"])
    return client


@pytest.mark.parametrize("address", ["10.7.0.1", "fd07::1"])
@pytest.mark.parametrize("timestamps", [0, 1, 2])
@pytest.mark.parametrize("syncookies", [1, 2])
def test_connections_keep_what_the_settings_allow(bulk, syncookies, timestamps, address):
    bed = bulk
    bed.sysctl("net.ipv4.tcp_syncookies", syncookies)
    bed.sysctl("net.ipv4.tcp_timestamps", timestamps)
    bed.attach("  syn_flood: {mode: always}\n")
    cookies = bed.json("status", "--interface", bed.interface)[0]["cookies"]
    assert cookies == ({"timestamps": True, "sack": True, "window_scale": 11} if timestamps == 2
                       else {"timestamps": False, "sack": False, "window_scale": None})
    client = transfer(bed, address)
    events = bed.json("stats", "--interface", bed.interface)[0]["events"]
    assert events["syns_seen"] == 1
    # With room in the queue and 1 the kernel wants to see SYNs itself.
    reasons = bed.reasons()
    assert (reasons["cookie_sent"], reasons["cookie_invalid"]) == (syncookies == 2, 0)
    assert (reasons["cookie_valid"] > 0) == (syncookies == 2)
    if syncookies == 1:
        assert client["options"] == (ALL if timestamps else SACK | WSCALE)
    else:
        assert client["options"] == (ALL if timestamps == 2 else 0)
    if client["options"] & WSCALE:
        assert client["theirs"] == 11 and client["window"] > 65535
    else:
        assert client["window"] <= 65535


@pytest.mark.parametrize("setting, options", [("tcp_sack", TIMESTAMPS | WSCALE), ("tcp_window_scaling", TIMESTAMPS | SACK)])
def test_what_the_kernel_refuses_is_not_offered(bulk, setting, options):
    bed = bulk
    bed.sysctl("net.ipv4.tcp_syncookies", 2)
    bed.sysctl("net.ipv4.tcp_timestamps", 2)
    bed.sysctl(f"net.ipv4.{setting}", 0)
    bed.attach("  syn_flood: {mode: always}\n")
    assert transfer(bed, "10.7.0.1")["options"] == options
    assert bed.reasons()["cookie_valid"] >= 1


def flood(bed, *args):
    bed.inside(bed.client, "hping3", "-q", "-i", "u100", "-p", "8080", *args, "10.7.0.1", check=False)


def test_auto_answers_while_the_queue_is_full(bulk):
    """Far below the threshold: SYNs from an address that nobody has fill the listener's queue of 8."""
    bed = bulk
    bed.sysctl("net.ipv4.tcp_syncookies", 1)
    bed.sysctl("net.ipv4.tcp_timestamps", 2)
    r = bed.attach("  syn_flood: {mode: auto, threshold: 1000k/s}\n")
    assert "tcp_syncookies is 1, so cookies are sent only while a listener's queue is full" in r.stderr
    assert transfer(bed, "10.7.0.1")["options"] == ALL
    assert bed.reasons()["cookie_sent"] == 0, "there is room"
    flood(bed, "-c", "1000", "-S", "-a", "10.7.9.9")
    seen = bed.json("stats", "--interface", bed.interface)[0]["events"]["syns_seen"]
    assert 800 < seen <= 1001 and seen - 50 < bed.reasons()["cookie_sent"] < seen
    # While it lasts, ten seconds, ACKs are checked, too.
    flood(bed, "-c", "500", "-A", "-a", "10.7.9.9")
    assert 400 < bed.reasons()["cookie_invalid"] <= 500
    for n, address in enumerate(("10.7.0.1", "fd07::1"), 1):
        flood(bed, "-c", "100", "-S", "-a", "10.7.9.9")  # or the queue may have room again
        assert transfer(bed, address)["options"] == ALL
        assert bed.reasons()["cookie_valid"] == n


def test_a_new_client_comes_through_a_flood(echo):
    """Forged SYNs take the cookies of strangers; who is not known waits, sends its SYN again, and is served; then it is known."""
    bed = echo
    bed.sysctl("net.ipv4.tcp_syncookies", 2)
    bed.attach("  syn_flood: {mode: always, cookies: 1/s}\n")
    assert bed.json("status", *here(bed))[0]["cookies_per_cpu"] == 1
    bed.start(bed.client, "hping3", "-q", "-i", "u500", "-p", "8080", "-c", "40000", "-S", "-a", "10.7.9.9", "10.7.0.1")
    until(lambda: bed.reasons()["syn_excess"] > 100, "the flood")
    assert connect(bed, "10.7.0.1", 8080, 1) == 1
    assert connect(bed, "10.7.0.1", 8080, 20) == 20
    reasons = bed.reasons()
    assert reasons["cookie_valid"] >= 21 and reasons["cookie_sent"] < reasons["syn_excess"] / 4, reasons


def resets(bed):
    out = bed.inside(bed.gateway, "nstat", "-asz", "TcpOutRsts").stdout
    return int(float(out.split("TcpOutRsts")[1].split()[0]))


@pytest.mark.parametrize("kind", [["-A"], ["-A", "-F"], ["-A", "-P", "-d", "100"]])
def test_ack_floods_end_at_the_cookie_check(echo, kind):
    bed = echo
    bed.sysctl("net.ipv4.tcp_syncookies", 2)
    bed.attach("  syn_flood: {mode: always}\n")
    before = resets(bed)
    flood(bed, "-c", "1000", "-a", "10.7.9.9", *kind)
    assert 800 < bed.reasons()["cookie_invalid"] <= 1000
    assert resets(bed) == before, "the kernel was not asked"
    assert connect(bed, "10.7.0.1", 8080, 3) == 3


def test_settings_are_named_or_fixed(echo):
    bed = echo
    here = ("--interface", bed.interface)
    text = "  syn_flood: {mode: always}\n"
    good = {"tcp_syncookies": 2, "tcp_timestamps": 2, "tcp_sack": 1, "tcp_window_scaling": 1}

    def values():
        return {name: int(bed.inside(bed.gateway, "sysctl", "-n", f"net.ipv4.{name}").stdout) for name in good}

    def attach_with(*args, mode=text, **settings):
        for name, value in (good | settings).items():
            bed.sysctl(f"net.ipv4.{name}", value)
        warnings = bed.attach(mode, *args).stderr.splitlines()
        assert connect(bed, "10.7.0.1", 8080, 1) == 1
        cookies = bed.reasons()["cookie_sent"]
        bed.sluice("detach", *here)
        return warnings, cookies

    assert attach_with() == ([], 1)
    for name, value, words, cookies in (
            ("tcp_syncookies", 0, "so the kernel makes no cookies: set it to 2", 0),
            ("tcp_syncookies", 1, "so cookies are sent only while a listener's queue is full, whatever the threshold: "
             "2 lets the gate decide", 0),
            ("tcp_timestamps", 0, "so connections that begin with a cookie have neither SACK nor window scaling: 2 keeps both", 1),
            ("tcp_timestamps", 1, "and its secret offsets keep SACK and window scaling from connections that begin with a "
             "cookie: 2 is without offsets", 1),
            ("tcp_sack", 0, "so no connection has SACK: set it to 1", 1),
            ("tcp_window_scaling", 0, "so no connection has window scaling: set it to 1", 1)):
        assert attach_with(**{name: value}) == (
            [f"sluice: warning: syn_flood: net.ipv4.{name} is {value}, {words} (sluice attach --fix-sysctl sets it)"], cookies)
        assert values() == good | {name: value}
    bad = {name: 0 for name in good}
    assert len(attach_with(**bad)[0]) == 4
    assert attach_with(mode="  syn_flood: {mode: 'off'}\n", **bad) == ([], 0)
    assert attach_with("--fix-sysctl", **bad) == ([], 1)
    assert values() == good
    # One that fails has changed nothing: not the attaching, and not a setting that comes later.
    run("ip", "-n", bed.gateway, "link", "set", "dev", bed.interface, "xdp", "obj", PASS, "sec", "xdp.frags")
    bed.sysctl("net.ipv4.tcp_syncookies", 1)
    bed.sysctl("net.ipv4.tcp_sack", 0)
    r = bed.sluice("attach", "-c", bed.config(text), "--fix-sysctl", check=False)
    assert r.returncode == 1 and "has an XDP program of somebody else" in r.stderr
    assert values() == good | {"tcp_syncookies": 1, "tcp_sack": 0}


def test_apply_names_settings_too(bed):
    bed.attach()
    bed.sysctl("net.ipv4.tcp_syncookies", 0)
    here = ("--interface", bed.interface)
    r = bed.sluice("apply", *here, "-c", bed.config("  syn_flood: {mode: always}\n"))
    assert "warning: syn_flood: net.ipv4.tcp_syncookies is 0" in r.stderr
    assert bed.json("status", *here)[0]["syn_mode"] == "always"


def test_status_tells_that_the_kernel_makes_no_cookies(bed):
    bed.sysctl("net.ipv4.tcp_timestamps", 2)
    bed.sysctl("net.ipv4.tcp_syncookies", 0)
    bed.attach("  syn_flood: {mode: always}\n")
    assert "; the kernel makes no cookies (net.ipv4.tcp_syncookies is 0)" in bed.sluice("status", *here(bed)).stdout
    assert bed.json("status", *here(bed))[0]["cookies"] is None
    bed.sysctl("net.ipv4.tcp_syncookies", 2)
    bed.sluice("apply", *here(bed), "-c", bed.path / "edge.yaml")
    assert bed.json("status", *here(bed))[0]["cookies"]["timestamps"] is True


def test_settings_of_another_namespace_are_not_taken(bed):
    """They would be promised to clients by a kernel that has others."""
    bed.sysctl("net.ipv4.tcp_timestamps", 1)
    bed.inside(bed.client, "sysctl", "-qw", "net.ipv4.tcp_timestamps=2")
    bed.attach("  syn_flood: {mode: always}\n")
    before = bed.state()
    assert before[0]["cookies"] == {"timestamps": False, "sack": False, "window_scale": None}
    # The same name there is not the same interface.
    bed.inside(bed.client, "ip", "link", "add", bed.interface, "type", "veth")
    r = bed.inside(bed.client, BUILD / "sluice", "apply", *here(bed), "-c", bed.config("  syn_flood: {mode: auto}\n"), check=False)
    assert (r.returncode, r.stdout) == (1, "")
    assert r.stderr == (f"sluice: syn_flood: {bed.interface} is not in this network namespace: run this in its own "
                        "(nsenter --net=/run/netns/NAME)\n")
    assert bed.state() == before
    log = bed.path / "stderr"
    bed.start(bed.client, BUILD / "sluiced", "-c", bed.config("  syn_flood: {mode: auto}\n"))
    until(lambda: "serving without it" in log.read_text(), "sluiced")
    assert f"{bed.interface} is not in this network namespace" in log.read_text() and bed.state() == before
    # Without the gate they are no part of the policy.
    bed.inside(bed.client, BUILD / "sluice", "apply", *here(bed), "-c", bed.config("  syn_flood: {mode: 'off'}\n"))
    assert bed.json("status", *here(bed))[0]["syn_mode"] == "off"


def test_the_daemon_follows_the_settings(bed):
    bed.sysctl("net.ipv4.tcp_syncookies", 2)
    bed.sysctl("net.ipv4.tcp_timestamps", 2)
    log = bed.path / "stderr"
    bed.start(bed.gateway, BUILD / "sluiced", "-c", bed.config("  syn_flood: {mode: always}\n"))
    until(lambda: "serving" in log.read_text(), "sluiced")

    def cookies():
        return bed.json("status", "--interface", bed.interface)[0]["cookies"]

    assert cookies()["sack"] is True
    # Offered now, SACK and window scale would be offered in vain, and connections would stall.
    bed.sysctl("net.ipv4.tcp_timestamps", 1)
    until(lambda: cookies() == {"timestamps": False, "sack": False, "window_scale": None}, "the daemon")
    assert "packet plane: the kernel's settings have changed" in log.read_text()
    assert "net.ipv4.tcp_timestamps is 1" in log.read_text()
    bed.sysctl("net.ipv4.tcp_timestamps", 2)
    bed.sysctl("net.ipv4.tcp_rmem", "4096 131072 1073741824")
    until(lambda: cookies()["window_scale"] == 14, "the daemon")
    assert log.read_text().count("settings have changed") <= 3


def test_window_scale_without_loopback(bed):
    bed.sysctl("net.ipv4.tcp_syncookies", 2)
    bed.sysctl("net.ipv4.tcp_timestamps", 2)
    bed.inside(bed.gateway, "ip", "link", "set", "lo", "down")
    r = bed.attach("  syn_flood: {mode: always}\n")
    assert "the kernel's window scale can't be measured" in r.stderr and "is the loopback interface up?" in r.stderr
    cookies = bed.json("status", "--interface", bed.interface)[0]["cookies"]
    assert cookies == {"timestamps": True, "sack": True, "window_scale": None}


def cookies_sent(bed):
    out = bed.inside(bed.gateway, "nstat", "-asz", "TcpExtSyncookiesRecv").stdout
    return int(float(out.split("TcpExtSyncookiesRecv")[1].split()[0]))


@pytest.mark.parametrize("mode", ["native", "generic"])
@pytest.mark.parametrize("address", ["10.7.0.1", "fd07::1"])
def test_handshakes_under_cookies(echo, address, mode):
    bed = echo
    bed.sysctl("net.ipv4.tcp_syncookies", 2)
    bed.attach("  syn_flood: {mode: always}\n", "--mode", mode)
    assert connect(bed, address, 8080, 5) == 5
    reasons = bed.reasons()
    assert reasons["cookie_sent"] >= 5
    assert reasons["cookie_valid"] >= 5
    assert reasons["cookie_invalid"] == 0
    assert cookies_sent(bed) >= 5, "the kernel has taken them"


def test_syn_flood_is_answered_and_clients_get_through(echo):
    bed = echo
    bed.sysctl("net.ipv4.tcp_syncookies", 2)
    bed.attach("  syn_flood: {mode: auto, threshold: 100/s}\n")
    assert connect(bed, "10.7.0.1", 8080, 3) == 3
    assert bed.reasons()["cookie_sent"] == 0, "no flood, no cookies"
    bed.inside(bed.client, "hping3", "-q", "-i", "u100", "-c", "3000", "-S", "-p", "8080", "--rand-source",
               "10.7.0.1", check=False)
    assert bed.reasons()["cookie_sent"] > 1000
    assert connect(bed, "10.7.0.1", 8080, 5) == 5
    assert bed.reasons()["cookie_valid"] >= 5


def test_established_connections_and_outbound_are_not_touched(echo):
    bed = echo
    bed.sysctl("net.ipv4.tcp_syncookies", 2)
    bed.attach("  syn_flood: {mode: off}\n")
    code = ("import socket,sys\ns = socket.create_connection(('10.7.0.1', 8080))\nprint('up', flush=True)\n"
            "sys.stdin.readline()\ns.sendall(b'late\\n')\nprint(s.recv(16).decode(), flush=True)\n")
    p = subprocess.Popen(["nsenter", f"--net=/run/netns/{bed.client}", "/usr/bin/python3", "-c", code],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert p.stdout.readline() == "up\n"
    bed.sluice("apply", "--interface", bed.interface, "-c", bed.config("  syn_flood: {mode: always}\n"))
    p.stdin.write("\n")
    p.stdin.flush()
    assert p.stdout.readline() == "late\n"
    p.stdin.close()
    assert p.wait(20) == 0
    p.stdout.close()
    # From the gateway to the client: SYN-ACKs are nobody's flood.
    listener = ("import socket\ns = socket.socket()\ns.bind(('10.7.0.2', 7070))\ns.listen()\n"
                "c, _ = s.accept()\nc.sendall(b'x')\n")
    bed.start(bed.client, "/usr/bin/python3", "-c", listener)
    until(lambda: ":7070" in bed.inside(bed.client, "ss", "-Hltn").stdout, "the listener")
    got = bed.inside(bed.gateway, "/usr/bin/python3", "-c",
                     "import socket\nprint(socket.create_connection(('10.7.0.2', 7070), 3).recv(1))").stdout
    assert got == "b'x'\n"
