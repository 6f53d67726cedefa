# SPDX-License-Identifier: Apache-2.0
"""An origin whose every connection runs a function of the test's own."""
import socket
import threading
import time


def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def read_head(s, data=b""):
    """A message head, and what came behind it."""
    while b"\r\n\r\n" not in data:
        more = s.recv(65536)
        if not more:
            raise ConnectionError(f"ended in {data!r}")
        data += more
    head, rest = data.split(b"\r\n\r\n", 1)
    return head.decode() + "\r\n", rest


def read_all(s):
    out = b""
    while True:
        try:
            more = s.recv(65536)
        except ConnectionResetError:
            more = b""
        if not more:
            return out
        out += more


class Script:
    """serve(socket) is called in a thread for each connection, which ends with it."""

    def __init__(self, serve):
        self.serve = serve
        self.errors = []
        self.server = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                s = self.server.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.one, args=(s,), daemon=True).start()

    def one(self, s):
        with s:
            try:
                self.serve(s)
            except ConnectionError:
                pass
            except Exception as e:  # noqa: for the test to see
                self.errors.append(repr(e))

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.server.close()
        assert self.errors == []
