# SPDX-License-Identifier: Apache-2.0
"""The request plane: every scenario against every subject, in turns, on pinned CPUs."""
import json
import os
import re
import subprocess
import sys

from check import check, check_log
from process import Failed, cpu_seconds, cpus, machine_seconds, reaped_seconds
from report import summarize, table, verdicts
from scenarios import CONNECTIONS, PLAIN, SCENARIOS
from subjects import Bench, tool
from tokens import make as make_tokens

LUA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "load.lua")
NOISY = 0.10  # of a CPU, used by other programs while we measured


def choose(names):
    known = {s.name: s for s in SCENARIOS}
    unknown = [n for n in names if n not in known]
    if unknown:
        raise Failed(f"no scenario '{unknown[0]}'; there are {', '.join(known)}")
    return [known[n] for n in names] or SCENARIOS


def wrk(bench, scenario, port, seconds, tokens, token_file):
    """One run of the load generator: what load.lua reports."""
    argv = [tool("wrk"), "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", LUA]
    if scenario.close:
        argv += ["-H", "Connection: close"]
    if scenario.tokens == 1:
        argv += ["-H", f"Authorization: Bearer {tokens['good'][0]}"]
    argv.append(f"http://127.0.0.1:{port}{scenario.path}")
    if scenario.tokens > 1:
        argv += ["--", str(token_file)]
    log = bench.dir / "wrk.log"
    log.unlink(missing_ok=True)
    process = bench.processes.start(argv, bench.load_cpu, log)
    status = bench.processes.finish(process, seconds + 30)
    text = log.read_text()
    found = re.search("^RESULT (.*)$", text, re.M)
    if status != 0 or not found:
        raise Failed(f"wrk failed: {text.strip()}")
    return json.loads(found[1])


def measure(bench, scenario, subject, seconds, tokens, token_file):
    process, port = bench.start(subject, scenario.kind)
    try:
        before = cpu_seconds(process.pid), machine_seconds(), cpu_seconds(bench.origin.pid), reaped_seconds()
        load = wrk(bench, scenario, port, seconds, tokens, token_file)
        after = cpu_seconds(process.pid), machine_seconds(), cpu_seconds(bench.origin.pid), reaped_seconds()
    finally:
        bench.processes.stop(process)
    own, machine, origin, client = (b - a for a, b in zip(before, after))
    n = load["requests"]
    if load["bad_status"] or n == 0:
        raise Failed(f"{subject}, {scenario.name}: {load['bad_status']} of {n} answers are errors")
    if load["socket_errors"]:
        bench.note(f"{subject}, {scenario.name}: wrk counted socket errors")
    if scenario.kind == "jwt":
        check_log(bench, subject, n)
    return {
        "scenario": scenario.name, "subject": subject, "requests": n,
        "req_s": n / load["usec"] * 1e6, "p50_ms": load["p50"] / 1e3, "p99_ms": load["p99"] / 1e3,
        "cpu_us": own / n * 1e6, "machine_us": machine / n * 1e6,
        "others": (machine - own - origin - client) / (load["usec"] / 1e6),
        "socket_errors": load["socket_errors"],
    }


def schedule(scenarios, rounds):
    """Subjects in turns, and each round begins with another one, so that none always follows the same."""
    for n in range(rounds):
        for scenario in scenarios:
            order = [s for s in scenario.subjects]
            turn = n % len(order)
            for subject in order[turn:] + order[:turn]:
                yield n, scenario, subject


def versions(bench):
    def first_line(*argv):
        done = subprocess.run(argv, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        return (done.stdout + done.stderr).splitlines()[0]

    with open("/proc/cpuinfo") as f:
        model = re.search(r"model name\s*: (.*)", f.read())
    return {"nginx": first_line(tool("nginx"), "-v"), "haproxy": first_line(tool("haproxy"), "-v"),
            "wrk": first_line(tool("wrk"), "-v"), "kernel": os.uname().release,
            "cpu": model[1] if model else "unknown",
            "pinned": {"subject": bench.subject_cpu, "wrk and origin": bench.load_cpu}}


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def run(options, processes, directory):
    """Measure, print the table; return what goes into the file."""
    scenarios = choose(options.scenarios)
    for name in ("wrk", "nginx", "haproxy"):
        tool(name)
    bench = Bench(options.build, directory, processes, cpus())
    tokens = token_file = None
    if any(s.tokens for s in scenarios):
        progress(f"{options.tokens} tokens")
        tokens = make_tokens(options.out, options.tokens)
        bench.key.write_text(tokens["public"])
        token_file = directory / "tokens"
        token_file.write_text("\n".join(tokens["good"]) + "\n")
    for scenario in scenarios:
        for subject in scenario.subjects:
            progress(f"check {scenario.name} {subject}")
            check(bench, scenario, subject, tokens)
            bench.access_log(subject).unlink(missing_ok=True)
    runs = []
    for n, scenario, subject in schedule(scenarios, options.rounds):
        progress(f"round {n + 1}/{options.rounds} {scenario.name} {subject}")
        runs.append(measure(bench, scenario, subject, options.seconds, tokens, token_file))
    progress("")
    results = summarize(runs)
    checked = verdicts(results)
    print(f"{options.rounds} rounds of {options.seconds} s in turns, {CONNECTIONS} connections, one thread a subject "
          f"on CPU {bench.subject_cpu}, wrk and origin on CPU {bench.load_cpu}. Medians; +-: half the\nrange of CPU. "
          "CPU us: of the subject, a request; machine us: of all CPUs, load and origin included. peer: the better of\n"
          "nginx and haproxy; floor: relay, no HTTP work; plain: own plain-13. All answers were checked to be the same.\n")
    print(table(results, checked))
    for scenario in scenarios:
        if scenario.tokens > 1:
            n = min(r["requests"] for r in runs if r["scenario"] == scenario.name)
            bench.note(f"{scenario.name}: {options.tokens} tokens in turn, each sent {n / options.tokens:.1f} times or "
                       "more a run, to a process that had seen none")
    busy = max(r["others"] for r in runs)
    if busy > NOISY:
        bench.note(f"other programs used up to {busy:.0%} of a CPU during a run: the figures are rough")
    if not set(PLAIN) <= {s for s in results.get("plain-13", {})} and "jwt-one" in results:
        bench.note("plain-13 was not measured, so there is no ratio to the own plain proxy")
    for note in bench.notes:
        print(f"\nnote: {note}", end="")
    print()
    return {"options": {"rounds": options.rounds, "seconds": options.seconds, "connections": CONNECTIONS,
                        "tokens": options.tokens if tokens else 0},
            "versions": versions(bench), "medians": results, "ratios": checked, "notes": bench.notes,
            "runs": runs}
