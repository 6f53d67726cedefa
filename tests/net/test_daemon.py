# SPDX-License-Identifier: Apache-2.0
"""sluiced where a machine of its own is needed: fixed ports, CPUs that it may run on, upstreams that never answer."""
import os
import pathlib
import re
import time

from conftest import BUILD, ROOT, until

MINIMAL = ROOT / "conf/minimal.yaml"


def fetch(bed, url, *more):
    return bed.inside(bed.gateway, "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", *more, url).stdout


def serve(bed, config, *before):
    p = bed.start(bed.gateway, *before, BUILD / "sluiced", "-c", config)
    until(lambda: p.poll() is not None or "info: serving" in (bed.path / "stderr").read_text(), "sluiced")
    assert p.poll() is None, (bed.path / "stderr").read_text()
    return p


def test_the_minimal_file_works_as_it_stands(bed):
    (bed.path / "www").mkdir()
    (bed.path / "www/hello").write_text("hello\n")
    bed.start(bed.gateway, "/usr/bin/python3", "-m", "http.server", "-b", "127.0.0.1", "-d", bed.path / "www", 9000)
    until(lambda: ":9000" in bed.inside(bed.gateway, "ss", "-Hltn").stdout, "the origin")
    p = serve(bed, MINIMAL)
    assert bed.inside(bed.gateway, "curl", "-s", "http://127.0.0.1:8080/hello").stdout == "hello\n"
    p.terminate()
    assert p.wait(40) == 0
    readme = (ROOT / "README.md").read_text()
    assert "".join(f"    {line}\n" for line in MINIMAL.read_text().splitlines()) in readme


def test_a_pinned_worker_for_each_cpu_that_it_may_run_on(bed):
    cpus = sorted(os.sched_getaffinity(0))
    for allowed in ([cpus[-1]], cpus):
        p = serve(bed, MINIMAL, "taskset", "-c", ",".join(map(str, allowed)))
        listed = bed.inside(bed.gateway, "ss", "-Hltn", "sport = :8080").stdout.splitlines()
        assert len(listed) == len(allowed)  # each worker has a socket of its own
        threads = [re.search(r"Cpus_allowed_list:\s*(\S+)", (t / "status").read_text())[1]
                   for t in pathlib.Path(f"/proc/{p.pid}/task").iterdir() if t.name != str(p.pid)]
        assert sorted(threads) == sorted(map(str, allowed))
        p.terminate()
        assert p.wait(40) == 0
        (bed.path / "stderr").write_text("")


def test_connecting_has_a_deadline(bed):
    config = bed.path / "silent.yaml"
    config.write_text("version: 1\nlisteners: [{name: public, address: 127.0.0.1:8080}]\n"
                      "services: {api: {endpoints: [http://10.7.0.9:80], timeouts: {connect: 300ms}}}\n"
                      "routes: [{name: all, match: {path: /*}, to: api}]\n")
    # Nobody answers there, and the neighbour is known, so that the kernel does not find out itself.
    bed.inside(bed.gateway, "ip", "neigh", "replace", "10.7.0.9", "lladdr", "02:00:00:00:00:09", "dev", bed.interface)
    serve(bed, config)
    start = time.monotonic()
    assert fetch(bed, "http://127.0.0.1:8080/", "-m", "20") == "504"
    assert 0.3 <= time.monotonic() - start < 5
