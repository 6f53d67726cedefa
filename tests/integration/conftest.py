# SPDX-License-Identifier: Apache-2.0
"""A real nginx as origin and sluiced before it, on free ports, ended by pid."""
import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("SLUICE_BUILD", "build")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_port(port, process, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert process.poll() is None, f"ended with {process.returncode}"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise AssertionError(f"nothing listens on {port}")


NGINX = """
user root; daemon off; pid {dir}/pid; error_log {dir}/error.log; worker_processes 1;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_max_body_size 0; root {dir}/www;
  client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f;
  uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  server {{
    listen 127.0.0.1:{port};
    location /echo {{ return 200 "{name} $request_method $request_uri host=$http_host xff=$http_x_forwarded_for xfh=$http_x_forwarded_host proto=$http_x_forwarded_proto via=$http_via rid=$http_x_request_id conn=$http_connection secret=$http_x_secret user=$http_x_user\\n"; }}
    location /post {{ proxy_pass http://127.0.0.1:{port}/len; }}
    location /len {{ return 200 "$http_content_length $http_transfer_encoding\\n"; }}
  }}
}}
"""


class Origin:
    def __init__(self, path, name):
        self.port = free_port()
        self.name = name
        (path / "www").mkdir(parents=True)
        self.www = path / "www"
        conf = path / "nginx.conf"
        conf.write_text(NGINX.format(dir=path, port=self.port, name=name))
        self.process = subprocess.Popen(["/usr/sbin/nginx", "-c", str(conf), "-e", str(path / "early.log")])
        wait_port(self.port, self.process)


class Sluiced:
    def __init__(self, path, text):
        self.port = free_port()
        self.admin = free_port()
        self.file = path / "sluice.yaml"
        self.write(text)
        self.log = path / "sluiced.log"
        self.has_admin = "ADMIN" in text
        self.start()

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([str(BUILD / "sluiced"), "-c", str(self.file)], stderr=log)
        wait_port(self.port, self.process)
        if self.has_admin:
            wait_port(self.admin, self.process)

    def write(self, text):
        self.file.write_text(text.replace("PORT", str(self.port)).replace("ADMIN", str(self.admin)))

    def reload(self, word):
        before = self.log.read_text().count(word)
        self.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + 20
        while self.log.read_text().count(word) == before:
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.02)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(40) == 0, self.log.read_text()

    def page(self, path):
        """Status and body of a page of the admin listener."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}{path}", timeout=20) as r:
                return r.status, r.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()

    def metrics(self):
        """Every sample of /metrics: its value by name and sorted labels."""
        status, text = self.page("/metrics")
        assert status == 200
        return {(s.name, *sorted(s.labels.items())): s.value
                for family in text_string_to_metric_families(text) for s in family.samples}

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), 10)

    def raw(self, data, pieces=None):
        """Send bytes, return all that comes until the end."""
        with self.connect() as s:
            for part in pieces or [data]:
                s.sendall(part)
            out = b""
            while True:
                try:
                    got = s.recv(65536)
                except ConnectionResetError:
                    break
                if not got:
                    break
                out += got
            return out


@pytest.fixture
def origin(tmp_path):
    o = Origin(tmp_path / "one", "one")
    yield o
    o.process.terminate()
    o.process.wait(20)


@pytest.fixture
def second(tmp_path):
    o = Origin(tmp_path / "two", "two")
    yield o
    o.process.terminate()
    o.process.wait(20)


@pytest.fixture
def sluiced(tmp_path):
    """A function that starts one with a configuration; all are stopped and must end with status 0."""
    started = []

    def start(text):
        path = tmp_path / f"sluiced{len(started)}"
        path.mkdir()
        started.append(Sluiced(path, text))
        return started[-1]

    yield start
    for s in started:
        s.stop()
