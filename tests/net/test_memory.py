# SPDX-License-Identifier: Apache-2.0
"""No memory in the kernel: whichever bpf(2) call of a command finds none, it says so and nothing has changed, or it did without."""
import os

import pytest
from conftest import BUILD, run

SLUICE = BUILD / "sluice"
TEXT = "  deny: [192.0.2.1, 10.7.0.2]\n  rate_limit: {rate: 100/s}\n"
STEPS = int(os.environ.get("SLUICE_MEMORY_STEPS", "8"))


def view(bed, here):
    found = []
    for what in (("status",), ("deny", "list"), ("allow", "list"), ("ban", "list")):
        r = bed.sluice(*what, *here, "--json", check=False)
        assert r.returncode in (0, 3), r.stderr
        found.append(r.stdout if what != ("status",) else [(i["generation"], i["program_tag"]) for i in bed.state(*here)]
                     if r.returncode == 0 else None)
    return found, "xdp" in run("ip", "-n", bed.gateway, "link", "show", bed.interface).stdout


def inject(bed, n, command):
    file = bed.path / "trace"
    options = ["-e", f"inject=bpf:error=ENOMEM:when={n}"] if n else []
    r = bed.inside(bed.gateway, "strace", "-qq", "-o", file, "-e", "trace=bpf", *options, *command, check=False,
                   # LeakSanitizer does not work under ptrace.
                   env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
    return len(file.read_text().splitlines()), r


@pytest.mark.parametrize("name", ["attach", "apply", "upgrade", "add", "ban"])
def test_no_memory(bed, name):
    here = ("--interface", bed.interface)
    file = bed.config(TEXT)
    other = bed.config("  deny: [192.0.2.7]\n  allow: [192.0.2.8]\n", name="other.yaml")
    command = {"attach": (SLUICE, "attach", "-c", file), "apply": (SLUICE, "apply", "-c", other, *here),
               "upgrade": (BUILD / "variant-program/sluice", "upgrade", *here),
               "add": (SLUICE, "deny", "add", "192.0.2.2", "192.0.2.3", "--note", "why", *here),
               "ban": (SLUICE, "ban", "add", "192.0.2.2", *here)}[name]

    def prepare():
        bed.sluice("detach", *here, check=False)
        if name != "attach":
            bed.sluice("attach", "-c", file)

    prepare()
    old = view(bed, here)
    calls, r = inject(bed, 0, command)
    assert r.returncode == 0, r.stderr
    new = view(bed, here)
    assert old != new or name == "ban"
    prepare()
    old = view(bed, here)
    failed = done = 0
    # From the last, which changes what is there, backward; the first ones only ask what the kernel can.
    for n in range(calls, 0, -max(1, calls // STEPS)):
        _, r = inject(bed, n, command)
        words = (n, calls, r.stdout, r.stderr)
        found = view(bed, here)
        assert r.returncode in (0, 1, 3), words
        if r.returncode:
            failed += 1
            assert r.stderr.startswith("sluice: ") and found == old, words
        else:
            done += 1
            assert found[1] and (found == new or name == "ban"), words
            prepare()
            old = view(bed, here)
    assert failed
