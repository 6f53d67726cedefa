# SPDX-License-Identifier: Apache-2.0
"""sluice top: what comes in a second, of one interface and of several, for scripts and at a terminal."""
import fcntl
import itertools
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios

import pytest
from conftest import BUILD, here, run, until
from test_living import config, two  # noqa: F401, a fixture


@pytest.fixture
def busy(bed):
    """Pings of a denied address, and of one that is not, go on; a feed lists another."""
    (bed.path / "bad.netset").write_text("10.7.0.4\n")
    bed.attach(f"  deny: [10.7.0.2, {{file: {bed.path}/bad.netset, name: bad-ones}}]\n")
    for host in (3, 4):
        run("ip", "-n", bed.client, "addr", "add", f"10.7.0.{host}/16", "dev", bed.peer)
    for host in (2, 3, 4):
        bed.start(bed.client, "ping", "-nq", "-i", "0.002", "-W1", "-I", f"10.7.0.{host}", "10.7.0.1")
    until(lambda: all(bed.reasons()[r] > 100 for r in ("denied", "passed", "listed")), "the guard's counters")
    return bed


def test_top_once(busy):
    bed = busy
    found, = bed.json("top", "--once", *here(bed))
    assert found["interface"] == bed.interface and 0.9 < found["seconds"] < 10
    denied_ = found["reasons"]["denied"]
    assert denied_["verdict"] == "DROP" and 20 < denied_["packets"] < 1000
    # Whole frames: 98 bytes each, but for what neighbours say.
    assert denied_["bits"] == pytest.approx(denied_["packets"] * 98 * 8, rel=0.2)
    assert found["reasons"]["passed"]["packets"] > 20 and found["reasons"]["malformed"]["packets"] == 0
    assert found["packets"] == pytest.approx(sum(r["packets"] for r in found["reasons"].values()))
    assert 10 < found["ns_a_packet"] < 1e6
    assert found["feeds"]["bad-ones"] == pytest.approx(found["reasons"]["listed"]["packets"])
    sources = {s["source"]: s for s in found["sources"]}
    assert {"10.7.0.2", "10.7.0.3", "10.7.0.4"} <= set(sources)
    assert (sources["10.7.0.2"]["last_drop"], sources["10.7.0.4"]["last_drop"]) == ("denied", "listed")
    assert sources["10.7.0.3"]["last_drop"] is None and sources["10.7.0.3"]["dropped"] == 0
    assert sources["10.7.0.2"]["dropped"] == sources["10.7.0.2"]["packets"] > 0
    text = bed.sluice("top", "--once", "--interval", "500ms", *here(bed)).stdout
    assert re.match(rf"sluice top: {bed.interface} +\d+  packets/s, \d+ ns of CPU a packet, [\d.]+ % of one\n\n", text), text
    assert re.search(r"^denied +DROP +\d+ +\d+.$", text, re.M) and "malformed" not in text
    assert re.search(r"^bad-ones +\d+ $", text, re.M) and re.search(r"^10\.7\.0\.2 +\d+ +\d+ +\d+..+ denied$", text, re.M), text


def test_cost_is_the_kernels(busy):
    """Of the first and last reading of what the program has cost, which are the only ones."""
    bed = busy
    trace = bed.path / "trace"
    out = bed.inside(bed.gateway, "strace", "-v", "-qq", "-o", trace, "-e", "trace=bpf", BUILD / "sluice", "top", "--once", "--json",
                     *here(bed), env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}).stdout
    program = bed.json("status", *here(bed))[0]["program_id"]
    read = re.findall(rf"\bid={program}, .*run_time_ns=(\d+), run_cnt=(\d+)", trace.read_text())
    (nsec0, count0), (nsec1, count1) = (map(int, read[i]) for i in (0, -1))
    assert count1 > count0 and json.loads(out)[0]["ns_a_packet"] == pytest.approx((nsec1 - nsec0) / (count1 - count0))


@pytest.fixture
def busy_two(two):  # noqa: F811
    """
    Pings of one address of the first interface are denied; a feed of both lists others. Many come in by the one whose name comes
    last, few by the other.
    """
    bed = two
    (bed.path / "bad.netset").write_text("10.7.0.4\n10.8.0.4\n")
    bed.sluice("attach", "-c", config(bed, f"  deny: [10.7.0.2, {{file: {bed.path}/bad.netset, name: bad-ones}}]\n"))
    bed.busy = max((bed.interface, 7), (bed.second, 8))
    for net, dev in ((7, bed.peer), (8, bed.second.replace("slg", "slc"))):
        run("ip", "-n", bed.client, "addr", "add", f"10.{net}.0.4/16", "dev", dev)
        for host in (2, 4):
            bed.start(bed.client, "ping", "-nq", "-i", "0.002" if net == bed.busy[1] else "0.02", "-W1", "-I", f"10.{net}.0.{host}", f"10.{net}.0.1")
    until(lambda: all(i["reasons"]["listed"]["packets"] > 20 for i in bed.json("stats")), "the guards' counters")
    return bed


def test_top_of_two_interfaces(busy_two):
    bed = busy_two
    both = {i["interface"]: i for i in bed.json("top", "--once", "--interval", "3s")}
    assert set(both) == {bed.interface, bed.second}
    first, second = both[bed.interface], both[bed.second]
    for found, net, denied in ((first, 7, True), (second, 8, False)):
        assert (found["reasons"]["denied"]["packets"] > 5) == denied
        assert found["packets"] == pytest.approx(sum(r["packets"] for r in found["reasons"].values()))
        assert found["feeds"] == {"bad-ones": found["reasons"]["listed"]["packets"]} and found["feeds"]["bad-ones"] > 5
        sources = {s["source"] for s in found["sources"] if "." in s["source"]}
        assert f"10.{net}.0.4" in sources and all(s.startswith(f"10.{net}.") for s in sources)
        assert 10 < found["ns_a_packet"] < 1e6
    assert both[bed.busy[0]]["packets"] > 0.6 * (first["packets"] + second["packets"])
    only, = bed.json("top", "--once", "--interface", bed.second)
    assert only["interface"] == bed.second and {s["source"] for s in only["sources"]}.isdisjoint({"10.7.0.2", "10.7.0.4"})


def test_top_as_text_of_two_interfaces(busy_two):
    """Of all interfaces the sums, a row a reason and a feed; sources by what they send, and where."""
    bed = busy_two
    before = {i["interface"]: i["reasons"] for i in bed.json("stats")}
    text = bed.sluice("top", "--once", "--interval", "3s").stdout
    after = {i["interface"]: i["reasons"] for i in bed.json("stats")}
    m = re.match(r"sluice top: all interfaces +(\d+)  packets/s, \d+ ns of CPU a packet, [\d.]+ % of one\n\n", text)
    assert m, text

    def came(*reasons):
        return sum(after[i][r]["packets"] - before[i][r]["packets"] for i in after for r in reasons or after[i])

    def shown(name):
        found = re.findall(rf"^{name} .*?(\d+) ", text, re.M)
        assert len(found) == 1, text
        return int(found[0])

    # Some came in before it began and behind its end.
    assert 0.6 * came() < 3 * int(m[1]) <= came() + 3
    assert 0.6 * came("listed") < 3 * shown("listed +DROP") <= came("listed") + 3
    assert shown("bad-ones") == shown("listed +DROP")
    sources = re.findall(r"^(10\.\d\.0\.\d) .* (\S+)$", text, re.M)
    assert {s: i for s, i in sources} == {"10.7.0.2": bed.interface, "10.7.0.4": bed.interface,
                                          "10.8.0.2": bed.second, "10.8.0.4": bed.second}, text
    assert [i for _, i in sources[:2]] == [bed.busy[0]] * 2, text
    one = bed.sluice("top", "--once", *here(bed)).stdout
    assert one.startswith(f"sluice top: {bed.interface} ") and "10.8." not in one and bed.second not in one


class Terminal:
    """sluice top at a terminal of 100 by 30, and what it wrote there."""

    def __init__(self, bed, *args):
        self.fd, end = pty.openpty()
        self.text = b""
        self.size(30, 100)
        self.before = termios.tcgetattr(end)
        self.process = subprocess.Popen(["nsenter", f"--net=/run/netns/{bed.gateway}", BUILD / "sluice", "top", *args],
                                        stdin=end, stdout=end, env={**os.environ, "TERM": "xterm"}, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        bed.processes.append(self.process)
        self.other = end

    def size(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self):
        while select.select([self.fd], [], [], 0)[0]:
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                return True
            if not data:
                return True
            self.text += data
        return False

    def wait_for(self, pattern):
        until(lambda: self.read() or re.search(pattern, self.text), f"{pattern} on the screen")
        assert re.search(pattern, self.text), self.text

    def end(self):
        """The exit status."""
        until(lambda: self.read() or self.process.poll() is not None, "the end of top")
        self.read()
        return self.process.wait(20)

    def close(self):
        os.close(self.fd)
        os.close(self.other)


@pytest.mark.parametrize("how", ["q", signal.SIGINT, signal.SIGTERM])
def test_top_at_a_terminal(busy, how):
    bed = busy
    t = Terminal(bed, "--interval", "200ms", *here(bed))
    try:
        t.wait_for(rb"sluice top: " + bed.interface.encode())
        t.wait_for(rb"denied")
        t.wait_for(rb"bad-ones")
        t.wait_for(rb"10\.7\.0\.3")
        assert termios.tcgetattr(t.other)[3] != t.before[3]  # neither echo nor lines
        t.text = b""
        t.size(20, 60)
        t.wait_for(rb"sluice top: ")  # drawn again, as a whole
        if how == "q":
            os.write(t.fd, b"xq")
        else:
            t.process.send_signal(how)
        assert t.end() == 0
        # Back from the other screen, with the cursor, and the terminal as it was.
        assert b"\x1b[?1049l" in t.text and t.text.rfind(b"\x1b[?25h") > t.text.rfind(b"\x1b[?25l")
        assert termios.tcgetattr(t.other) == t.before
    finally:
        t.close()


def test_top_follows_the_guard(busy):
    bed = busy
    t = Terminal(bed, "--interval", "200ms", *here(bed))
    try:
        t.wait_for(rb"denied")
        bed.sluice("detach", *here(bed))
        t.wait_for(rb"is not attached any more")
        bed.attach("  limits: {source: {icmp: 1/s}}\n")
        t.wait_for(rb"limited_icmp")
        os.write(t.fd, b"q")
        assert t.end() == 0
    finally:
        t.close()


def test_tab_shows_the_next_interface(busy_two):
    bed = busy_two
    t = Terminal(bed, "--interval", "200ms")
    rows = itertools.cycle((30, 31))
    try:
        for name in ("all interfaces", *sorted((bed.interface, bed.second)), "all interfaces"):
            # Drawn as a whole only with another size.
            until(lambda: t.size(next(rows), 100) or t.read() or f"sluice top: {name} ".encode() in t.text, f"{name} on the screen")
            t.text = b""
            os.write(t.fd, b"\t")
        os.write(t.fd, b"q")
        assert t.end() == 0
    finally:
        t.close()


def test_top_usage(bed):
    bed.attach()
    for args, code, said in ((("--json",), 2, "--json is for --once"), ((), 1, "this needs a terminal; --once does without"),
                             (("--interval", "1ms"), 2, "not a duration from 100ms to 1h")):
        r = bed.sluice("top", *args, *here(bed), check=False)
        assert r.returncode == code and said in r.stderr
