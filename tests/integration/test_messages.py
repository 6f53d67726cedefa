# SPDX-License-Identifier: Apache-2.0
"""Parts of messages that are easy to lose: interim answers, HEAD, expectations, trailers."""
import time

import jwt
import pytest

from origin import Script, read_all, read_head

CONFIG = """
version: 1
workers: 1
listeners: [{{name: public, address: 127.0.0.1:PORT}}]
services: {{api: {{endpoints: [http://127.0.0.1:{port}], timeouts: {{request: 5s}}}}}}
routes: [{{name: all, match: {{path: /*}}, to: api{filters}}}]
{more}
"""


@pytest.fixture
def between(sluiced):
    """A gateway before an origin that runs a function; all of them are ended."""
    origins = []

    def start(serve, filters="", more=""):
        origins.append(Script(serve))
        return sluiced(CONFIG.format(port=origins[-1].port, filters=filters, more=more))

    yield start
    for o in origins:
        o.__exit__()


def answering(response, seen=None):
    """Serve one answer; seen gets what came of the request."""
    def serve(s):
        head, rest = read_head(s)
        if "chunked" in head:
            while b"0\r\n" not in rest or not rest.endswith(b"\r\n\r\n"):
                rest += s.recv(65536)
        if seen is not None:
            seen.append((head, rest))
        s.sendall(response)
    return serve


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
GET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def test_early_hints_pass_and_100_does_not(between):
    s = between(answering(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK))
    out = s.raw(GET)
    assert out.startswith(b"HTTP/1.1 103 Early Hints\r\n") and b"Link: </a>\r\n" in out
    assert out.count(b"HTTP/1.1 ") == 2 and b" 100 " not in out and out.endswith(b"ok")


def test_no_interim_answers_for_http_10(between):
    s = between(answering(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK))
    out = s.raw(b"GET / HTTP/1.0\r\n\r\n")
    assert out.startswith(b"HTTP/1.1 200 ") and b"Link" not in out


def test_nobody_switches_protocols(between):
    s = between(answering(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"))
    assert s.raw(GET).startswith(b"HTTP/1.1 502 ")


@pytest.mark.parametrize("framing", [b"Content-Length: 1000", b"Transfer-Encoding: chunked", b"X: y"])
def test_head_has_no_body_however_framed(between, framing):
    seen = []
    s = between(answering(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n", seen))
    with s.connect() as c:
        c.sendall(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        head, rest = read_head(c)
        assert rest == b"" and seen[0][0].startswith("HEAD / ")
        assert (framing in head.encode()) == framing.startswith(b"C") or framing == b"X: y"
        # The connection goes on.
        c.sendall(b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert read_all(c).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_statuses_without_body(between, status):
    s = between(answering(b"HTTP/1.1 " + status + b"\r\nETag: x\r\n\r\n"))
    with s.connect() as c:
        for _ in range(2):
            c.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            head, rest = read_head(c)
            assert status.decode() in head and rest == b"" and "chunked" not in head


def test_continue_before_the_body(between):
    seen = []

    def serve(s):
        head, rest = read_head(s)
        while len(rest) < 5:
            rest += s.recv(100)
        seen.append((head, rest))
        s.sendall(OK)

    s = between(serve)
    with s.connect() as c:
        c.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert read_head(c)[0] == "HTTP/1.1 100 Continue\r\n"
        c.sendall(b"hello")
        assert read_head(c)[0].startswith("HTTP/1.1 200 ")
    # The gateway has answered the expectation itself.
    assert seen[0][1] == b"hello" and "Expect" not in seen[0][0]


def test_an_answer_before_the_body_is_complete(between):
    def serve(s):
        read_head(s)
        s.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    s = between(serve)
    with s.connect() as c:
        c.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nstart")
        out = read_all(c)
        assert out.startswith(b"HTTP/1.1 413 ") and b"\r\nConnection: close\r\n" in out


TRAILED = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
           b"2\r\nok\r\n0\r\nX-Sum: 7\r\nContent-Length: 9\r\n\r\n")


def test_response_trailers_for_who_takes_them(between):
    seen = []
    s = between(answering(TRAILED, seen))
    out = s.raw(b"GET / HTTP/1.1\r\nHost: a\r\nTE: gzip;q=0.5, Trailers\r\nConnection: TE, close\r\n\r\n")
    assert out.endswith(b"\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n") and b"\r\nTrailer: X-Sum\r\n" in out
    assert "\r\nTE: trailers\r\nConnection: TE\r\n" in seen[0][0]


@pytest.mark.parametrize("request_", [GET, b"GET / HTTP/1.0\r\nTE: trailers\r\n\r\n"])
def test_no_response_trailers_for_others(between, request_):
    seen = []
    out = between(answering(TRAILED, seen)).raw(request_)
    assert b"X-Sum" not in out and b"ok" in out
    assert "\r\nTE:" not in seen[0][0]


def test_request_trailers(between):
    seen = []
    s = between(answering(OK, seen))
    out = s.raw(b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
                b"Trailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 7\r\nHost: evil\r\nX_Sum: 8\r\n"
                b"Authorization: Bearer x\r\n\r\n")
    assert out.startswith(b"HTTP/1.1 200 ")
    assert seen[0][1] == b"5\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n"
    assert "\r\nTrailer: X-Sum\r\n" in seen[0][0]


def test_trailers_forge_nothing_that_a_filter_says(between, tmp_path):
    key = b"0123456789abcdef0123456789abcdef"
    (tmp_path / "key").write_bytes(key)
    seen = []
    s = between(answering(OK, seen), filters=", filters: [{jwt: {claims_to_headers: {sub: X-User, org: X-Org}}}]",
                more=f"issuers: [{{name: i, keys: [{{algorithm: HS256, secret_file: {tmp_path}/key}}]}}]")
    token = jwt.encode({"sub": "alice", "exp": int(time.time()) + 60}, key, algorithm="HS256")
    out = s.raw(b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
                b"Authorization: Bearer " + token.encode() + b"\r\n\r\n"
                b"0\r\nX-User: root\r\nx-org: evil\r\nX-Other: 1\r\n\r\n")
    assert out.startswith(b"HTTP/1.1 200 ")
    head, body = seen[0]
    assert "\r\nX-User: alice\r\n" in head
    assert body == b"0\r\nX-Other: 1\r\n\r\n"


def test_no_continue_before_a_refusal(between, tmp_path):
    (tmp_path / "key").write_bytes(b"x" * 32)
    s = between(answering(OK), filters=", filters: [{jwt: {}}]",
                more=f"issuers: [{{name: i, keys: [{{algorithm: HS256, secret_file: {tmp_path}/key}}]}}]")
    out = s.raw(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    assert out.startswith(b"HTTP/1.1 401 ") and b"\r\nConnection: close\r\n" in out


def test_malformed_trailers(between):
    s = between(answering(OK))
    out = s.raw(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX Sum: 7\r\n\r\n")
    assert out.startswith(b"HTTP/1.1 400 ")
