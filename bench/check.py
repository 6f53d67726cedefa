# SPDX-License-Identifier: Apache-2.0
"""Before anything is measured: every subject must answer as the origin does, and refuse what it should."""
import json
import socket

from process import Failed
from tokens import user

NEEDED = ("content-type", "content-length", "x-origin")
SPLIT_REQUESTS = 200


class Client:
    """One connection, for requests without body."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def send(self, path, *fields, times=1):
        head = "\r\n".join([f"GET {path} HTTP/1.1", "Host: bench", *fields]) + "\r\n\r\n"
        self.socket.sendall(head.encode() * times)

    def read(self):
        """(status, header fields by lower-case name, body)"""
        status = self.file.readline().split()
        if len(status) < 2:
            raise Failed("the connection ended instead of an answer")
        fields = {}
        while (line := self.file.readline().strip()):
            name, _, value = line.decode().partition(":")
            fields[name.lower()] = value.strip()
        return int(status[1]), fields, self.file.read(int(fields.get("content-length", 0)))

    def get(self, path, *fields):
        self.send(path, *fields)
        return self.read()


def _essence(answer):
    status, fields, body = answer
    return status, [(name, fields.get(name)) for name in NEEDED], body


def _expect(what, got, want):
    if got != want:
        raise Failed(f"{what}: answered {str(got)[:200]} instead of {str(want)[:200]}")


def _same_answers(subject, port, origin, scenario, fields):
    with Client(origin) as c:
        want = _essence(c.get(scenario.path))
    if scenario.close:
        with Client(port) as c:
            answer = c.get(scenario.path, "Connection: close", *fields)
            _expect(f"{subject}, {scenario.path}, closing", _essence(answer), want)
            _expect(f"{subject}, bytes after the last answer", c.file.read(), b"")
        return
    with Client(port) as c:
        for turn in range(2):
            _expect(f"{subject}, {scenario.path}, request {turn} of a connection",
                    _without_split(_essence(c.get(scenario.path, *fields))), _without_split(want))
        c.send(scenario.path, *fields, times=3)
        for turn in range(3):
            _expect(f"{subject}, {scenario.path}, pipelined request {turn}",
                    _without_split(_essence(c.read())), _without_split(want))


def _without_split(essence):
    """Which version answered is a matter of chance, and checked apart."""
    status, fields, body = essence
    return status, [f for f in fields if f[0] != "x-origin" or f[1] not in ("v1", "v2")], body


def _policy(subject, port, tokens):
    for why, token in [("no token", None), *tokens["bad"].items()]:
        with Client(port) as c:
            fields = [f"Authorization: Bearer {token}"] if token else []
            _expect(f"{subject}, {why}", c.get("/13", *fields)[0], 401)
    with Client(port) as c:
        for n in (0, len(tokens["good"]) - 1):
            status, _, body = c.get("/echo", f"Authorization: Bearer {tokens['good'][n]}",
                                    "X-User: forged")
            _expect(f"{subject}, a good token", status, 200)
            users = [line.partition(b":")[2].strip().decode() for line in body.splitlines()
                     if line.lower().startswith(b"x-user:")]
            _expect(f"{subject}, X-User at the origin", users, [user(n)])
        versions = [c.get("/13", f"Authorization: Bearer {tokens['good'][0]}")[1]["x-origin"]
                    for _ in range(SPLIT_REQUESTS)]
    share = versions.count("v2") / SPLIT_REQUESTS
    if not 0.05 <= share <= 0.15:
        raise Failed(f"{subject}: {share:.0%} of the requests went to v2 instead of 10%")


def check(bench, scenario, subject, tokens):
    process, port = bench.start(subject, scenario.kind)
    try:
        fields = []
        if scenario.kind == "jwt":
            fields.append(f"Authorization: Bearer {tokens['good'][0]}")
            _policy(subject, port, tokens)
        _same_answers(subject, port, bench.ports[0], scenario, fields)
    except OSError as error:
        raise Failed(f"{subject}, {scenario.name}: {error}") from None
    finally:
        bench.processes.stop(process)


def check_log(bench, subject, requests):
    """The line of every request is in the access log, and each is JSON. The log is emptied for the next run."""
    path = bench.access_log(subject)
    if not path.exists():
        return
    lines = path.read_bytes().splitlines()
    path.unlink()
    try:
        for line in lines[:1] + lines[-1:]:
            json.loads(line)
    except ValueError:
        raise Failed(f"{subject}: the access log has a line that is not JSON") from None
    if len(lines) < requests:
        raise Failed(f"{subject}: {len(lines)} lines in the access log, {requests} requests")
