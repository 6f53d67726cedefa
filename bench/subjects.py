# SPDX-License-Identifier: Apache-2.0
"""What is measured: how each subject is configured and started."""
import pathlib
import re
import shutil
import subprocess

from process import Failed, free_port, wait_port

PEERS = pathlib.Path(__file__).resolve().parent / "peers"

ISSUER = "https://id.example.com/"
AUDIENCE = "api"

# The program, its configuration for each kind of scenario, and the Debian package that has it.
FILES = {
    "sluice": {"plain": "sluice.yaml", "jwt": "sluice-jwt.yaml"},
    "nginx": {"plain": "nginx.conf"},
    "haproxy": {"plain": "haproxy.cfg", "jwt": "haproxy-jwt.cfg"},
    "relay": {"plain": None},
}
TOOLS = {"wrk": "wrk", "nginx": "nginx-light", "haproxy": "haproxy"}
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def tool(name):
    path = shutil.which(name, path=PATH)
    if not path:
        raise Failed(f"{name} is missing: tests/deps.sh bench installs it (package {TOOLS[name]})")
    return path


def built(build, name):
    path = build / name
    if not path.exists():
        raise Failed(f"{path} is missing: make all bench-bins builds it")
    return str(path)


class Bench:
    """The build, the run's directory, the running origin and the notes that the report ends with."""

    def __init__(self, build, directory, processes, cpus):
        self.build = build
        self.dir = directory
        self.processes = processes
        self.subject_cpu, self.load_cpu = cpus
        self.notes = []
        if self.subject_cpu == self.load_cpu:
            self.note("ONE CPU ONLY: the subject shares it with wrk and the origin, the figures compare little")
        self.key = directory / "public.pem"
        self.ports = free_port(), free_port()
        log = directory / "origin.log"
        self.origin = processes.start(
            [built(build, "bench/origin"), f"v1:{self.ports[0]}", f"v2:{self.ports[1]}"],
            self.load_cpu, log)
        wait_port(self.ports[0], self.origin, log)

    def note(self, text):
        if text not in self.notes:
            self.notes.append(text)

    def access_log(self, subject):
        return self.dir / f"{subject}.access.json"

    def configure(self, subject, kind, port):
        """Write the configuration of a subject, return the file's path."""
        words = {"DIR": self.dir, "PORT": port, "ORIGIN": self.ports[0], "ORIGIN2": self.ports[1],
                 "KEY": self.key, "ISSUER": ISSUER, "AUDIENCE": AUDIENCE,
                 "LOG": self.access_log(subject)}
        text = (PEERS / FILES[subject][kind]).read_text()
        text = re.sub("@([A-Z0-9]+)@", lambda m: str(words[m[1]]), text)
        path = self.dir / f"{kind}-{FILES[subject][kind]}"
        path.write_text(text)
        return path

    def configure_sluice(self, kind, port):
        """As configure, without the access log where this build has none, which the report says."""
        path = self.configure("sluice", kind, port)
        check = subprocess.run([built(self.build, "sluiced"), "-t", "-c", path], check=False,
                               stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if check.returncode == 0:
            return path
        if "access_log" not in check.stderr:
            raise Failed(check.stderr.strip())
        path.write_text(re.sub(r"filters:\n  - access_log: .*\n", "", path.read_text()))
        self.note("sluice wrote NO ACCESS LOG, haproxy did: this build has no access_log filter, so "
                  "the token scenarios do not compare like with like")
        return path

    def command(self, subject, kind, port):
        if subject == "relay":
            return [built(self.build, "bench/relay"), str(port), str(self.ports[0])]
        if subject == "sluice":
            return [built(self.build, "sluiced"), "-c", str(self.configure_sluice(kind, port))]
        path = str(self.configure(subject, kind, port))
        if subject == "nginx":
            return [tool("nginx"), "-c", path, "-e", str(self.dir / "nginx.log")]
        return [tool("haproxy"), "-db", "-f", path]

    def start(self, subject, kind):
        """A fresh process on the subject's CPU, ready to serve: (process, port)."""
        port = free_port()
        log = self.dir / f"{subject}.log"
        stdout = self.access_log(subject) if (subject, kind) == ("haproxy", "jwt") else None
        process = self.processes.start(self.command(subject, kind, port), self.subject_cpu, log, stdout)
        wait_port(port, process, log)
        return process, port
