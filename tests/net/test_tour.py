# SPDX-License-Identifier: Apache-2.0
"""The tour of `make run`: every step as expected, nothing left behind, also after a crash."""
import os
import signal
import subprocess
import time

import pytest

from conftest import BUILD, PINS, ROOT, run, until

TOUR = ["/usr/bin/python3", "-EsB", str(ROOT / "conf/tour.py"), "--build", str(BUILD)]


def left():
    return ([n for n in ("sluice-gateway", "sluice-client") if os.path.exists(f"/run/netns/{n}")],
            (PINS / "sluice-gw").exists(), os.path.exists("/run/sluice-tour"))


@pytest.fixture
def start():
    """Start a tour and wait until it stays up: the process and what it said. Whatever the test ends by, it ends."""
    started = []

    def begin(path):
        end = time.monotonic() + 300
        while True:
            with path.open("w") as out:
                started.append(subprocess.Popen(TOUR, stdout=out, stderr=subprocess.STDOUT))
            p = started[-1]
            until(lambda: "Serving until Ctrl-C" in path.read_text() or p.poll() is not None, "the tour", 120)
            text = path.read_text()
            if p.poll() is None:
                return p, text
            # There can be one at a time on a machine.
            assert "another tour is running" in text and time.monotonic() < end, text
            time.sleep(1)

    yield begin
    for p in started:
        if p.poll() is None:
            p.send_signal(signal.SIGINT)
            p.wait(60)


def test_tour_and_crash(start, tmp_path):
    p, text = start(tmp_path / "out")
    assert "9 steps, all as expected" in text, text
    assert text.count("   ok: ") == 18 and "FAILED" not in text
    assert run("nsenter", "--net=/run/netns/sluice-client", "curl", "-s", "http://10.99.0.1:8080/hello").stdout == \
        "v1 /hello user=\n"
    # A second one would take its names away.
    again = subprocess.run(TOUR, capture_output=True, text=True, check=False)
    assert (again.returncode, again.stderr) == (1, "make run: another tour is running on this machine\n")
    os.kill(p.pid, signal.SIGKILL)
    p.wait()
    assert left() == (["sluice-gateway", "sluice-client"], True, True)
    # The next one removes what is left, and ends by Ctrl-C with nothing left of its own.
    p, _ = start(tmp_path / "out")
    p.send_signal(signal.SIGINT)
    assert p.wait(60) == 0
    assert (tmp_path / "out").read_text().endswith("All removed.\n")
    assert left() == ([], False, False)


def test_tour_without_root(anyone):
    r = anyone(ROOT / "conf/tour.py", before=TOUR[:2])
    assert r.returncode == 1
    assert r.stderr == "make run: network namespaces and packet programs need root: sudo make run\n"


def test_tour_in_a_container():
    r = run("setpriv", "--bounding-set=-sys_admin,-net_admin", "--inh-caps=-all", *TOUR, check=False)
    assert r.returncode == 1
    assert r.stderr == ("make run: root may not make network namespaces here; "
                        "a container needs all capabilities (--privileged)\n")
