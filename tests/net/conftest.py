# SPDX-License-Identifier: Apache-2.0
"""
Two network namespaces joined by a veth pair: the gateway's end is the guard's. All names are the test's own, and so that
commands without --interface meet no other run's, each process of pytest has a bpffs of its own.
"""
import ctypes
import json
import os
import pathlib
import secrets
import shutil
import socket
import subprocess
import tempfile
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("SLUICE_BUILD", "build")
PASS = BUILD / "tests/bpf/pass.bpf.o"
PINS = pathlib.Path("/sys/fs/bpf/sluice")


CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 0x40000


def mount_own_bpffs():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) or \
            libc.mount(b"bpf", b"/sys/fs/bpf", b"bpf", 0, b"mode=0700"):
        raise OSError(ctypes.get_errno(), "a bpffs of the tests' own")


mount_own_bpffs()


def run(*command, check=True, **more):
    r = subprocess.run([c if isinstance(c, bytes) else str(c) for c in command], capture_output=True, text=True, check=False, timeout=60, **more)
    if check:
        assert r.returncode == 0, f"{command}: {r.returncode}\n{r.stdout}{r.stderr}"
    return r


@pytest.fixture
def anyone():
    """run(file, *args): a copy of the file, as nobody, who can't enter a clone in /root; the rest is as in run."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)

        def as_nobody(file, *args, before=(), **more):
            copy = shutil.copy(file, directory)
            os.chmod(copy, 0o755)
            return run(*before, copy, *args, check=False, cwd="/", user="nobody", extra_groups=[], **more)

        yield as_nobody


def until(condition, what, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        got = condition()
        if got:
            return got
        time.sleep(0.02)
    raise AssertionError(f"waited in vain for {what}")


class Bed:
    """Gateway 10.7.0.1 and fd07::1, client 10.7.0.2 and fd07::2."""

    def __init__(self, path):
        tag = secrets.token_hex(4)
        self.path = path
        self.interface = f"slg{tag}"
        self.peer = f"slc{tag}"
        self.gateway = f"sl-gw-{tag}"
        self.client = f"sl-cl-{tag}"
        self.processes = []
        for ns in (self.gateway, self.client):
            run("ip", "netns", "add", ns)
        run("ip", "link", "add", self.interface, "netns", self.gateway, "type", "veth",
            "peer", "name", self.peer, "netns", self.client)
        for ns, dev, host in ((self.gateway, self.interface, 1), (self.client, self.peer, 2)):
            run("ip", "-n", ns, "addr", "add", f"10.7.0.{host}/16", "dev", dev)
            run("ip", "-n", ns, "addr", "add", f"fd07::{host}/64", "dev", dev, "nodad")
            run("ip", "-n", ns, "link", "set", "lo", "up")
            run("ip", "-n", ns, "link", "set", dev, "up")
        # XDP_TX on veth ends in a queue of the peer's, which only an XDP program there makes it look into.
        run("ip", "-n", self.client, "link", "set", "dev", self.peer, "xdp", "obj", PASS, "sec", "xdp.frags")
        until(lambda: self.ping() and self.ping("fd07::1"), "the link")

    def inside(self, ns, *command, **more):
        return run("nsenter", f"--net=/run/netns/{ns}", *command, **more)

    def sluice(self, *args, **more):
        return self.inside(self.gateway, BUILD / "sluice", *args, **more)

    def json(self, *args):
        return json.loads(self.sluice(*args, "--json").stdout)

    def state(self, *args):
        """status, without what changes by itself."""
        return [{k: v for k, v in i.items() if k != "age"} for i in self.json("status", *args)]

    def sysctl(self, name, value):
        self.inside(self.gateway, "sysctl", "-qw", f"{name}={value}")

    def start(self, ns, *command):
        p = subprocess.Popen(["nsenter", f"--net=/run/netns/{ns}", *map(str, command)],
                             stdout=subprocess.DEVNULL, stderr=(self.path / "stderr").open("ab"))
        self.processes.append(p)
        return p

    def config(self, text="", name="edge.yaml", port=8080):
        file = self.path / name
        file.write_text(f"version: 1\nlisteners: [{{name: public, address: '[::]:{port}'}}]\n"
                        f"services: {{api: {{endpoints: [http://127.0.0.1:9000]}}}}\n"
                        f"routes: [{{name: all, match: {{path: /*}}, to: api}}]\n"
                        f"edge:\n  interfaces: [{{name: {self.interface}}}]\n{text}")
        return file

    def attach(self, text="", *args):
        return self.sluice("attach", "-c", self.config(text), *args)

    def reasons(self):
        return {k: v["packets"] for k, v in self.json("stats", "--interface", self.interface)[0]["reasons"].items()}

    def ping(self, address="10.7.0.1", source=None):
        from_ = ["-I", source] if source else []
        return self.inside(self.client, "ping", "-nq", "-c1", "-W1", *from_, address, check=False).returncode == 0

    def close(self):
        for p in self.processes:
            p.terminate()
            p.wait(20)
        self.sluice("detach", "--interface", self.interface, check=False)
        for ns in (self.gateway, self.client):
            run("ip", "netns", "del", ns, check=False)


@pytest.fixture
def bed(tmp_path):
    b = Bed(tmp_path)
    yield b
    b.close()


def here(bed):
    return "--interface", bed.interface


def connect(bed, address, port, n=1):
    """n connections from the client's namespace, each with a line sent and echoed; how many worked."""
    code = ("import socket,sys\n"
            "ok = 0\n"
            "for i in range(int(sys.argv[3])):\n"
            "    try:\n"
            "        s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)\n"
            "        s.sendall(b'ping\\n')\n"
            "        ok += s.recv(16) == b'ping\\n'\n"
            "        s.close()\n"
            "    except OSError as e:\n"
            "        print(e, file=sys.stderr)\n"
            "print(ok)")
    return int(bed.inside(bed.client, "/usr/bin/python3", "-c", code, address, port, n).stdout)


ECHO = """
import socket, socketserver
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(self.rfile.readline())
class Server(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    allow_reuse_address = True
    request_queue_size = 64
Server(("::", 8080), Handler).serve_forever()
"""


@pytest.fixture
def echo(bed):
    """A line echo on port 8080 of the gateway, both families."""
    bed.start(bed.gateway, "/usr/bin/python3", "-c", ECHO)
    until(lambda: ":8080" in bed.inside(bed.gateway, "ss", "-Hltn").stdout, "the echo server")
    return bed
