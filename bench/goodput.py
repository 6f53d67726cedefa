# SPDX-License-Identifier: Apache-2.0
"""What is left for clients under a SYN flood: requests, each with a connection of its own, through a veth that stands for a card;
with the kernel alone, with an ideal filter that knows the flood, and with the guard. What counts is the requests for a second of
the gateway's CPU: as many as it could serve. Those that are served in a second may be less, for the clients' CPU is finite, too."""
import json
import re
import statistics
import time

from bed import CLIENT, GATEWAY, Bed, command, inside
from process import Failed, cpus, idle_seconds, wait_listening
from proxying import LUA, progress
from subjects import PEERS, built, tool

RATES = (0, 50_000, 100_000, 300_000, 1_000_000)  # SYNs a second
AIM = 0.95  # of the ideal filter's
PORT, ORIGIN = 8080, 9000
CONNECTIONS = 64
KERNEL, IDEAL, AUTO, ALWAYS = "kernel alone", "ideal filter", "guard, auto", "guard, always"
SUBJECTS = (KERNEL, IDEAL, AUTO, ALWAYS)
HELD = (AUTO, ALWAYS)


class Goodput:
    def __init__(self, options, processes, directory, bed, pair):
        self.build, self.seconds = options.build, options.seconds
        self.processes, self.dir, self.bed = processes, directory, bed
        self.gateway_cpu, self.load_cpu = pair

    def configure(self, mode=None):
        """The gateway's file; without a mode it has no packet plane, which sluiced would attach by itself."""
        words = {"ADDRESS": GATEWAY, "PORT": PORT, "ORIGIN": ORIGIN, "INTERFACE": self.bed.interface, "MODE": mode}
        text = re.sub("@([A-Z]+)@", lambda m: str(words[m[1]]), (PEERS / "goodput.yaml").read_text())
        path = self.dir / f"{mode or 'plain'}.yaml"
        path.write_text(text if mode else text[:text.index("edge:")])
        return path

    def start(self, *argv):
        log = self.dir / "gateway.log"
        return self.processes.start(inside(self.bed.gateway, *argv), self.gateway_cpu, log)

    def serve(self):
        """The gateway with its origin, on the gateway's CPU."""
        origin = self.start(built(self.build, "bench/origin"), f"v1:{ORIGIN}")
        wait_listening(origin, ORIGIN, self.dir / "gateway.log")
        sluiced = self.start(built(self.build, "sluiced"), "-c", self.configure())
        wait_listening(sluiced, PORT, self.dir / "gateway.log")

    def sluice(self, *argv):
        return command(*inside(self.bed.gateway, built(self.build, "sluice"), *argv))

    def attach(self, subject):
        self.bed.sysctl(self.bed.gateway, "net.ipv4.tcp_syncookies", 1)
        if subject == IDEAL:
            self.bed.program(self.bed.gateway, self.bed.interface, built(self.build, "bench/ideal.bpf.o"))
        elif subject in HELD:
            mode = subject.split()[-1]
            self.sluice("attach", "-c", self.configure(mode), "--fix-sysctl")
        self.bed.pin()

    def detach(self, subject):
        if subject == IDEAL:
            self.bed.program(self.bed.gateway, self.bed.interface, None)
        elif subject in HELD:
            self.sluice("detach", "--interface", self.bed.interface)
            self.bed.wait_bare()

    def reasons(self, subject):
        if subject not in HELD:
            return {}
        found = json.loads(self.sluice("stats", "--interface", self.bed.interface, "--json"))
        return {name: c["packets"] for name, c in found[0]["reasons"].items() if c["packets"]}

    def flood(self, rate):
        """Start it, and wait until it comes in; it outlasts the client."""
        log, before = self.dir / "flood.log", self.bed.flooded()
        process = self.processes.start(
            inside(self.bed.client, built(self.build, "bench/flood"), self.bed.peer,
                   self.bed.mac(self.bed.gateway, self.bed.interface), GATEWAY, PORT, rate, self.seconds + 3),
            self.load_cpu, log)
        end = time.monotonic() + 2
        while self.bed.flooded() < before + rate / 20:
            if time.monotonic() > end or process.poll() is not None:
                raise Failed(f"the flood does not arrive: {log.read_text().strip()}")
            time.sleep(0.02)
        return process

    def wrk(self):
        log = self.dir / "wrk.log"
        log.unlink(missing_ok=True)
        argv = [tool("wrk"), "-t1", f"-c{CONNECTIONS}", f"-d{self.seconds}s", "-s", LUA, "-H", "Connection: close",
                f"http://{GATEWAY}:{PORT}/13"]
        process = self.processes.start(inside(self.bed.client, *argv), self.load_cpu, log)
        status = self.processes.finish(process, self.seconds + 60)
        found = re.search("^RESULT (.*)$", log.read_text(), re.M)
        if status != 0 or not found:
            raise Failed(f"wrk failed: {log.read_text().strip()}")
        load = json.loads(found[1])
        if load["bad_status"]:
            raise Failed(f"{load['bad_status']} of {load['requests']} answers are errors")
        return load

    def measure(self, subject, rate):
        self.attach(subject)
        try:
            flood = self.flood(rate) if rate else None
            before = time.monotonic(), idle_seconds(self.gateway_cpu), self.bed.flooded()
            load = self.wrk()
            after = time.monotonic(), idle_seconds(self.gateway_cpu), self.bed.flooded()
            if flood:
                self.processes.finish(flood, self.seconds + 60)
            reasons = self.reasons(subject)
        finally:
            self.detach(subject)
        took, idle, flooded = (b - a for a, b in zip(before, after))
        req_s, busy = load["requests"] / load["usec"] * 1e6, max(0.01, 1 - idle / took)
        return {"subject": subject, "rate": rate, "syn_s": flooded / took, "requests": load["requests"], "req_s": req_s,
                "busy": busy, "req_cpu_s": req_s / busy, "p99_ms": load["p99"] / 1e3,
                "socket_errors": load["socket_errors"], "reasons": reasons}


def of(runs, rate, subject):
    """In the order of the rounds."""
    return [r for r in runs if (r["rate"], r["subject"]) == (rate, subject)]


def summarize(runs):
    """{rate: {subject: {syn_s, req_s, busy, req_cpu_s}}}, medians."""
    return {rate: {subject: {what: statistics.median(r[what] for r in of(runs, rate, subject))
                             for what in ("syn_s", "req_s", "busy", "req_cpu_s")} for subject in SUBJECTS}
            for rate in dict.fromkeys(r["rate"] for r in runs)}


def verdicts(runs):
    """By pairs of runs of the same round, which have more in common than runs of different ones."""
    out = []
    for rate in dict.fromkeys(r["rate"] for r in runs):
        for subject in HELD:
            ratio = statistics.median(r["req_cpu_s"] / max(1, ideal["req_cpu_s"])
                                      for r, ideal in zip(of(runs, rate, subject), of(runs, rate, IDEAL)))
            out.append({"rate": rate, "subject": subject, "of_ideal": ratio, "aim": AIM, "met": ratio >= AIM})
    return out


def table(medians, checked):
    lines = [f"{'SYNs/s':>10}  {'came/s':>9}" + "".join(f"{s:>20}" for s in SUBJECTS) + "  aim"]
    for rate, subjects in medians.items():
        came = statistics.median(m["syn_s"] for m in subjects.values())
        cells = (f"{m['req_cpu_s']:,.0f} ({m['req_s']:,.0f})" for m in subjects.values())
        aims = ", ".join(f"{v['subject'].split()[-1]} {v['of_ideal']:.2f} of ideal >= {AIM} "
                         f"{'met' if v['met'] else 'MISSED'}" for v in checked if v["rate"] == rate)
        lines.append(f"{rate:>10,}  {came:>9,.0f}" + "".join(f"{c:>20}" for c in cells) + f"  {aims}")
    return "\n".join(lines)


def run(options, processes, directory):
    """Measure, print the table; return what goes into the file."""
    tool("wrk")
    pair = cpus()
    rates = tuple(options.rates) or RATES
    runs = []
    with Bed(options.build, *pair) as bed:
        goodput = Goodput(options, processes, directory, bed, pair)
        goodput.serve()
        for n in range(options.rounds):
            for rate in rates:
                turn = n % len(SUBJECTS)
                for subject in SUBJECTS[turn:] + SUBJECTS[:turn]:
                    progress(f"round {n + 1}/{options.rounds} {rate} SYNs/s {subject}")
                    runs.append(goodput.measure(subject, rate))
        for process in list(processes.running):
            processes.stop(process)
    progress("")
    medians = summarize(runs)
    checked = verdicts(runs)
    print(f"Requests that clients get under a SYN flood, each with a connection of its own, for a second of the gateway's CPU "
          f"(in brackets: a\nsecond, in which that CPU may have been idle for a while): medians of {options.rounds} rounds of "
          f"{options.seconds} s in turns, {CONNECTIONS} clients. Through a veth\nwith one NAPI thread on CPU {pair[0]}, which "
          f"sluiced and its origin share; wrk and the flood, from {CLIENT}'s side, are on CPU {pair[1]}. ideal\nfilter: drops "
          f"the flood by one comparison. came/s: what of the flood the gateway's queue took.\n")
    print(table(medians, checked))
    return {"options": {"rounds": options.rounds, "seconds": options.seconds, "connections": CONNECTIONS},
            "medians": [{"rate": rate, "subject": s, **m} for rate, subjects in medians.items()
                        for s, m in subjects.items()],
            "aims": checked, "runs": runs}
