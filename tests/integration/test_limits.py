# SPDX-License-Identifier: Apache-2.0
"""What a gateway must bear: much at once, the slow, the silent; and what each listener allows."""
import os
import re
import socket
import threading
import time

import pytest

from origin import Script, read_all, read_head, until

CONFIG = """
version: 1
workers: {workers}
listeners:
  - name: public
    address: 127.0.0.1:PORT
    timeouts: {{headers: {headers}, idle: {idle}}}
    limits: {{connections: {connections}, requests: {requests}}}
services: {{api: {{endpoints: [http://127.0.0.1:{port}], timeouts: {{request: {request}, idle: 60s}}}}}}
routes: [{{name: all, match: {{path: /*}}, to: api}}]
"""
DEFAULTS = {"workers": 1, "headers": "10s", "idle": "60s", "connections": 65536, "requests": 0, "request": "15s"}
SANITIZED = os.path.basename(os.environ.get("SLUICE_BUILD", "")) in ("san", "tsan")
MIB = 1 << 20
CONNECTIONS = 64
TOTAL = 1 << 30

# What n connections may hold: the receive buffers of each worker, and of each connection two output buffers of at most
# 384 KiB towards one side, as bodies go one way at a time. Measured: 18 of 64 MiB.
def bound(workers, n):
    return workers * 8 * MIB + n * 768 * 1024


@pytest.fixture
def gateway(sluiced):
    origins = []

    def start(serve, **values):
        origins.append(Script(serve))
        return sluiced(CONFIG.format(port=origins[-1].port, **{**DEFAULTS, **values}))

    yield start
    for o in origins:
        o.__exit__()


class Peak:
    """Of the resident size from here on: how much it grows."""

    def __init__(self, s):
        self.pid = s.process.pid
        with open(f"/proc/{self.pid}/clear_refs", "w", encoding="ascii") as f:
            f.write("5")
        self.before = self.read("VmRSS")

    def read(self, name):
        text = open(f"/proc/{self.pid}/status", encoding="ascii").read()
        return int(re.search(name + r":\s+(\d+) kB", text)[1]) * 1024

    def check(self, most):
        growth = self.read("VmHWM") - self.before
        # The sanitizer keeps what was freed.
        assert SANITIZED or growth < most, growth


def in_threads(n, f):
    errors = []

    def run(i):
        try:
            f(i)
        except Exception as e:  # noqa: for the assertion
            errors.append(repr(e))

    threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert errors == []


def take(s, n, rest=b""):
    """Read n bytes, of which some have come, and discard them."""
    n -= len(rest)
    view = memoryview(bytearray(MIB))
    while n > 0:
        got = s.recv_into(view[:min(n, MIB)])
        if not got:
            raise ConnectionError(f"{n} bytes missing")
        n -= got
    assert n == 0


def length_of(head):
    return int(re.search(r"Content-Length: (\d+)", head)[1])


def serve_files(s):
    """GET /N answers N bytes; POST takes its body; both for as long as the connection lasts."""
    block = b"x" * MIB
    rest = b""
    while True:
        head, rest = read_head(s, rest)
        if head.startswith("POST"):
            take(s, length_of(head), rest)
            rest = b""
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            continue
        n = int(head.split("/")[1].split(" ")[0])
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % n)
        while n:
            part = min(n, MIB)
            s.sendall(block[:part])
            n -= part


def get(c, n):
    c.sendall(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % n)
    head, rest = read_head(c)
    assert head.startswith("HTTP/1.1 200 ") and length_of(head) == n
    take(c, n, rest)


def test_a_gibibyte_down(gateway):
    s = gateway(serve_files, workers=2)
    in_threads(4, lambda i: get(s.connect(), MIB))
    peak = Peak(s)

    def client(i):
        with s.connect() as c:
            for _ in range(4):
                get(c, TOTAL // CONNECTIONS // 4)

    in_threads(CONNECTIONS, client)
    peak.check(bound(2, CONNECTIONS))


def test_a_gibibyte_up(gateway):
    s = gateway(serve_files, workers=2)
    in_threads(4, lambda i: get(s.connect(), MIB))
    peak = Peak(s)
    block = b"x" * MIB

    def client(i):
        with s.connect() as c:
            blocks = TOTAL // CONNECTIONS // MIB // 4
            for _ in range(4):
                c.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (blocks * MIB))
                for _ in range(blocks):
                    c.sendall(block)
                head, rest = read_head(c)
                assert head.startswith("HTTP/1.1 200 ")
                take(c, 2, rest)

    in_threads(CONNECTIONS, client)
    peak.check(bound(2, CONNECTIONS))


class Stalled:
    """Whether a counter stands still."""

    def __init__(self, read):
        self.read = read
        self.value = -1
        self.since = 0

    def __call__(self):
        now = time.monotonic()
        value = self.read()
        if value != self.value:
            self.value, self.since = value, now
        return now - self.since > 0.4


def others_are_served(s):
    begin = time.monotonic()
    for _ in range(20):
        with s.connect() as c:
            get(c, 1000)
    assert time.monotonic() - begin < 10


def test_slow_readers(gateway):
    sent, size, n = [0], 64 * MIB, 16
    lock = threading.Lock()

    def serve(s):
        rest = b""
        while True:
            head, rest = read_head(s, rest)
            left = int(head.split("/")[1].split(" ")[0])
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % left)
            while left:
                part = s.send(b"x" * min(left, 65536))
                left -= part
                with lock:
                    sent[0] += part

    s = gateway(serve)
    others_are_served(s)
    peak = Peak(s)
    sent[0] = 0
    clients = []
    for _ in range(n):
        c = socket.socket()
        c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        c.connect(("127.0.0.1", s.port))
        c.sendall(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % size)
        clients.append(c)
    until(lambda: sent[0] > n * 65536)
    until(Stalled(lambda: sent[0]))
    # What is in sockets and buffers, not what the origin has.
    assert sent[0] < n * size / 2
    others_are_served(s)
    peak.check(bound(1, n))

    def finish(i):
        with clients[i] as c:
            head, rest = read_head(c)
            assert length_of(head) == size
            take(c, size, rest)

    in_threads(n, finish)
    peak.check(bound(1, n))


def test_slow_consumer_of_bodies(gateway):
    go = threading.Event()
    seen = []

    def serve(s):
        rest = b""
        while True:
            head, rest = read_head(s, rest)
            if head.startswith("POST"):
                go.wait(30)
                take(s, length_of(head), rest)
                rest = b""
                seen.append(length_of(head))
                s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            else:
                s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000)

    s = gateway(serve)
    others_are_served(s)
    peak = Peak(s)
    size, n = 64 * MIB, 8
    sent = [0] * n

    def send(i):
        with s.connect() as c:
            c.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
            c.settimeout(60)
            block = b"x" * 65536
            while sent[i] < size:
                sent[i] += c.send(block[:min(size - sent[i], 65536)])
            assert read_head(c)[0].startswith("HTTP/1.1 200 ")

    t = threading.Thread(target=in_threads, args=(n, send))
    t.start()
    until(lambda: min(sent) > 65536)
    until(Stalled(lambda: sum(sent)))
    assert sum(sent) < n * size / 2
    others_are_served(s)
    peak.check(bound(1, n))
    go.set()
    t.join()
    assert seen == [size] * n


def test_slowloris(gateway):
    s = gateway(serve_files, headers="1s")
    begin = time.monotonic()
    clients = [s.connect() for _ in range(200)]
    text = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X-A: b\r\n" * 1000
    answers = {}
    at = 0
    while len(answers) < len(clients):
        assert time.monotonic() - begin < 20
        for i, c in enumerate(clients):
            if i in answers:
                continue
            c.setblocking(False)
            try:
                c.send(text[at:at + 1])
            except OSError:
                pass
            try:
                answers[i] = c.recv(1000)
            except BlockingIOError:
                pass
        at += 1
        time.sleep(0.02)
    assert time.monotonic() - begin >= 0.9
    for a in answers.values():
        assert a.startswith(b"HTTP/1.1 408 ") and b"\r\nConnection: close\r\n" in a
    others_are_served(s)
    for c in clients:
        c.close()


def ended_after(c):
    """Seconds until the gateway ends the connection, and what it said."""
    begin = time.monotonic()
    c.settimeout(20)
    out = read_all(c)
    return time.monotonic() - begin, out


def test_silent_connections_end(gateway):
    s = gateway(serve_files, headers="600ms", idle="1200ms")
    with s.connect() as c:
        seconds, out = ended_after(c)
        assert 0.5 < seconds < 10 and out == b""
    with s.connect() as c:
        get(c, 1000)
        seconds, out = ended_after(c)
        assert 1.1 < seconds < 10 and out == b""


def test_a_body_that_stops(gateway):
    s = gateway(serve_files, request="1s")
    with s.connect() as c:
        c.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
        seconds, out = ended_after(c)
        assert 0.9 < seconds < 10 and out.startswith(b"HTTP/1.1 408 ")


def test_a_reader_that_stops(gateway):
    gone = threading.Event()

    def serve(s):
        read_head(s)
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (256 * MIB))
        try:
            while True:
                s.sendall(b"x" * 65536)
        except ConnectionError:
            gone.set()

    s = gateway(serve, idle="1s")
    with s.connect() as c:
        c.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert gone.wait(20)


def test_an_answer_that_stops(gateway):
    stop = threading.Event()

    def serve(s):
        read_head(s)
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        stop.wait(20)

    s = gateway(serve, idle="1s")
    with s.connect() as c:
        c.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        seconds, out = ended_after(c)
        assert 0.9 < seconds < 10 and out.endswith(b"half")
    stop.set()


def test_requests_a_connection(gateway):
    s = gateway(serve_files, requests=3)
    with s.connect() as c:
        for i in range(3):
            c.sendall(b"GET /10 HTTP/1.1\r\nHost: a\r\n\r\n")
            head, rest = read_head(c)
            assert ("\r\nConnection: close\r\n" in head) == (i == 2)
            take(c, 10, rest)
        assert read_all(c) == b""


def test_connections_at_once(gateway):
    s = gateway(serve_files, connections=5)
    with s.connect() as c:
        get(c, 10)
    clients = []

    def admitted():
        c = s.connect()
        try:
            get(c, 10)
        except ConnectionError:
            c.close()
            return False
        clients.append(c)
        return True

    # The one before may take a moment to be gone.
    until(lambda: admitted() and len(clients) == 5)
    for _ in range(3):
        assert not admitted()
    for c in clients:
        get(c, 10)
    clients.pop().close()
    until(admitted)
    for c in clients:
        c.close()
