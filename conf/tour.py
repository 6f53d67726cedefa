#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`make run`: the main job in two network namespaces, with each step's command and what came back.

All that it makes has fixed names, so that what a crash left is found and removed by the next run.
"""
import argparse
import base64
import contextlib
import json
import os
import pathlib
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
LOCK = "\0sluice-tour"  # a socket's name, which goes with its process, however that ends
DIRECTORY = pathlib.Path("/run/sluice-tour")
GATEWAY_NS, CLIENT_NS = "sluice-gateway", "sluice-client"
GATEWAY_IF, CLIENT_IF = "sluice-gw", "sluice-cl"
GATEWAY, CLIENT, DENIED, FLOODER = "10.99.0.1", "10.99.0.2", "10.99.0.3", "10.99.0.66"
URL = f"http://{GATEWAY}:8080"

NGINX = """
user root; daemon off; worker_processes 1; pid {dir}/{name}.pid; error_log {dir}/{name}.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000;
  client_body_temp_path {dir}/{name}.b; proxy_temp_path {dir}/{name}.p; fastcgi_temp_path {dir}/{name}.f;
  uwsgi_temp_path {dir}/{name}.u; scgi_temp_path {dir}/{name}.s;
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 "{name} $request_uri user=$http_x_user\\n"; }} }}
}}
"""


class Failed(Exception):
    """The tour can't go on; the text says why."""


def command(*argv, check=True, timeout=60):
    r = subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=False, timeout=timeout,
                       stdin=subprocess.DEVNULL)
    if check and r.returncode != 0:
        raise Failed(f"{shlex.join(map(str, argv))}: {(r.stdout + r.stderr).strip()}")
    return r


def inside(ns, *argv):
    return ["nsenter", f"--net=/run/netns/{ns}", *map(str, argv)]


def wait_for(condition, what, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Failed(f"waited in vain for {what}")
        time.sleep(0.02)


class Tour:
    def __init__(self, build, directory):
        self.build = build
        self.dir = directory
        self.processes = []
        self.failed = 0
        self.n = 0

    # What is shown.

    def step(self, title):
        self.n += 1
        print(f"\n\033[1m{self.n}. {title}\033[0m" if sys.stdout.isatty() else f"\n{self.n}. {title}", flush=True)

    def show(self, ns, text, lines=14):
        """Run a shell command as a user would in that namespace, print both; its output."""
        print(f"   {'gateway' if ns == GATEWAY_NS else 'client'}# {text}", flush=True)
        env = {**os.environ, "PATH": f"{self.build}:/usr/sbin:/usr/bin:/sbin:/bin", "TOKEN": self.token}
        r = subprocess.run(inside(ns, "sh", "-c", text), capture_output=True, text=True, check=False, timeout=120,
                           stdin=subprocess.DEVNULL, env=env)
        out = r.stdout + r.stderr
        for line in out.splitlines()[:lines]:
            print(f"     {line}")
        if len(out.splitlines()) > lines:
            print(f"     ... {len(out.splitlines()) - lines} lines more")
        sys.stdout.flush()
        return out

    def expect(self, truth, what):
        print(f"   {'ok' if truth else 'FAILED'}: {what}", flush=True)
        self.failed += not truth

    def reasons(self):
        out = command(*inside(GATEWAY_NS, self.build / "sluice", "stats", "--interface", GATEWAY_IF, "--json")).stdout
        return {name: c["packets"] for name, c in json.loads(out)[0]["reasons"].items()}

    # What is made.

    def start(self, ns, *argv):
        with open(self.dir / "processes.log", "ab") as log:
            p = subprocess.Popen(inside(ns, *argv), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                 start_new_session=True, env={**os.environ, "DEMO": str(self.dir)})
        self.processes.append(p)
        return p

    def network(self):
        for ns in (GATEWAY_NS, CLIENT_NS):
            command("ip", "netns", "add", ns)
            command("ip", "-n", ns, "link", "set", "lo", "up")
        command("ip", "link", "add", GATEWAY_IF, "netns", GATEWAY_NS, "type", "veth",
                "peer", "name", CLIENT_IF, "netns", CLIENT_NS)
        command("ip", "-n", GATEWAY_NS, "addr", "add", f"{GATEWAY}/24", "dev", GATEWAY_IF)
        for address in (CLIENT, DENIED, FLOODER):
            command("ip", "-n", CLIENT_NS, "addr", "add", f"{address}/24", "dev", CLIENT_IF)
        # Cookies whenever the guard asks for them; in this namespace only.
        command(*inside(GATEWAY_NS, "sysctl", "-qw", "net.ipv4.tcp_syncookies=2",
                        "net.ipv4.tcp_timestamps=2"))
        for ns, interface in ((GATEWAY_NS, GATEWAY_IF), (CLIENT_NS, CLIENT_IF)):
            command("ip", "-n", ns, "link", "set", interface, "up")
        # A veth sees what its peer's XDP program sends back only when it has a program itself.
        command("ip", "-n", CLIENT_NS, "link", "set", "dev", CLIENT_IF, "xdp", "obj",
                self.build / "tests/bpf/pass.bpf.o", "sec", "xdp.frags")

    def keys(self):
        def b64(data):
            return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

        key = self.dir / "demo.key"
        command("openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", key)
        command("openssl", "pkey", "-in", key, "-pubout", "-out", self.dir / "demo.pub")
        claims = {"iss": "https://id.example.com/", "aud": "demo", "sub": "alice", "exp": int(time.time()) + 86400}
        text = b64(b'{"alg":"RS256","typ":"JWT"}') + "." + b64(json.dumps(claims).encode())
        (self.dir / "token").write_text(text)
        command("openssl", "dgst", "-sha256", "-sign", key, "-out", self.dir / "signature", self.dir / "token")
        self.token = text + "." + b64((self.dir / "signature").read_bytes())

    def serve(self):
        for name, port in (("v1", 9001), ("v2", 9002)):
            conf = self.dir / f"{name}.conf"
            conf.write_text(NGINX.format(dir=self.dir, name=name, port=port))
            self.start(GATEWAY_NS, "/usr/sbin/nginx", "-c", conf, "-e", self.dir / f"{name}.log")
        os.environ["DEMO"] = str(self.dir)
        sluice = command(*inside(GATEWAY_NS, self.build / "sluice", "attach", "--mode", "native", "-c",
                                 ROOT / "conf/demo.yaml"), check=False)
        if sluice.returncode != 0:
            raise Failed(sluice.stderr.strip())
        daemon = self.start(GATEWAY_NS, self.build / "sluiced", "-c", ROOT / "conf/demo.yaml")

        def ready():
            if daemon.poll() is not None:
                raise Failed((self.dir / "processes.log").read_text().strip())
            return command(*inside(GATEWAY_NS, "curl", "-sf", "http://127.0.0.1:9901/ready"), check=False).returncode == 0

        wait_for(ready, "sluiced")
        for port in (9001, 9002):
            wait_for(lambda: command(*inside(GATEWAY_NS, "curl", "-s", f"http://127.0.0.1:{port}/"),
                                     check=False).returncode == 0, f"the origin on {port}")

    # The steps.

    def requests(self):
        self.step("The guard is on the gateway's interface")
        out = self.show(GATEWAY_NS, f"sluice status --interface {GATEWAY_IF}")
        self.expect("attached, native mode" in out, "attached in native mode")

        self.step("A request passes")
        out = self.show(CLIENT_NS, f"curl -s {URL}/hello")
        self.expect(out.startswith("v1 /hello"), "the origin answered")

        self.step("A route that wants a token: without one, and with one")
        out = self.show(CLIENT_NS, f"curl -si {URL}/private")
        self.expect(out.startswith("HTTP/1.1 401"), "401 without")
        out = self.show(CLIENT_NS, f'curl -s -H "Authorization: Bearer $TOKEN" {URL}/private')
        self.expect("user=alice" in out, "forwarded with; the claim 'sub' is a header for the origin")

        self.step("1,000 requests, 90 % to one version and 10 % to the other")
        out = self.show(CLIENT_NS, f"curl -s '{URL}/shop/[1-1000]' | cut -d' ' -f1 | sort | uniq -c")
        counts = {line.split()[1]: int(line.split()[0]) for line in out.splitlines() if len(line.split()) == 2}
        self.expect(sum(counts.values()) == 1000 and 60 <= counts.get("v2", 0) <= 140, "split about 90/10")

        self.step("The A/B header")
        out = self.show(CLIENT_NS, f"curl -s -H 'x-user-segment: beta' '{URL}/shop/[1-20]' | cut -d' ' -f1 | sort | uniq -c")
        self.expect(out.split() == ["20", "v2"], "beta users see the new version only")

    def packets(self):
        self.step(f"Deny {DENIED}: its packets do not reach a socket any more")
        fetch = f"curl -s -o /dev/null -w '%{{http_code}}\\n' --interface {DENIED} --max-time 1 {URL}/hello"
        out = self.show(CLIENT_NS, fetch)
        self.expect(out.strip() == "200", "served before")
        self.show(GATEWAY_NS, f"sluice deny add {DENIED} --interface {GATEWAY_IF}")
        out = self.show(GATEWAY_NS, f"bpftool map dump pinned /sys/fs/bpf/sluice/{GATEWAY_IF}/deny4", lines=20)
        self.expect('"prefixlen": 32' in out and '"origin": "ORIGIN_OPERATOR"' in out, "bpftool sees the entry")
        before = self.reasons()["denied"]
        out = self.show(CLIENT_NS, fetch)
        self.expect(out.strip() == "000" and self.reasons()["denied"] > before, "dropped now, and counted")
        self.show(GATEWAY_NS, f"sluice deny del {DENIED} --interface {GATEWAY_IF}")
        out = self.show(CLIENT_NS, fetch)
        self.expect(out.strip() == "200", "served again")

        self.step(f"A flood from {FLOODER} is held to its bucket while another client is served")
        before = self.reasons()
        out = self.show(CLIENT_NS, f"hping3 -q --udp -p 8080 -a {FLOODER} -i u10 -c 60000 {GATEWAY} >/dev/null 2>&1 & "
                                   f"sleep 0.3; curl -s -o /dev/null -w '%{{http_code}}\\n' '{URL}/shop/[1-10]'; wait")
        after = self.reasons()
        self.expect(out.split() == ["200"] * 10, "ten requests of the other client were answered")
        self.expect(after["limited"] - before["limited"] > 10000,
                    f"{after['limited'] - before['limited']:,} packets over the bucket were dropped")

        self.step("A SYN flood from forged addresses is answered with cookies")
        before = self.reasons()
        out = self.show(CLIENT_NS, f"hping3 -q -S -p 8080 --rand-source -i u20 -c 30000 {GATEWAY} >/dev/null 2>&1 & "
                                   f"sleep 0.3; curl -s -o /dev/null -w '%{{http_code}}\\n' '{URL}/shop/[1-5]'; wait")
        after = self.reasons()
        self.expect(out.split() == ["200"] * 5, "a client gets through")
        sent, excess = (after[name] - before[name] for name in ("cookie_sent", "syn_excess"))
        self.expect(sent > 1000 and sent + excess > 10000,
                    f"{sent:,} cookies sent, {excess:,} more SYNs dropped that no cookie came back for")
        self.expect(after["cookie_valid"] > before["cookie_valid"], "the client's came back")

        self.step("The counters afterwards, of both planes")
        out = self.show(GATEWAY_NS, f"sluice stats --interface {GATEWAY_IF}", lines=20)
        self.expect("cookie_sent" in out, "packets by what became of them")
        out = self.show(GATEWAY_NS, "curl -s http://127.0.0.1:9901/metrics | grep -E '^sluice_(requests|packets)_total.*[^ ]* [1-9]'",
                        lines=30)
        self.expect("sluice_requests_total{" in out and "sluice_packets_total{" in out, "the same for Prometheus")
        out = self.show(GATEWAY_NS, f"tail -n1 {self.dir}/access.json")
        self.expect(json.loads(out or "{}").get("status") == 200, "the access log's last line")

    def stay(self):
        print(f"\nServing until Ctrl-C. From another terminal, as root:\n"
              f"   nsenter --net=/run/netns/{CLIENT_NS} curl -i {URL}/hello\n"
              f"   nsenter --net=/run/netns/{GATEWAY_NS} {self.build}/sluice status", flush=True)
        while self.processes[-1].poll() is None:
            time.sleep(0.2)
        raise Failed("sluiced has ended")

    def stop(self):
        for p in reversed(self.processes):
            p.terminate()
        for p in self.processes:
            try:
                p.wait(40)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()


def remove(build):
    """All that this run, or one that crashed, has made."""
    command(build / "sluice", "detach", "--interface", GATEWAY_IF, check=False)
    for ns in (GATEWAY_NS, CLIENT_NS):
        if not os.path.exists(f"/run/netns/{ns}"):
            continue
        for pid in command("ip", "netns", "pids", ns, check=False).stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        command("ip", "netns", "del", ns, check=False)
    shutil.rmtree(DIRECTORY, ignore_errors=True)


def tour(build, stay):
    DIRECTORY.mkdir(mode=0o700)
    t = Tour(build, DIRECTORY)
    try:
        t.network()
        t.keys()
        t.serve()
        t.requests()
        t.packets()
        print(f"\n{t.n} steps, {t.failed} failed" if t.failed else f"\n{t.n} steps, all as expected", flush=True)
        if stay:
            t.stay()
        return 1 if t.failed else 0
    finally:
        t.stop()


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    p.add_argument("--once", action="store_true", help="end after the tour")
    options = p.parse_args()
    if os.geteuid() != 0:
        sys.exit("make run: network namespaces and packet programs need root: sudo make run")
    if command("unshare", "--net", "true", check=False).returncode != 0:
        sys.exit("make run: root may not make network namespaces here; a container needs all capabilities (--privileged)")
    with socket.socket(socket.AF_UNIX) as lock:
        try:
            lock.bind(LOCK)
        except OSError:
            sys.exit("make run: another tour is running on this machine")
        for s in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(s, lambda *_: sys.exit(130))
        build = options.build.resolve()
        remove(build)
        try:
            status = tour(build, not options.once)
        except Failed as e:
            print(f"make run: {e}", file=sys.stderr)
            status = 1
        except KeyboardInterrupt:
            status = 0
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            remove(build)
        print("All removed.", flush=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
