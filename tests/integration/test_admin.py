# SPDX-License-Identifier: Apache-2.0
"""The admin listener: what it says is true, also while the process reloads, drains or has no time."""
import json
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import BUILD, free_port
from test_proxy import get

CONF = """
version: 1
drain: 10s
listeners:
  - {{name: public, address: 127.0.0.1:PORT, timeouts: {{headers: 2s}}}}
  - {{name: admin, address: 127.0.0.1:ADMIN, role: admin}}
services:
  api: {{endpoints: [http://127.0.0.1:{port}]}}
  dead: {{endpoints: [http://127.0.0.1:1]}}
routes:
  - {{name: all, match: {{path: /*}}, to: api}}
  - {{name: dead, match: {{path: /dead}}, to: dead}}
"""


@pytest.fixture
def gateway(sluiced, origin):
    return sluiced(CONF.format(port=origin.port))


def admin_raw(s, data):
    with socket.create_connection(("127.0.0.1", s.admin), 10) as c:
        c.sendall(data)
        out = b""
        while got := c.recv(65536):
            out += got
        return out


def code(route, status):
    return ("sluice_requests_total", ("code", status), ("route", route))


def test_counts_are_those_of_the_requests_sent(gateway):
    body = b"x" * 1000
    for _ in range(20):
        assert b" 200 " in gateway.raw(get("/echo"))
    for _ in range(3):
        assert b" 404 " in gateway.raw(get("/nothing"))
    gateway.raw(b"POST /post HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1000\r\n\r\n" + body)
    assert b" 502 " in gateway.raw(get("/dead"))
    gateway.raw(b"GET / HTTP/1.1\r\n\r\n")
    gateway.raw(b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nConnection: close\r\n\r\n")
    m = gateway.metrics()
    assert m[code("all", "2xx")] == 21
    assert m[code("all", "4xx")] == 3
    assert m[code("dead", "5xx")] == 1
    assert m[code("-", "4xx")] == 2
    assert m["sluice_bad_requests_total",] == 1
    assert m["sluice_connections_total",] == 28  # with the one that waited for the port
    assert m["sluice_request_body_bytes_total", ("route", "all")] == 1000
    assert m["sluice_upstream_requests_total", ("code", "2xx"), ("service", "api")] == 21
    assert m["sluice_upstream_requests_total", ("code", "none"), ("service", "dead")] == 1
    assert m["sluice_upstream_errors_total", ("service", "dead")] == 1
    assert m["sluice_request_duration_seconds_count", ("route", "all")] == 24
    assert m["sluice_upstream_duration_seconds_count", ("service", "api")] == 24
    assert m["sluice_upstream_duration_seconds_count", ("service", "dead")] == 0
    assert 0 < m["sluice_upstream_duration_seconds_sum", ("service", "api")] < 10


def test_exposition_line_by_line(gateway):
    status, text = gateway.page("/metrics")
    assert status == 200 and text.endswith("\n")
    families, name, kind = set(), None, None
    for line in text.splitlines():
        if m := re.fullmatch(r"# HELP (\w+) \S.*\.", line):
            name = m[1]
            assert name not in families
            families.add(name)
        elif m := re.fullmatch(r"# TYPE (\w+) (counter|gauge|histogram)", line):
            assert m[1] == name
            kind = m[2]
            assert (kind == "counter") == name.endswith("_total")
        else:
            m = re.fullmatch(r'(\w+?)((?:_bucket|_sum|_count)?)(?:\{(?:\w+="[^"]*",?)+\})? [0-9.]+', line)
            assert m, line
            assert (m[1] if kind == "histogram" else m[1] + m[2]) == name, line
    assert len(families) > 15
    # Buckets only grow, and the last one is the count.
    for series in set(re.findall(r'^(\w+)_bucket\{(\w+="[^"]*"),', text, re.M)):
        values = [int(v) for v in re.findall(rf'^{series[0]}_bucket{{{series[1]},le="[^"]*"}} (\d+)$', text, re.M)]
        assert len(values) == 19 and values == sorted(values)
        assert f"{series[0]}_count{{{series[1]}}} {values[-1]}\n" in text


def test_status_and_other_requests(gateway, origin):
    status, text = gateway.page("/status")
    got = json.loads(text)
    assert status == 200
    assert got["pid"] == gateway.process.pid and got["state"] == "serving"
    assert got["generation"] == 1 and got["last_reload"] is None and 0 < got["uptime"] < 600
    assert got["config"] == str(gateway.file)
    assert [x["role"] for x in got["listeners"]] == ["public", "admin"]
    assert got["services"][0] == {
        "name": "api", "endpoints": [{"url": f"http://127.0.0.1:{origin.port}", "weight": 1}]}
    assert gateway.page("/ready") == (200, "ready\n")
    assert gateway.page("/")[0] == 404
    assert b"HTTP/1.1 405 " in admin_raw(gateway, b"POST /metrics HTTP/1.1\r\nHost: a\r\n"
                                                  b"Connection: close\r\n\r\n")
    assert b"HTTP/1.1 400 " in admin_raw(gateway, b"nonsense\r\n\r\n")
    head = admin_raw(gateway, b"HEAD /ready HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert b"Content-Length: 6\r\n" in head and head.endswith(b"\r\n\r\n")
    # Pipelined, and more than is held at once.
    one = b"GET /ready HTTP/1.1\r\nHost: a\r\n\r\n"
    many = admin_raw(gateway, one * 500 + one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert many.count(b"HTTP/1.1 200 OK\r\n") == 501


def test_open_connections_are_counted_and_bounded(gateway):
    with gateway.connect() as s:
        s.sendall(get("/echo", close=False))
        s.recv(65536)
        end = time.monotonic() + 20  # until the one that waited for the port is gone
        while json.loads(gateway.page("/status")[1])["connections"] != 1:
            assert time.monotonic() < end
            time.sleep(0.02)
    idle = [socket.create_connection(("127.0.0.1", gateway.admin), 10) for _ in range(64)]
    try:
        with socket.create_connection(("127.0.0.1", gateway.admin), 10) as more:
            assert more.recv(1) == b""
    finally:
        for s in idle:
            s.close()
    end = time.monotonic() + 20
    while True:
        try:
            if gateway.page("/ready")[0] == 200:
                break
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.02)


def test_reload_keeps_the_counters(gateway, origin):
    for _ in range(5):
        gateway.raw(get("/echo"))
    before = gateway.metrics()
    assert before["sluice_config_generation",] == 1
    gateway.write(CONF.format(port=origin.port).replace("name: dead", "name: other"))
    gateway.reload("generation 2")
    for _ in range(2):
        gateway.raw(get("/echo"))
    end = time.monotonic() + 20
    while code("dead", "2xx") in (after := gateway.metrics()):
        assert time.monotonic() < end, "the row of a route that is gone stays"
        time.sleep(0.05)
    assert after[code("all", "2xx")] == 7
    assert after["sluice_config_generation",] == 2
    assert after[code("other", "2xx")] == 0
    assert after["sluice_config_reloads_total", ("result", "success")] == 1
    gateway.write("nonsense")
    gateway.reload("the old configuration stays")
    end = time.monotonic() + 20
    while (got := json.loads(gateway.page("/status")[1])["last_reload"])["successful"]:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert "sluice.yaml:1:1" in got["error"]
    assert gateway.metrics()["sluice_config_last_reload_successful",] == 0


def test_ready_says_that_it_drains(gateway, origin):
    (origin.www / "f").write_bytes(b"x" * (64 << 20))
    with gateway.connect() as s:
        s.sendall(get("/f", close=False))
        s.recv(1000)
        gateway.process.send_signal(signal.SIGTERM)
        end = time.monotonic() + 20
        while (got := gateway.page("/ready"))[0] == 200:
            assert time.monotonic() < end
            time.sleep(0.02)
        assert got == (503, "draining\n")
        assert json.loads(gateway.page("/status")[1])["state"] == "draining"
        while s.recv(1 << 20):
            pass
    gateway.stop()


def test_answers_while_the_workers_are_busy(gateway):
    request = get("/nothing", close=False) * 200
    stop = threading.Event()

    def load():
        while not stop.is_set():
            with gateway.connect() as s:
                s.sendall(request)
                s.shutdown(socket.SHUT_WR)
                while s.recv(1 << 20):
                    pass

    threads = [threading.Thread(target=load) for _ in range(4)]
    for t in threads:
        t.start()
    try:
        for _ in range(20):
            assert gateway.page("/metrics")[0] == 200
    finally:
        stop.set()
        for t in threads:
            t.join()


def test_a_taken_admin_port_is_an_error(gateway, tmp_path):
    conf = tmp_path / "second.yaml"
    conf.write_text(f"version: 1\nlisteners: [{{name: adm, address: 127.0.0.1:{gateway.admin}, role: admin}}]\n")
    r = subprocess.run([BUILD / "sluiced", "-c", conf], capture_output=True, text=True, check=False,
                       timeout=30)
    assert r.returncode == 1
    assert f"listener adm: 127.0.0.1:{gateway.admin}: Address already in use" in r.stderr


def test_a_reload_moves_the_admin_listener(gateway, origin):
    text = CONF.format(port=origin.port)
    old, new = gateway.admin, free_port()
    gateway.write(text.replace("ADMIN", str(new)))
    gateway.reload("generation 2")
    gateway.admin = new
    assert gateway.page("/ready") == (200, "ready\n")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", old), 10)
    # One that cannot be had: nothing changes.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        gateway.write(text.replace("ADMIN", str(taken.getsockname()[1])))
        gateway.reload("the old configuration stays")
    end = time.monotonic() + 20
    while (got := json.loads(gateway.page("/status")[1]))["last_reload"]["successful"]:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert "Address already in use" in got["last_reload"]["error"] and got["generation"] == 2
    gateway.write(text.replace("  - {name: admin, address: 127.0.0.1:ADMIN, role: admin}\n", ""))
    gateway.reload("generation 3")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", new), 10)


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_gets_the_address_back(gateway, sig):
    def pid():
        try:
            return json.loads(gateway.page("/status")[1])["pid"]
        except OSError:  # for a moment it is still the killed one that is connected to
            return None

    for _ in range(10):
        gateway.process.send_signal(sig)
        gateway.process.wait(40)
        gateway.start()
        end = time.monotonic() + 20
        while pid() != gateway.process.pid:
            assert gateway.process.poll() is None, gateway.log.read_text()
            assert time.monotonic() < end
            time.sleep(0.02)
