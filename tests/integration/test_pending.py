# SPDX-License-Identifier: Apache-2.0
"""Requests wait for a connection to the upstream when all are taken: in order, not for ever, not without bound."""
import socket
import threading
import time

import pytest

CONFIG = """
version: 1
workers: 1
listeners: [{{name: public, address: 127.0.0.1:PORT}}]
services:
  api:
    endpoints: [http://127.0.0.1:{port}]
    limits: {{connections: {connections}, pending: {pending}}}
    timeouts: {{request: {request}}}
routes: [{{name: all, match: {{path: /*}}, to: api}}]
"""


class Held:
    """An origin that answers when told to, and keeps connections."""

    def __init__(self):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.paths = []
        self.open = 0
        self.most = 0
        self.lock = threading.Lock()
        self.permits = threading.Semaphore(0)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                s = self.server.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        with self.lock:
            self.open += 1
            self.most = max(self.most, self.open)
        data = b""
        try:
            while True:
                while b"\r\n\r\n" not in data:
                    more = s.recv(65536)
                    if not more:
                        return
                    data += more
                head, data = data.split(b"\r\n\r\n", 1)
                length = 0
                for line in head.split(b"\r\n"):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                while len(data) < length:
                    data += s.recv(65536)
                body, data = data[:length], data[length:]
                path = head.split(b" ")[1].decode()
                self.paths.append(path)
                self.permits.acquire()
                body = path.encode() + b" " + str(len(body)).encode()
                s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        except OSError:
            pass
        finally:
            with self.lock:
                self.open -= 1
            s.close()

    def wait(self, n):
        until(lambda: len(self.paths) >= n)

    def release(self, n=1):
        for _ in range(n):
            self.permits.release()


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def held():
    h = Held()
    yield h
    h.release(10000)
    h.server.close()


def start(sluiced, held, connections=1, pending=2, request="15s"):
    return sluiced(CONFIG.format(port=held.port, connections=connections, pending=pending, request=request))


def send(s, path, body=b""):
    c = s.connect()
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    c.sendall(f"{'POST' if body else 'GET'} {path} HTTP/1.1\r\nHost: a\r\n{length}\r\n".encode() + body)
    return c


def answer(c):
    c.settimeout(20)
    data = c.recv(65536)
    return int(data.split(b" ")[1]), data.split(b"\r\n\r\n", 1)[1]


def settled(s, c):
    """A request that is answered by the gateway itself on the same worker: all before it has been seen."""
    c.sendall(b"")
    with s.connect() as probe:
        probe.sendall(b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n")
        assert probe.recv(100).startswith(b"HTTP/1.1 405 ")


def test_first_come_first_served(sluiced, held):
    s = start(sluiced, held, pending=5)
    first = send(s, "/0")
    held.wait(1)
    waiting = []
    for i in range(1, 6):
        waiting.append(send(s, f"/{i}"))
        settled(s, waiting[-1])
    with send(s, "/6") as refused:
        assert answer(refused)[0] == 503
    assert held.paths == ["/0"]
    held.release(6)
    assert answer(first) == (200, b"/0 0")
    for i, c in enumerate(waiting, 1):
        assert answer(c) == (200, b"/%d 0" % i)
    assert held.paths == [f"/{i}" for i in range(6)]
    assert held.most == 1
    # Room again.
    held.release()
    with send(s, "/7") as c:
        assert answer(c)[0] == 200


def test_nothing_waits_where_that_is_off(sluiced, held):
    s = start(sluiced, held, pending=0)
    first = send(s, "/0")
    held.wait(1)
    with send(s, "/1") as c:
        assert answer(c)[0] == 503
    held.release()
    assert answer(first)[0] == 200


def test_the_deadline_goes_on(sluiced, held):
    s = start(sluiced, held, request="700ms")
    begin = time.monotonic()
    first, second = send(s, "/0"), send(s, "/1")
    assert answer(first)[0] == 504 and answer(second)[0] == 504
    assert 0.6 < time.monotonic() - begin < 10
    # The first one's end made room, but the second was over by then.
    assert len(held.paths) <= 2


def test_who_goes_away_is_not_served(sluiced, held):
    s = start(sluiced, held)
    first = send(s, "/0")
    held.wait(1)
    gone = send(s, "/gone")
    settled(s, gone)
    gone.close()
    # Its place is free for another two.
    kept = []
    for path in ("/1", "/2"):
        kept.append(send(s, path))
        settled(s, kept[-1])
    held.release(3)
    assert answer(first)[0] == 200
    assert [answer(c)[0] for c in kept] == [200, 200]
    assert held.paths == ["/0", "/1", "/2"]


def test_a_body_waits_with_its_request(sluiced, held):
    s = start(sluiced, held)
    first = send(s, "/0")
    held.wait(1)
    body = b"x" * 300000
    second = s.connect()
    sender = threading.Thread(target=second.sendall, args=(
        b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body),))
    sender.start()
    settled(s, second)
    assert held.paths == ["/0"]
    held.release(2)
    assert answer(first)[0] == 200
    assert answer(second) == (200, b"/1 300000")
    sender.join()


def test_many_through_few(sluiced, held):
    s = start(sluiced, held, connections=3, pending=1000)
    held.release(400)
    results = []

    def client(n):
        for i in range(20):
            with send(s, f"/{n}-{i}") as c:
                results.append(answer(c)[0])

    threads = [threading.Thread(target=client, args=(n,)) for n in range(20)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == [200] * 400
    assert held.most <= 3


def test_a_reload_serves_who_waits(sluiced, held):
    s = start(sluiced, held)
    first = send(s, "/0")
    held.wait(1)
    second = send(s, "/1")
    settled(s, second)
    s.write(CONFIG.format(port=held.port, connections=1, pending=9, request="16s"))
    s.reload("generation 2")
    held.release(2)
    assert answer(first)[0] == 200
    assert answer(second)[0] == 200
