# SPDX-License-Identifier: Apache-2.0
"""Many commands at once on two interfaces, some of them killed: what is there afterwards is whole, and what the last one made."""
import os
import random
import re
import subprocess
import time

import pytest
from conftest import BUILD, PINS, run
from test_living import config, two  # noqa: F401, a fixture

SLUICE = BUILD / "sluice"
OTHER = BUILD / "variant-program/sluice"
AT_ONCE = 8

# What they may fail by, each with the status that goes with it.
REFUSED = {
    1: r"already attached",
    3: r"is not attached|not attached to any interface|is not on the (deny|allow) list of|is not banned on|there is no rule for",
}


class Command:
    """One that runs. attached: what an interface is when it was done; {}: it leaves that alone."""

    def __init__(self, bed, line, attached, kill_after):
        self.line = " ".join(map(str, line[1:]))
        self.attached = attached
        self.killed = False
        self.kill_at = time.monotonic() + kill_after if kill_after is not None else None
        self.began = time.monotonic()
        self.process = subprocess.Popen(["nsenter", f"--net=/run/netns/{bed.gateway}", *map(str, line)], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True)

    def ended(self):
        if self.kill_at and not self.killed and time.monotonic() >= self.kill_at:
            self.process.kill()
            self.killed = True
        if self.process.poll() is None:
            return False
        self.at = time.monotonic()
        self.stderr = self.process.stderr.read()
        self.process.stderr.close()
        return True

    def check(self):
        status = self.process.returncode
        if status in (0, -9) and (status == 0 or self.killed):
            return
        assert status in REFUSED and re.search(REFUSED[status], self.stderr), f"{self.line}: {status}\n{self.stderr}"


def draw(bed, rng, files):
    """A command line, and what it makes of which interface."""
    both = (bed.interface, bed.second)
    one = rng.choice(both)
    here = ("--interface", one)
    address = f"192.0.2.{rng.randrange(1, 20)}"
    sluice = rng.choice((SLUICE, SLUICE, OTHER))
    file = rng.choice(files)
    return rng.choice([
        ((sluice, "attach", "-c", file), dict.fromkeys(both, True)),
        ((sluice, "attach", "-c", file, *here), {one: True}),
        ((sluice, "attach", "-c", file, *here), {one: True}),
        ((sluice, "detach"), dict.fromkeys(both, False)),
        ((sluice, "detach", *here), {one: False}),
        ((sluice, "apply", "-c", file), {}),
        ((sluice, "apply", "-c", file, *here), {}),
        ((sluice, "upgrade"), {}),
        ((sluice, "upgrade", *here), {}),
        ((sluice, "status"), {}),
        ((sluice, "status", *here), {}),
        ((sluice, "deny", "add", address, "--ttl", rng.choice(("1s", "1h")), "--note", address), {}),
        ((sluice, "deny", "del", address, *here), {}),
        ((sluice, "never", "add", address), {}),
        ((sluice, "ban", "add", f"198.51.100.{rng.randrange(1, 20)}", "--ttl", "1s"), {}),
        ((sluice, "ban", "flush"), {}),
        ((sluice, "rule", "add", "only", address, "tcp/22", "--ttl", "1s", *here), {}),
        ((sluice, "rule", "list"), {}),
        ((sluice, "deny", "list"), {}),
        ((sluice, "stats"), {}),
    ])


def storm(bed, rng, files, n):
    """Run n commands, AT_ONCE at a time. Those that ended."""
    running, done, begun = [], [], 0
    while begun < n or running:
        while begun < n and len(running) < AT_ONCE:
            line, attached = draw(bed, rng, files)
            kill_after = rng.uniform(0, 0.15) if rng.random() < 0.3 else None
            running.append(Command(bed, line, attached, kill_after))
            begun += 1
        ended = [c for c in running if c.ended()]
        running = [c for c in running if c not in ended]
        done += ended
        time.sleep(0.001)
    return done


def may_be(done, name):
    """What an interface may be: what any one made of it that may have been the last; a killed one may have done it or not."""
    told = [c for c in done if name in c.attached and (c.process.returncode == 0 or c.killed)]
    sure = max((c.began for c in told if c.process.returncode == 0), default=0)
    return {c.attached[name] for c in told if c.at >= sure} | (set() if sure else {False})


def has_program(bed, name):
    return "xdp" in run("ip", "-n", bed.gateway, "link", "show", name).stdout


def test_detached_while_it_is_looked_at(bed):
    """status, when the pins go between its first look and the next."""
    bed.attach()
    r = bed.inside(bed.gateway, "strace", "-qq", "-o", "/dev/null", "-P", PINS / bed.interface, "-e", "inject=openat:error=ENOENT",
                   SLUICE, "status", "--interface", bed.interface, check=False, env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
    assert (r.returncode, r.stderr) == (3, f"sluice: {bed.interface} is not attached\n")


@pytest.mark.parametrize("seed", range(3))
def test_storm(two, seed):  # noqa: F811
    bed = two
    rng = random.Random(seed)
    files = [config(bed, text).rename(bed.path / f"{i}.yaml") for i, text in enumerate((
        "  deny: [203.0.113.1]\n  rules: [{only: [10.0.0.0/8], to: [tcp/9901]}]\n",
        "  allow: [203.0.113.2]\n  limits: {source: {packets: 1000/s}}\n  bans: {never: [192.0.2.3]}\n"))]
    done = storm(bed, rng, files, 40)
    history = "\n".join(f"{c.at:.3f} {c.process.returncode} {c.line}" for c in sorted(done, key=lambda c: c.at))
    for c in done:
        c.check()
    bed.sluice("detach", "--interface", "nowhere0", check=False)  # ends what killed ones left
    left = sorted(p.name for p in PINS.iterdir())
    attached = [n for n in sorted((bed.interface, bed.second)) if has_program(bed, n)]
    assert left == attached, history
    for name in (bed.interface, bed.second):
        assert (name in attached) in may_be(done, name), f"{name} {attached}\n{history}"
    if attached:
        assert [(i["interface"], i["attached"]) for i in bed.json("status")] == [(n, True) for n in attached], history
        for command in ("deny", "allow", "never", "ban", "rule"):
            assert [i["interface"] for i in bed.json(command, "list")] == attached, history
        bed.sluice("apply", "-c", files[0])
        for name in attached:
            listed = {e["prefix"] for e in bed.json("deny", "list", "--origin", "file", "--interface", name)[0]["entries"]}
            assert listed == {"203.0.113.1"}, history
        bed.sluice("detach")
    assert list(PINS.iterdir()) == [] and not has_program(bed, bed.interface) and not has_program(bed, bed.second)
    bed.sluice("attach", "-c", files[0])
