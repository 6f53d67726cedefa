# SPDX-License-Identifier: Apache-2.0
"""SIGHUP under load: no request fails, memory stays flat, listeners come and go."""
import http.client
import os
import re
import socket
import threading
import time

import pytest

from conftest import free_port

CONFIG = """
version: 1
workers: {workers}
listeners:
  - {{name: public, address: 127.0.0.1:PORT{options}}}
{more}
services: {{api: {{endpoints: [http://127.0.0.1:{origin}]}}}}
routes: [{{name: all, match: {{path: /*}}, to: api}}]
# {comment}
"""


class Gateway:
    """A sluiced whose configuration is written and taken over step by step."""

    def __init__(self, sluiced, origin):
        self.values = {"workers": 2, "options": "", "more": "", "origin": origin.port, "comment": 0}
        self.generation = 1
        self.s = sluiced(CONFIG.format(**self.values))

    def write(self, **values):
        self.values.update(values, comment=self.values["comment"] + 1)
        self.s.write(CONFIG.format(**self.values))

    def reload(self, **values):
        self.write(**values)
        self.generation += 1
        self.s.reload(f"reload: generation {self.generation} of")

    def refused(self, **values):
        """Reload what must not be taken over; what the log says of it."""
        kept = dict(self.values)
        self.write(**values)
        before = len(self.s.log.read_text())
        self.s.reload("the old configuration stays")
        self.values = kept
        return self.s.log.read_text()[before:]

    def more(self, *ports):
        return "\n".join(f"  - {{name: p{port}, address: 127.0.0.1:{port}}}" for port in ports)


@pytest.fixture
def gateway(sluiced, origin):
    return Gateway(sluiced, origin)


def ask(port, connection=None):
    """One request; the answer's Connection field. A new connection unless one is given."""
    c = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        c.request("GET", "/echo")
        r = c.getresponse()
        body = r.read()
        assert r.status == 200 and body.startswith(b"one GET /echo "), (r.status, body)
        return r.getheader("Connection")
    finally:
        if not connection:
            c.close()


class Load:
    """Clients that keep their connection, and clients that take a new one for each request."""

    def __init__(self, port, kept=3, fresh=3):
        self.port = port
        self.errors = []
        self.count = 0
        self.stopping = False
        self.threads = [threading.Thread(target=self.run, args=(i < kept,)) for i in range(kept + fresh)]

    def run(self, keep):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20) if keep else None
        try:
            if keep:
                connection.connect()
                # Not connected again behind our back when it is lost.
                connection.auto_open = 0
            while not self.stopping:
                ask(self.port, connection)
                self.count += 1
                time.sleep(0.002)
        except Exception as e:  # noqa: every failure counts
            self.errors.append(repr(e))
        finally:
            if connection:
                connection.close()

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *args):
        self.stopping = True
        for t in self.threads:
            t.join()

    def wait(self, n):
        """Until n more requests have been answered."""
        end = time.monotonic() + 60
        goal = self.count + n
        while self.count < goal and not self.errors:
            assert time.monotonic() < end
            time.sleep(0.01)
        assert self.errors == []


def resident(s):
    text = open(f"/proc/{s.process.pid}/status", encoding="ascii").read()
    return int(re.search(r"VmRSS:\s+(\d+) kB", text)[1])


def wait_refused(port, seconds=10):
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 5).close()
        except ConnectionRefusedError:
            return
        except OSError:
            pass
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_thousand_reloads_under_load(gateway):
    with Load(gateway.s.port) as load:
        load.wait(50)
        for i in range(1, 1001):
            gateway.reload()
            if i == 100:
                early = resident(gateway.s)
        late = resident(gateway.s)
        load.wait(50)
        assert load.errors == []
    # The sanitizer keeps what was freed.
    if "san" not in os.environ.get("SLUICE_BUILD", ""):
        assert late - early < 2048, (early, late)


def test_bad_reloads_leave_memory_flat(gateway):
    for i in range(1, 151):
        gateway.refused(more="  - {name: bad, address: nowhere}")
        if i == 50:
            early = resident(gateway.s)
    if "san" not in os.environ.get("SLUICE_BUILD", ""):
        assert resident(gateway.s) - early < 2048
    ask(gateway.s.port)


def test_listeners_come_and_go(gateway):
    first, second = free_port(), free_port()
    with Load(gateway.s.port) as load:
        load.wait(20)
        gateway.reload(more=gateway.more(first))
        assert ask(first) is None
        kept = http.client.HTTPConnection("127.0.0.1", first, timeout=20)
        assert ask(first, kept) is None
        # Moved: one address goes, another comes.
        gateway.reload(more=gateway.more(second))
        assert ask(second) is None
        # The connection lives until it has been told.
        assert ask(first, kept) == "close"
        wait_refused(first)
        gateway.reload(more="")
        wait_refused(second)
        gateway.reload(more=gateway.more(first, second))
        assert ask(first) is None and ask(second) is None
        load.wait(20)


def test_a_request_outlives_its_listener(gateway, origin):
    port = free_port()
    (origin.www / "f").write_bytes(b"x" * (32 << 20))
    gateway.reload(more=gateway.more(port))
    with socket.create_connection(("127.0.0.1", port), 20) as s:
        s.sendall(b"GET /f HTTP/1.1\r\nHost: a\r\n\r\n")
        got = len(s.recv(1000))
        gateway.reload(more="")
        wait_refused(port)
        while True:
            data = s.recv(1 << 20)
            got += len(data)
            if got > 32 << 20 or not data:
                break
    assert got > 32 << 20


def test_nothing_queued_is_dropped(gateway):
    """Clients keep coming to a listener that comes and goes: who is let in is answered, others are refused."""
    port = free_port()
    gateway.reload(more=gateway.more(port))
    errors, counts, stop = [], {"answered": 0, "refused": 0}, threading.Event()

    def storm():
        while not stop.is_set():
            try:
                s = socket.create_connection(("127.0.0.1", port), 20)
            except ConnectionRefusedError:
                counts["refused"] += 1
                time.sleep(0.005)
                continue
            try:
                with s:
                    s.sendall(b"GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                    assert s.recv(65536).startswith(b"HTTP/1.1 200 ")
                    counts["answered"] += 1
            except Exception as e:  # noqa: every failure counts
                errors.append(repr(e))

    threads = [threading.Thread(target=storm) for _ in range(6)]
    for t in threads:
        t.start()
    for _ in range(8):
        gateway.reload(more="")
        end = time.monotonic() + 20
        before = counts["refused"]
        while counts["refused"] < before + 5:
            assert time.monotonic() < end
            time.sleep(0.01)
        gateway.reload(more=gateway.more(port))
        before = counts["answered"]
        while counts["answered"] < before + 20:
            assert time.monotonic() < end
            time.sleep(0.01)
    stop.set()
    for t in threads:
        t.join()
    assert errors == []


def test_what_cannot_be_bound_changes_nothing(gateway, second):
    port = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = taken.getsockname()[1]
        log = gateway.refused(more=gateway.more(port, busy), origin=second.port)
    assert f"listener p{busy}: 127.0.0.1:{busy}: Address already in use" in log
    wait_refused(port)
    # Still the first origin.
    ask(gateway.s.port)
    gateway.reload(more=gateway.more(port))
    ask(port)


def test_workers_cannot_change(gateway):
    log = gateway.refused(workers=3)
    assert "workers: their number can't change from 2 to 3 while running" in log
    ask(gateway.s.port)


def test_options_of_a_kept_listener_count_for_new_connections(gateway):
    kept = http.client.HTTPConnection("127.0.0.1", gateway.s.port, timeout=20)
    assert ask(gateway.s.port, kept) is None
    gateway.reload(options=", limits: {requests: 2}")
    assert ask(gateway.s.port, kept) is None
    assert ask(gateway.s.port, kept) is None
    kept.close()
    new = http.client.HTTPConnection("127.0.0.1", gateway.s.port, timeout=20)
    assert ask(gateway.s.port, new) is None
    assert ask(gateway.s.port, new) == "close"
