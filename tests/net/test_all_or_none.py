# SPDX-License-Identifier: Apache-2.0
"""Commands that change two interfaces, killed or failing: both are as before or both are as wanted, and the next one can tell."""
import json
import os
import signal
import subprocess

import pytest
from conftest import BUILD, PINS, run
from test_living import config, two  # noqa: F401, a fixture

SLUICE = BUILD / "sluice"
OTHER = BUILD / "variant-program/sluice"

OLD = ("  deny: [192.0.2.1, 10.7.0.2, 10.8.0.2, {file: a.netset}, {file: old.netset, name: both}]\n  allow: [192.0.2.8]\n"
       "  rate_limit: {rate: 100/s}\n")
NEW = "  deny: [192.0.2.1, {file: new.netset, name: both}, {file: z.netset}]\n  syn_flood: {mode: auto}\n"
FEEDS = {"a": "198.51.100.1\n", "old": "198.51.100.2\n", "new": "198.51.100.3\n198.51.100.4\n", "z": "198.51.100.5\n"}

CALLS = ("mkdir", "rename", "renameat2", "rmdir", "unlink")


def strace(bed, command, *inject):
    """What it called, in order, and how it ended."""
    file = bed.path / "trace"
    r = bed.inside(bed.gateway, "strace", "-qq", "-o", file, "-e", f"trace=bpf,{','.join(CALLS)}", *inject, *command, check=False,
                   # LeakSanitizer does not work under ptrace.
                   env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
    return [line.split("(")[0] for line in file.read_text().splitlines()], r


def tag(program):
    return json.loads(run("/usr/sbin/bpftool", "-j", "prog", "show", "id", program).stdout)["tag"]


def view(bed):
    """What is attached to the two, each: program, policy, lists, feeds and their memory. None: nothing is."""
    found = {bed.interface: None, bed.second: None}
    for what, members in (("status", ("rate", "syn_mode", "generation")), ("deny", ("entries", "prefix")),
                          ("allow", ("entries", "prefix")), ("ban", ("bans", "prefix")), ("rule", ("rules", "port")),
                          ("never", ("entries", "prefix"))):
        r = bed.sluice(what, *([] if what == "status" else ["list"]), "--json", check=False)
        for i in json.loads(r.stdout) if r.returncode == 0 else []:
            if what == "status":
                assert i["attached"]
                found[i["interface"]] = [tag(i["program_id"]), *(i[m] for m in members)]
            else:
                found[i["interface"]].append(sorted(e[members[1]] for e in i[members[0]]))
    r = bed.sluice("feeds", "--json", check=False)
    for i in json.loads(r.stdout) if r.returncode == 0 else []:
        found[i["interface"]] += [i["memory"], [(f["name"], f["entries4"], f["file"]) for f in i["feeds"]]]
    return found[bed.interface], found[bed.second]


def attached(bed, name):
    return "xdp" in run("ip", "-n", bed.gateway, "link", "show", name).stdout


@pytest.fixture
def own(two):  # noqa: F811
    """Commands without --interface are about all that are attached: here, in a bpffs of the test's own."""
    bed = two
    keeper = subprocess.Popen(["unshare", "-m", "sh", "-c", "mount -t bpf bpf /sys/fs/bpf && echo up && exec cat"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert keeper.stdout.readline() == "up\n"
    outside = bed.inside

    def inside(ns, *command, **more):
        if ns != bed.gateway:
            return outside(ns, *command, **more)
        return run("nsenter", f"--net=/run/netns/{ns}", f"--mount=/proc/{keeper.pid}/ns/mnt", *command, **more)

    bed.inside = inside
    bed.pins = lambda: sorted(os.listdir(f"/proc/{keeper.pid}/root{PINS}"))
    yield bed
    bed.inside = outside
    keeper.stdin.close()
    keeper.wait(20)
    keeper.stdout.close()


def files(bed):
    made = []
    for name, text in (("old.yaml", OLD), ("new.yaml", NEW)):
        file = config(bed, text)
        made.append(file.rename(file.with_name(name)))
    for name, text in FEEDS.items():
        (bed.path / f"{name}.netset").write_text(text)
    return made


def clear(bed):
    bed.sluice("detach", check=False)
    assert view(bed) == (None, None) and bed.pins() == []


def attach_old(bed):
    clear(bed)
    bed.sluice("attach", "-c", files(bed)[0])


def attach_with(*more):
    def prepare(bed):
        attach_old(bed)
        bed.sluice(*more)
    return prepare


COMMANDS = {
    "attach": (clear, lambda bed: (SLUICE, "attach", "-c", files(bed)[0])),
    "detach": (attach_old, lambda bed: (SLUICE, "detach")),
    "apply": (attach_old, lambda bed: (SLUICE, "apply", "-c", files(bed)[1])),
    "upgrade": (attach_old, lambda bed: (OTHER, "upgrade")),
    "add": (attach_old, lambda bed: (SLUICE, "deny", "add", "192.0.2.2", "192.0.2.3")),
    "ban": (attach_old, lambda bed: (SLUICE, "ban", "add", "192.0.2.2")),
    "rule": (attach_old, lambda bed: (SLUICE, "rule", "add", "deny", "192.0.2.2", "tcp/22")),
    "flush": (attach_old, lambda bed: (SLUICE, "deny", "flush")),
}

# What takes away goes the way of what adds: it fails as that does.
KILLED = COMMANDS | {
    "del": (attach_old, lambda bed: (SLUICE, "deny", "del", "192.0.2.1", "10.8.0.2")),
    "ban del": (attach_with("ban", "add", "192.0.2.2", "192.0.2.3"), lambda bed: (SLUICE, "ban", "del", "192.0.2.2", "192.0.2.3")),
    "rule del": (attach_with("rule", "add", "deny", "192.0.2.2", "tcp/22"), lambda bed: (SLUICE, "rule", "del", "192.0.2.2", "tcp/22")),
    "never": (attach_with("ban", "add", "192.0.2.2", "192.0.2.3"), lambda bed: (SLUICE, "never", "add", "192.0.2.2", "192.0.2.3")),
}


def next_command(bed):
    """One that changes nothing but takes the lock."""
    r = bed.sluice("detach", "--interface", "nowhere0", check=False)
    assert (r.returncode, r.stderr) == (3, "sluice: nowhere0 is not attached\n")


@pytest.mark.parametrize("name", KILLED)
def test_killed_between_two_interfaces(own, name):
    bed = own
    prepare, command = KILLED[name]
    prepare(bed)
    old = view(bed)
    made, r = strace(bed, command(bed))
    assert r.returncode == 0, r.stderr
    new = view(bed)
    assert old != new and None not in (new if name != "detach" else old)
    calls = [line for line in (bed.path / "trace").read_text().splitlines() if line.startswith("bpf(")]
    changes = [n for n, line in enumerate(calls, 1) if line.startswith(("bpf(BPF_MAP_UPDATE", "bpf(BPF_MAP_DELETE"))]
    bpf = len(calls)
    # Half of the changes are the first interface's.
    points = [("bpf", n) for n in sorted({changes[len(changes) // 2] if changes else bpf // 2, *range(bpf - 4, bpf + 1, 2)})]
    if name == "apply":
        points += [("bpf", n) for n in range(bpf // 12, bpf - 4, bpf // 12)]
    points += [(call, n + 1) for call in CALLS for n in range(made.count(call)) if call != "unlink" or n % 8 == 0]
    seen = []
    for call, n in points:
        prepare(bed)
        _, r = strace(bed, command(bed), "-e", f"inject={call}:signal=KILL:when={n}")
        assert r.returncode == -signal.SIGKILL, (call, n, r.stderr)
        next_command(bed)
        found = view(bed)
        assert found in (old, new), (call, n, made)
        seen.append(found == new)
        for i, name_ in enumerate((bed.interface, bed.second)):
            assert attached(bed, name_) == (found[i] is not None), (call, n)
            # Packets see the same; a ping that is dropped takes a second.
            assert n > 1 or bed.ping(f"10.{7 + i}.0.1") == (not found[i] or f"10.{7 + i}.0.2" not in found[i][4]), call
        assert not any(p.startswith(":") for p in bed.pins()), (call, n)
    assert True in seen and False in seen


@pytest.mark.parametrize("name", COMMANDS)
def test_that_fails_on_the_second_interface(own, name):
    """The kernel has no memory for the last steps: nothing has changed on the first one, either."""
    bed = own
    prepare, command = COMMANDS[name]
    prepare(bed)
    old = view(bed)
    made, r = strace(bed, command(bed))
    assert r.returncode == 0, r.stderr
    failed = 0
    for call in ("mkdir", "renameat2" if name == "attach" else "rename"):
        for n in range(made.count(call)):
            prepare(bed)
            _, r = strace(bed, command(bed), "-e", f"inject={call}:error=ENOMEM:when={n + 1}")
            if r.returncode == 0:
                continue
            failed += 1
            assert r.returncode == 1 and "Cannot allocate memory" in r.stderr, (call, n, r.stderr)
            assert view(bed) == old, (call, n)
            assert not any(p.startswith(":") for p in bed.pins()), (call, n)
    assert failed


def test_exit_status_tells_who_is_missing(own):
    bed = own
    attach_old(bed)
    bed.sluice("detach", "--interface", bed.second)
    assert view(bed)[0] and not view(bed)[1]
    r = bed.sluice("attach", "-c", files(bed)[0], check=False)
    assert r.returncode == 1 and f"{bed.interface} is already attached" in r.stderr
    assert view(bed)[0] and not view(bed)[1]
