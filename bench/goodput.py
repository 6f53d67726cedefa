# SPDX-License-Identifier: Apache-2.0
"""What is left for clients under a SYN flood: requests a second, each with a connection of its own, through a veth that
stands for a card; with the kernel alone, with an ideal filter that knows the flood, and with the guard."""
import json
import re
import statistics
import time

from bed import CLIENT, GATEWAY, Bed, command, inside
from process import Failed, cpus, wait_listening
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
        out = self.dir / "flood.json"
        out.unlink(missing_ok=True)
        before = self.bed.received()
        process = self.processes.start(
            inside(self.bed.client, built(self.build, "bench/flood"), self.bed.peer,
                   self.bed.mac(self.bed.gateway, self.bed.interface), GATEWAY, PORT, rate, self.seconds + 3),
            self.load_cpu, self.dir / "flood.log", out)
        end = time.monotonic() + 2
        while self.bed.received() < before + rate / 20:
            if time.monotonic() > end or process.poll() is not None:
                raise Failed(f"the flood does not arrive: {(self.dir / 'flood.log').read_text().strip()}")
            time.sleep(0.02)
        return process, out

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
            load = self.wrk()
            sent = 0
            if flood:
                self.processes.finish(flood[0], self.seconds + 60)
                done = json.loads(flood[1].read_text())
                sent = done["sent"] / done["seconds"]
            reasons = self.reasons(subject)
        finally:
            self.detach(subject)
        return {"subject": subject, "rate": rate, "sent_s": sent, "requests": load["requests"],
                "req_s": load["requests"] / load["usec"] * 1e6, "p99_ms": load["p99"] / 1e3,
                "socket_errors": load["socket_errors"], "reasons": reasons}


def summarize(runs):
    """{rate: {subject: {req_s, sent_s}}}, medians."""
    return {rate: {subject: {what: statistics.median(r[what] for r in runs
                                                     if (r["rate"], r["subject"]) == (rate, subject))
                             for what in ("req_s", "sent_s")} for subject in SUBJECTS}
            for rate in dict.fromkeys(r["rate"] for r in runs)}


def verdicts(medians):
    out = []
    for rate, subjects in medians.items():
        for subject in HELD:
            ratio = subjects[subject]["req_s"] / max(1, subjects[IDEAL]["req_s"])
            out.append({"rate": rate, "subject": subject, "of_ideal": ratio, "aim": AIM, "met": ratio >= AIM})
    return out


def table(medians, checked):
    head = f"{'SYNs/s':>10}  {'sent/s':>9}" + "".join(f"{s:>16}" for s in SUBJECTS) + "  aim"
    lines = [head]
    for rate, subjects in medians.items():
        sent = statistics.median(subjects[s]["sent_s"] for s in SUBJECTS)
        aims = ", ".join(f"{v['subject'].split()[-1]} {v['of_ideal']:.2f} of ideal >= {AIM} "
                         f"{'met' if v['met'] else 'MISSED'}" for v in checked if v["rate"] == rate)
        lines.append(f"{rate:>10,}  {sent:>9,.0f}" + "".join(f"{subjects[s]['req_s']:>16,.0f}" for s in SUBJECTS)
                     + f"  {aims}")
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
    checked = verdicts(medians)
    print(f"Requests a second that clients get under a SYN flood, each request with a connection of its own: medians of "
          f"{options.rounds} rounds of {options.seconds} s\nin turns, {CONNECTIONS} clients. Through a veth with one NAPI "
          f"thread on CPU {pair[0]}, which sluiced and its origin share; wrk and the flood, from\n{CLIENT}'s side, are "
          f"on CPU {pair[1]}. ideal filter: drops the flood by one comparison. sent/s: what the generator reached.\n")
    print(table(medians, checked))
    return {"options": {"rounds": options.rounds, "seconds": options.seconds, "connections": CONNECTIONS},
            "medians": [{"rate": rate, "subject": s, **m} for rate, subjects in medians.items()
                        for s, m in subjects.items()],
            "aims": checked, "runs": runs}
