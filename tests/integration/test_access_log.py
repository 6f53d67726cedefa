# SPDX-License-Identifier: Apache-2.0
"""The access log from outside: every request is a line of JSON, and no state of the file stops a request."""
import json
import os
import re
import signal
import subprocess
import threading
import time

import pytest

from conftest import BUILD, free_port, wait_port
from test_proxy import get

CONF = """
version: 1
listeners:
  - {{name: public, address: 127.0.0.1:PORT, timeouts: {{headers: 1s, idle: 5s}}}}
  - {{name: admin, address: 127.0.0.1:ADMIN, role: admin}}
services:
  api: {{endpoints: [http://127.0.0.1:{port}], timeouts: {{request: 1s}}}}
  dead: {{endpoints: [http://127.0.0.1:1]}}
filters: [{{access_log: {{path: {log}}}}}]
routes:
  - {{name: all, match: {{path: /*}}, to: api}}
  - {{name: dead, match: {{path: /dead}}, to: dead}}
  - {{name: quiet, match: {{path: /quiet/*}}, to: api, filters: [{{access_log: {{enabled: false}}}}]}}
  - {{name: own, match: {{path: /own/*}}, to: api, filters: [{{access_log: {{path: own.json, query: false}}}}]}}
"""


@pytest.fixture
def gateway(sluiced, origin):
    return sluiced(CONF.format(port=origin.port, log="access.json"))


def wait_for(condition):
    end = time.monotonic() + 20
    while not (got := condition()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return got


def lines(gateway, name="access.json"):
    """What the log says once the gateway has ended; what different workers wrote may stand in any order."""
    gateway.stop()
    text = (gateway.file.parent / name).read_bytes()
    assert text.endswith(b"\n") or not text
    return sorted((json.loads(line) for line in text.splitlines()), key=lambda x: x["path"])


def test_a_line_a_request(gateway, origin):
    (origin.www / "f").write_bytes(b"x" * 5000)
    out = gateway.raw(get("/f?a=b", "User-Agent: test/1"))
    gateway.raw(b"POST /post HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 7\r\n\r\n1234567")
    first, second = lines(gateway)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first.pop("time"))
    assert 1024 <= first.pop("client_port") < 65536
    request_id = first.pop("request_id")
    assert f"X-Request-ID: {request_id}\r\n".encode() in out
    duration, upstream = first.pop("duration_us"), first.pop("upstream_us")
    assert 0 < upstream <= duration < 10_000_000
    assert first == {
        "client_ip": "127.0.0.1", "method": "GET", "host": "a", "path": "/f?a=b", "route": "all",
        "service": "api", "upstream": f"127.0.0.1:{origin.port}", "status": 200, "verdict": None,
        "bytes_in": 0, "bytes_out": 5000, "consumer": None, "user_agent": "test/1"}
    assert (second["method"], second["bytes_in"], second["user_agent"]) == ("POST", 7, None)
    assert second["request_id"] != request_id


def test_every_request_has_its_line(gateway):
    """Many connections at once, pipelined, until SIGTERM: as many lines as answers, and as the counters say."""
    n, each = 20, 100
    answers = []

    def ask(i):
        data = b"".join(get(f"/echo?{i}.{k}", close=k == each - 1) for k in range(each))
        answers.append(gateway.raw(data).count(b"HTTP/1.1 200 "))

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sum(answers) == n * each
    assert gateway.metrics()["sluice_requests_total", ("code", "2xx"), ("route", "all")] == n * each
    got = [x["path"] for x in lines(gateway)]
    assert sorted(got) == sorted(f"/echo?{i}.{k}" for i in range(n) for k in range(each))


def test_any_bytes_are_json(gateway):
    gateway.raw(b"GET /q\"\\%00' HTTP/1.1\r\nHost: a\r\nUser-Agent: \xff\"\\\t<\xc3\xa9>\xed\xa0\x80\r\nConnection: close\r\n\r\n")
    gateway.raw(get("/" + "x" * 10000, "User-Agent: " + "y" * 3000))
    first, second = lines(gateway)
    assert first["path"] == "/q\"\\%00'"
    assert first["user_agent"] == "\ufffd\"\\\t<\u00e9>\ufffd\ufffd\ufffd"
    assert second["path"] == "/" + "x" * 4095 and second["user_agent"] == "y" * 1024


def test_says_why_the_gateway_answered(gateway, origin):
    def last():
        text = (gateway.file.parent / "access.json").read_text()
        return [json.loads(line) for line in text.splitlines()]

    def verdict(n):
        x = wait_for(lambda: (got := last()) and len(got) > n and got[n])
        return x["status"], x["verdict"], x["route"], x["service"]

    gateway.raw(get("/dead"))
    assert verdict(0) == (502, "upstream_connect", "dead", "dead")
    gateway.raw(b"GET /nowhere HTTP/1.1\r\n\r\n")
    assert verdict(1) == (400, "bad_request", None, None)
    assert last()[1]["method"] is None and last()[1]["path"] is None
    gateway.raw(b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nConnection: close\r\n\r\n")
    assert verdict(2) == (405, "method_refused", None, None)
    assert last()[2]["method"] == "CONNECT"
    gateway.raw(get("/%2"))
    assert verdict(3) == (400, "bad_path", None, None)
    with gateway.connect() as s:
        s.sendall(b"GET /slow HTTP/1.1\r\nHo")
        assert b" 408 " in s.recv(65536)
    assert verdict(4) == (408, "head_timeout", None, None)
    (origin.www / "f").write_bytes(b"x" * (64 << 20))
    with gateway.connect() as s:
        s.sendall(get("/f"))
        s.recv(10)
    assert verdict(5) == (200, "client_closed", "all", "api")
    assert 0 < last()[5]["bytes_out"] < 64 << 20
    with gateway.connect() as s:
        s.sendall(b"POST /f HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
        assert b" 40" in s.recv(65536)
    assert verdict(6)[0] in (405, 408)


def test_routes_have_their_own_or_none(gateway):
    for path in ["/echo?1", "/quiet/echo", "/own/echo?secret=1"]:
        gateway.raw(get(path))
    assert [x["path"] for x in lines(gateway)] == ["/echo?1"]
    assert [x["path"] for x in lines(gateway, "own.json")] == ["/own/echo"]


@pytest.mark.parametrize("sig", [signal.SIGUSR1, signal.SIGHUP])
def test_rotation(gateway, sig):
    log = gateway.file.parent / "access.json"
    paths = [f"/echo?{i}" for i in range(300)]
    with gateway.connect() as s:
        for i, path in enumerate(paths):
            s.sendall(get(path, close=False))
            assert s.recv(65536).startswith(b"HTTP/1.1 200 ")
            if i == 100:
                log.rename(log.with_suffix(".1"))
                gateway.process.send_signal(sig)
            if i == 200:
                wait_for(log.exists)
    new = [x["path"] for x in lines(gateway)]
    old = [x["path"] for x in lines(gateway, "access.1")]
    assert len(new) >= 99 and len(old) >= 101
    assert sorted(new + old) == sorted(paths)


def test_a_reader_that_stands_still_stops_no_request(sluiced, origin, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    g = sluiced(CONF.format(port=origin.port, log=fifo))
    g.raw(get("/echo"))  # nobody reads at all
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        request = get("/" + "x" * 4000, close=False) * 100
        end = time.monotonic() + 60
        while g.metrics()["sluice_access_log_dropped_total",] == 0:
            assert time.monotonic() < end
            with g.connect() as s:
                s.sendall(request + get("/echo"))
                out = b""
                while got := s.recv(1 << 20):
                    out += got
            assert out.count(b"HTTP/1.1 404 ") == 100 and out.count(b"HTTP/1.1 200 ") == 1
        m = g.metrics()
        total = sum(v for k, v in m.items() if k[0] == "sluice_requests_total")
        wait_for(lambda: (m := g.metrics())["sluice_access_log_lines_total",] + m["sluice_access_log_dropped_total",] == total)
        # It still ends, and in time.
        start = time.monotonic()
        g.stop()
        assert time.monotonic() - start < 10
        assert "bytes could not be written" in g.log.read_text()
    finally:
        os.close(reader)


@pytest.mark.parametrize("kind", ["pipe", "file"])
def test_standard_output(origin, tmp_path, kind):
    port, admin = free_port(), free_port()
    conf = tmp_path / "a.yaml"
    conf.write_text(CONF.format(port=origin.port, log="/dev/stdout").replace("PORT", str(port)).replace("ADMIN", str(admin)))
    out = tmp_path / "out"
    with out.open("wb") as f:
        f.write(b"before\n")
        f.flush()
        p = subprocess.Popen([BUILD / "sluiced", "-c", conf], stdout=subprocess.PIPE if kind == "pipe" else f)
        try:
            wait_port(port, p)
            for _ in range(50):
                subprocess.run(["curl", "-s", f"http://127.0.0.1:{port}/echo"], check=True, capture_output=True)
        finally:
            p.terminate()
            text = p.stdout.read() if kind == "pipe" else None
            assert p.wait(40) == 0
    if kind == "file":
        text = out.read_bytes()
        assert text.startswith(b"before\n")
        text = text[7:]
    assert [json.loads(x)["path"] for x in text.splitlines()] == ["/echo"] * 50


def test_a_file_that_cannot_be_opened_is_an_error(gateway, origin, tmp_path):
    bad = CONF.format(port=origin.port, log="nowhere/access.json")
    gateway.write(bad)
    gateway.reload("the old configuration stays")
    assert "nowhere/access.json: No such file or directory" in gateway.log.read_text()
    assert b" 200 " in gateway.raw(get("/echo"))
    conf = tmp_path / "bad.yaml"
    conf.write_text(bad.replace("PORT", str(free_port())).replace("ADMIN", str(free_port())))
    r = subprocess.run([BUILD / "sluiced", "-c", conf], capture_output=True, text=True, check=False, timeout=30)
    assert r.returncode == 1 and f"access_log: {tmp_path}/nowhere/access.json: No such" in r.stderr
    conf.write_text("version: 1\nlisteners: [{name: a, address: 127.0.0.1:1}]\nfilters: [{access_log: {}}]\n")
    r = subprocess.run([BUILD / "sluiced", "-t", "-c", conf], capture_output=True, text=True, check=False, timeout=30)
    assert r.returncode == 1 and "bad.yaml:3:24: filters[0].access_log: a path is needed" in r.stderr


def test_a_reload_takes_over_files(gateway, origin):
    gateway.raw(get("/echo?1"))
    gateway.write(CONF.format(port=origin.port, log="second.json"))
    gateway.reload("generation 2")
    end = time.monotonic() + 20
    n = 1
    while not (gateway.file.parent / "second.json").stat().st_size:
        assert time.monotonic() < end
        n += 1
        gateway.raw(get(f"/echo?{n}"))
        time.sleep(0.2)
    got = [x["path"] for name in ["access.json", "second.json"] for x in lines(gateway, name)]
    assert sorted(got) == sorted(f"/echo?{i}" for i in range(1, n + 1))
