# SPDX-License-Identifier: Apache-2.0
"""The request plane from outside: a real client, a real origin."""
import hashlib
import os
import re
import socket
import subprocess
import time

import jwt
import pytest

from conftest import BUILD, free_port

PLAIN = """
version: 1
listeners: [{{name: public, address: 127.0.0.1:PORT, timeouts: {{headers: 1s, idle: 5s}}}}]
services: {{api: {{endpoints: [http://127.0.0.1:{port}]}}}}
routes: [{{name: all, match: {{path: /*}}, to: api}}]
"""


def curl(s, *args):
    return subprocess.run(["curl", "-s", "--max-time", "30", *args], capture_output=True, check=False,
                          cwd=s.file.parent).stdout


def url(s, path):
    return f"http://127.0.0.1:{s.port}{path}"


def get(path, *fields, close=True):
    lines = [f"GET {path} HTTP/1.1", "Host: a", *fields] + (["Connection: close"] if close else [])
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


@pytest.fixture
def plain(sluiced, origin):
    return sluiced(PLAIN.format(port=origin.port))


def test_forwards_with_its_own_fields(plain, origin):
    out = plain.raw(get("/echo?x=1", "X-Forwarded-For: 6.6.6.6", "X-Request-ID: forged",
                        "Connection: X-Secret", "X-Secret: s", "X_User: u")).decode()
    assert out.startswith("HTTP/1.1 200 OK\r\n")
    assert "one GET /echo?x=1 " in out
    assert f"host=127.0.0.1:{origin.port} " in out
    assert "xff=127.0.0.1 xfh=a proto=http via=1.1 sluice " in out
    assert re.search(r"rid=[0-9a-f]{32} conn= secret= user=\n", out)
    assert re.search(r"\r\nX-Request-ID: [0-9a-f]{32}\r\n", out)


def test_pipelined_requests_are_answered_in_order(plain):
    paths = [f"/echo?n={i}" for i in range(50)]
    out = plain.raw(b"".join(get(p, close=p == paths[-1]) for p in paths)).decode()
    assert re.findall(r"GET (\S+) ", out) == paths


def test_a_head_in_single_bytes(plain):
    data = get("/echo")
    out = plain.raw(data, [data[i:i + 1] for i in range(len(data))])
    assert out.startswith(b"HTTP/1.1 200 ")


def test_head_has_no_body(plain, origin):
    (origin.www / "f").write_bytes(b"x" * 1000)
    with plain.connect() as s:
        s.sendall(b"HEAD /f HTTP/1.1\r\nHost: a\r\n\r\n" + get("/echo"))
        out = b""
        while got := s.recv(65536):
            out += got
    assert b"Content-Length: 1000\r\n" in out
    assert out.count(b"HTTP/1.1 200 OK") == 2 and b"xxx" not in out


@pytest.mark.parametrize("size", [0, 1, 13, 65536, 5_000_000, 64 << 20])
def test_download_is_the_same(plain, origin, size):
    data = os.urandom(size)
    (origin.www / "f").write_bytes(data)
    assert hashlib.sha256(curl(plain, url(plain, "/f"))).digest() == hashlib.sha256(data).digest()


@pytest.mark.parametrize("fields,body,expect", [
    (["Content-Length: 5"], b"hello", b"5 \n"),
    (["Transfer-Encoding: chunked"], b"5\r\nhello\r\n0\r\nX-T: v\r\n\r\n", b"5 \n"),
    (["Content-Length: 5", "Expect: 100-continue"], b"hello", b"5 \n"),
])
def test_bodies_up(plain, fields, body, expect):
    head = "\r\n".join(["POST /post HTTP/1.1", "Host: a", "Connection: close", *fields])
    out = plain.raw(head.encode() + b"\r\n\r\n" + body)
    assert out.endswith(expect), out
    assert (b"100 Continue" in out) == any("Expect" in f for f in fields)


def test_large_upload(plain):
    path = plain.file.parent / "up"
    path.write_bytes(os.urandom(20_000_000))
    assert curl(plain, "--data-binary", "@up", url(plain, "/post")) == b"20000000 \n"


@pytest.mark.parametrize("request_", [
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\nHost: a\n\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX : a\r\n\r\n",
    b"GET /%2e%2e/ HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /post HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
])
def test_ambiguity_is_refused_and_closes(plain, request_):
    out = plain.raw(request_ + (b"" if b"..%2e" in request_ else get("/echo")))
    assert out.startswith(b"HTTP/1.1 400 ") or b"%2e" in request_ and b" 400 " in out
    if b"%2e" not in request_:
        assert out.count(b"HTTP/1.1 ") == 1 and b"Connection: close" in out


def test_limits_of_a_head(plain):
    assert plain.raw(get("/", "X: " + "a" * 20000)).startswith(b"HTTP/1.1 431 ")
    assert plain.raw(get("/", *["X: a"] * 200)).startswith(b"HTTP/1.1 431 ")


def test_slow_head_times_out(plain):
    start = time.monotonic()
    assert plain.raw(b"GET / HTTP/1.1\r\n").startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - start >= 0.9


def test_http_10(plain):
    out = plain.raw(b"GET /echo HTTP/1.0\r\n\r\n")
    assert out.startswith(b"HTTP/1.1 200 ") and b"chunked" not in out


def test_refused_upstream_is_502(sluiced):
    s = sluiced(PLAIN.format(port=free_port()))
    assert s.raw(get("/")).startswith(b"HTTP/1.1 502 ")


def test_silent_upstream_is_504(sluiced):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        s = sluiced(PLAIN.format(port=silent.getsockname()[1]).replace(
            "]}}", "], timeouts: {request: 300ms}}}", 1))
        assert s.raw(get("/")).startswith(b"HTTP/1.1 504 ")


def test_restarted_upstream_is_retried(plain):
    """A kept connection that the origin has closed meanwhile is not the client's error."""
    with plain.connect() as s:
        for _ in range(3):
            s.sendall(get("/echo", close=False))
            assert s.recv(65536).startswith(b"HTTP/1.1 200 ")


ROUTES = """
version: 1
workers: 1
listeners: [{{name: public, address: 127.0.0.1:PORT}}]
services:
  one: {{endpoints: [http://127.0.0.1:{one}]}}
  two: {{endpoints: [http://127.0.0.1:{two}]}}
issuers:
  - {{name: corp, issuer: https://id, audiences: [api], keys: [{{algorithm: HS256, secret_file: secret}}]}}
routes:
  - {{name: beta, match: {{path: /echo, headers: {{x-segment: beta}}}}, to: two}}
  - {{name: cookie, match: {{path: /echo, cookies: {{ab: b}}}}, to: two}}
  - {{name: plain, match: {{path: /echo}}, to: one}}
  - {{name: canary, match: {{path: /canary/*}}, strip_prefix: /canary,
     to: {{split: [{{service: one, weight: 90}}, {{service: two, weight: 10}}], sticky: {{header: x-who}}}}}}
  - {{name: methods, match: {{path: /m, methods: [PUT]}}, to: one}}
  - {{name: secret, match: {{path: /secret/*}}, strip_prefix: /secret, to: one,
     filters: [{{jwt: {{issuers: [corp], claims_to_headers: {{sub: X-User}}}}}}]}}
"""


@pytest.fixture
def routes(tmp_path, sluiced, origin, second):
    (tmp_path / "sluiced0").mkdir()
    (tmp_path / "sluiced0" / "secret").write_bytes(b"0123456789abcdef0123456789abcdef")
    (tmp_path / "sluiced0").rename(tmp_path / "keys")
    text = ROUTES.format(one=origin.port, two=second.port)
    return sluiced(text.replace("secret_file: secret", f"secret_file: {tmp_path}/keys/secret"))


def test_ab_by_header_and_cookie(routes):
    assert b"one GET" in routes.raw(get("/echo"))
    assert b"two GET" in routes.raw(get("/echo", "X-Segment: beta"))
    assert b"two GET" in routes.raw(get("/echo", "Cookie: x=1; ab=b"))
    assert routes.raw(get("/none")).startswith(b"HTTP/1.1 404 ")
    out = routes.raw(get("/m"))
    assert out.startswith(b"HTTP/1.1 405 ") and b"Allow: PUT\r\n" in out


def test_canary_is_exact_and_sticky(routes):
    out = routes.raw(b"".join(get("/canary/echo", close=i == 999) for i in range(1000)))
    assert 98 <= out.count(b"two GET") <= 102 and out.count(b" GET /echo ") == 1000
    seen = {bytes(re.search(rb"(one|two) GET", routes.raw(get("/canary/echo", "X-Who: me")))[1])
            for _ in range(20)}
    assert len(seen) == 1


def test_jwt(routes):
    key = b"0123456789abcdef0123456789abcdef"
    now = int(time.time())

    def ask(claims, k=key):
        token = jwt.encode({"iss": "https://id", "aud": "api", **claims}, k, algorithm="HS256")
        return routes.raw(get("/secret/echo", "X-User: forged", f"Authorization: Bearer {token}"))

    none = routes.raw(get("/secret/echo"))
    assert none.startswith(b"HTTP/1.1 401 ") and b"WWW-Authenticate: Bearer realm=" in none
    for _ in range(3):
        out = ask({"sub": "alice", "exp": now + 600})
        assert out.startswith(b"HTTP/1.1 200 ") and b"user=alice\n" in out
    assert b'error="invalid_token"' in ask({"sub": "alice", "exp": now - 600})
    assert ask({"sub": "alice", "exp": now + 600}, b"x" * 32).startswith(b"HTTP/1.1 401 ")
    assert ask({"sub": "alice", "exp": now + 600, "aud": "other"}).startswith(b"HTTP/1.1 401 ")


def test_reload_takes_a_new_key_from_the_same_file(routes, tmp_path):
    def ask(key):
        token = jwt.encode({"iss": "https://id", "aud": "api", "exp": int(time.time()) + 600}, key, algorithm="HS256")
        return routes.raw(get("/secret/echo", f"Authorization: Bearer {token}"))[9:12]

    old, new = b"0123456789abcdef0123456789abcdef", b"fedcba9876543210fedcba9876543210"
    assert ask(old) == b"200" and ask(new) == b"401"
    (tmp_path / "keys" / "secret").write_bytes(new)
    routes.reload("generation 2")
    assert ask(old) == b"401" and ask(new) == b"200"


def test_reload_keeps_connections_and_refuses_errors(plain, origin, second):
    with plain.connect() as s:
        def ask():
            s.sendall(get("/echo", close=False))
            return s.recv(65536)

        assert b"one GET" in ask()
        plain.write(PLAIN.format(port=second.port))
        plain.reload("generation 2")
        assert b"two GET" in ask()
        plain.write("version: 1\nlisteners: []\nroutes: [{name: a, to: b}]\n")
        plain.reload("the old configuration stays")
        assert "no service 'b'" in plain.log.read_text()
        assert b"two GET" in ask()


def test_term_lets_requests_end(plain, origin):
    (origin.www / "f").write_bytes(b"x" * (32 << 20))
    with plain.connect() as s:
        s.sendall(get("/f", close=False))
        got = len(s.recv(1000))
        plain.process.terminate()
        while data := s.recv(1 << 20):
            got += len(data)
    assert got > 32 << 20
    plain.stop()


def test_all_errors_at_once_with_their_place(tmp_path):
    f = tmp_path / "bad.yaml"
    f.write_text("version: 1\nlistners: []\nlisteners: [{name: a, address: nowhere}]\n"
                 "services: {users: {endpoints: [http://127.0.0.1:1]}}\n"
                 "routes:\n  - {name: a, to: usrs}\n  - {name: b, to: users}\n")
    r = subprocess.run([BUILD / "sluiced", "-c", "bad.yaml"], cwd=tmp_path, capture_output=True,
                       text=True, check=False)
    assert r.returncode == 1
    assert "bad.yaml:2:11: listners: unknown key (did you mean 'listeners'?)" in r.stderr
    assert "bad.yaml:3:32: listeners[0].address: 'nowhere' is not an address" in r.stderr
    assert "bad.yaml:6:19: routes[0].to: no service 'usrs' (did you mean 'users'?)" in r.stderr


def test_a_prefix_with_host_bits_is_refused(tmp_path):
    (tmp_path / "a.yaml").write_text(
        "version: 1\nedge: {deny: [10.0.0.1/8]}\n"
        "listeners: [{name: a, address: 127.0.0.1:1}]\nroutes: []\n")
    r = subprocess.run([BUILD / "sluiced", "-t", "-c", "a.yaml"], cwd=tmp_path, capture_output=True,
                       text=True, check=False)
    assert r.returncode == 1
    assert "edge.deny[0]: '10.0.0.1/8' has bits set behind its prefix" in r.stderr
