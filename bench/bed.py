# SPDX-License-Identifier: Apache-2.0
"""A gateway and a client with a cable between them: two network namespaces and a veth pair. Each end has one NAPI thread,
the gateway's on its own CPU, the client's on the load's; it stands for a card's receive queue and what serves it: it comes
before everything else on its CPU, and looks again a moment after the queue was empty, as cards moderate interrupts."""
import os
import pathlib
import re
import secrets
import subprocess
import time

from process import Failed

GATEWAY, CLIENT = "10.7.0.1", "10.7.0.2"
FLOOD = "11.0.0.0/8"  # bench/flood.h
MODERATION = 20_000  # nanoseconds


def command(*argv, check=True):
    done = subprocess.run([str(a) for a in argv], check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60)
    if check and done.returncode != 0:
        raise Failed(f"{' '.join(map(str, argv))}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def inside(ns, *argv):
    return ["nsenter", f"--net=/run/netns/{ns}", *map(str, argv)]


def kernel_threads(prefix):
    for path in pathlib.Path("/proc").glob("[0-9]*/comm"):
        try:
            if path.read_text().startswith(prefix):
                yield int(path.parent.name)
        except OSError:
            pass  # it has ended


class Bed:
    def __init__(self, build, gateway_cpu, client_cpu):
        tag = secrets.token_hex(3)
        self.build = build
        self.cpus = {f"sg{tag}": gateway_cpu, f"sc{tag}": client_cpu}
        self.interface, self.peer = self.cpus
        self.gateway, self.client = f"sluice-sg{tag}", f"sluice-sc{tag}"

    def __enter__(self):
        try:
            self._make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        command(self.build / "sluice", "detach", "--interface", self.interface, check=False)
        for ns in (self.gateway, self.client):
            command("ip", "netns", "del", ns, check=False)

    def _make(self):
        for ns in (self.gateway, self.client):
            command("ip", "netns", "add", ns)
        one = ("numrxqueues", 1, "numtxqueues", 1)
        command("ip", "link", "add", self.interface, "netns", self.gateway, *one, "type", "veth",
                "peer", "name", self.peer, "netns", self.client, *one)
        for ns, dev, address in ((self.gateway, self.interface, GATEWAY), (self.client, self.peer, CLIENT)):
            command("ip", "-n", ns, "addr", "add", f"{address}/16", "dev", dev)
            command("ip", "-n", ns, "link", "set", "lo", "up")
            command("ip", "-n", ns, "link", "set", dev, "up")
            # As a card's queue: with NAPI, and with checksums that an XDP program can rely on.
            command(*inside(ns, "ethtool", "-K", dev, "gro", "on", "tx", "off"))
            for file, value in (("threaded", 1), ("napi_defer_hard_irqs", 1), ("gro_flush_timeout", MODERATION)):
                self.write(ns, f"/sys/class/net/{dev}/{file}", value)
        # No answer is looked up again: the flood's sources are the client's neighbours.
        mac = self.mac(self.client, self.peer)
        command("ip", "-n", self.gateway, "neigh", "replace", CLIENT, "lladdr", mac, "dev", self.interface)
        command("ip", "-n", self.gateway, "route", "add", FLOOD, "via", CLIENT)
        self.program(self.client, self.peer, self.build / "bench/wire.bpf.o")
        # Many short connections, each of which is new to the gateway: it remembers none that ended.
        self.sysctl(self.client, "net.ipv4.ip_local_port_range", "1024 65535")
        self.sysctl(self.gateway, "net.ipv4.tcp_max_tw_buckets", 0)
        self.pin()

    @staticmethod
    def write(ns, path, value):
        """ip netns exec shows the namespace's own files."""
        command("ip", "netns", "exec", ns, "sh", "-c", f"echo {value} >{path}")

    def sysctl(self, ns, name, value):
        self.write(ns, f"/proc/sys/{name.replace('.', '/')}", value)

    @staticmethod
    def mac(ns, dev):
        found = re.search(r"link/ether (\S+)", command("ip", "-n", ns, "link", "show", dev))
        return found[1]

    @staticmethod
    def program(ns, dev, path):
        what = ["obj", path, "sec", "xdp.frags"] if path else ["off"]
        command("ip", "-n", ns, "link", "set", "dev", dev, "xdpdrv", *what)

    def wait_bare(self):
        """The kernel lets go of a detached program a moment later."""
        end = time.monotonic() + 10
        while "prog/xdp" in command("ip", "-n", self.gateway, "link", "show", self.interface):
            if time.monotonic() > end:
                raise Failed(f"{self.interface} keeps its program")
            time.sleep(0.01)

    def pin(self):
        """Each end's NAPI thread, which a change of its program may have made anew, to its CPU."""
        for dev, cpu in self.cpus.items():
            threads = list(kernel_threads(f"napi/{dev}"))
            if not threads:
                raise Failed("this kernel has no NAPI thread for a veth")
            for pid in threads:
                os.sched_setaffinity(pid, {cpu})
                os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(1))

    def flooded(self):
        """Packets of the flood that the gateway's queue took; nothing else comes in this way (bench/flood.c)."""
        found = re.search(r"tx_queue_0_xdp_xmit: (\d+)", command(*inside(self.client, "ethtool", "-S", self.peer)))
        return int(found[1])
