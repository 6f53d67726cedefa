# SPDX-License-Identifier: Apache-2.0
"""The benchmark itself, in its smallest form: its table, its file, its errors, and that it leaves nothing behind."""
import json
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

from conftest import BUILD, ROOT

RUN = ["/usr/bin/python3", "-EsB", str(ROOT / "bench/run.py"), "--build", str(BUILD), "--rounds", "1",
       "--seconds", "1"]


@pytest.fixture
def bench(tmp_path):
    """Start a run whose processes all carry a mark; at the end of the test none may be left."""
    mark = f"SLUICE_BENCH_TEST={tmp_path}"

    def start(*args, **kwargs):
        env = {**os.environ, "SLUICE_BENCH_TEST": str(tmp_path), "TMPDIR": str(tmp_path)}
        return subprocess.Popen([*RUN, "--out", str(tmp_path / "out"), *args], env=env, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs)

    start.alive = lambda: marked(mark)
    yield start
    assert marked(mark) == []
    assert list(tmp_path.glob("sluice-bench.*")) == []


def marked(mark):
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in path.read_bytes().split(b"\0"):
                found.append((path.parent / "comm").read_text().strip())
        except OSError:
            pass
    return found


def test_a_round_gives_table_and_file(bench, tmp_path):
    run = bench("requests", "--scenarios", "plain-13,jwt-one", "--tokens", "3")
    out, err = run.communicate(timeout=120)
    assert run.returncode == 0, err
    for subject in ("sluice", "nginx", "haproxy", "relay"):
        assert re.search(rf"\b{subject} +[\d,]+ +[\d.]+ +[\d.]+ +[\d.]+ ", out), out
    assert re.search(r"sluice .* peer <= 0\.75 (met|MISSED), floor <= 1\.15 (met|MISSED)\n", out), out
    assert re.search(r"sluice .* peer <= 0\.30 (met|MISSED), plain <= 1\.20 (met|MISSED)\n", out), out

    result = json.loads((tmp_path / "out/requests.json").read_text())
    assert len(result["runs"]) == 6
    assert all(r["requests"] > 100 and r["cpu_us"] > 0 and r["machine_us"] > r["cpu_us"] for r in result["runs"])
    cpu = {s: r["cpu_us"]["median"] for s, r in result["medians"]["plain-13"].items()}
    ratios = result["ratios"]["plain-13"]
    assert ratios["peer"]["ratio"] == pytest.approx(cpu["sluice"] / min(cpu["nginx"], cpu["haproxy"]))
    assert ratios["floor"]["ratio"] == pytest.approx(cpu["sluice"] / cpu["relay"])


def test_packets(bench, tmp_path):
    run = bench("packets", "--entries", "0,1000,0+20000")
    out, err = run.communicate(timeout=120)
    assert run.returncode == 0, err
    assert re.search(r"^way +subject +none +1k by hand +20k feed +aim$", out, re.M), out
    assert re.search(r"^denied by address, IPv4 +guard +- +-?\d+ +-?\d+  <= 60 ns (met|MISSED with .*)\n"
                     r" +lpm +- +-?\d+ +-?\d+\n +xdp-filter +- +-?\d+ +-?\d+\n", out, re.M), out
    assert re.search(r"^SYN cookie, IPv6 .*<= 1\.3 of bare cookie (met|MISSED with none)\n", out, re.M), out
    assert re.search(r"^banned by address, IPv4 +guard +-?\d+ +- +-$", out, re.M), out

    result = json.loads((tmp_path / "out/packets.json").read_text())
    figures = result["figures"]
    assert {(f["by_hand"], f["in_feed"]) for f in figures} == {(0, 0), (1000, 0), (0, 20000)}
    assert {f["subject"] for f in figures} == {"guard", "lpm", "xdp-filter", "bare cookie"}
    assert all(f["empty_ns"] > 0 and f["packets"] >= f["sources"] for f in figures)
    assert all(f["verified"] >= 1000 and f["lost"] == 0 for f in figures if f["way"] == "spoofed flood"), figures
    besides = {f["way"].rpartition(", ")[0]: (f["by_hand"], f["in_feed"]) for f in figures if re.search("ban|port rule", f["way"])}
    assert besides == dict.fromkeys(("banned by address", "banned by prefix", "denied by a port rule", "clean, 1,000 bans and rules"),
                                    (0, 0))
    aim = next(a for a in result["aims"] if a["what"] == "bare cookie")
    cost = {f["subject"]: f["over_ns"] for f in figures
            if all(f[k] == aim[k] for k in ("way", "by_hand", "in_feed"))}
    assert aim["is"] == pytest.approx(cost["guard"] / cost["bare cookie"])
    assert aim["met"] == (aim["is"] <= aim["aim"])


@pytest.fixture
def beds():
    """The bench's network namespaces and pins; at the end of the test there are no more than before."""
    def found():
        return {p.name for d in ("/run/netns", "/sys/fs/bpf/sluice") if os.path.isdir(d)
                for p in pathlib.Path(d).iterdir() if p.name.startswith(("sluice-sg", "sluice-sc", "sg"))}

    before = found()
    yield found
    assert found() - before == set()


def test_goodput(bench, beds, tmp_path):
    run = bench("goodput", "--rates", "0,20000")
    out, err = run.communicate(timeout=120)
    assert run.returncode == 0, err
    assert re.search(r"^ +20,000 +[\d,]+( +[\d,]+ \([\d,]+\)){4}  auto \d+\.\d\d of ideal >= 0\.95 (met|MISSED), "
                     r"always \d+\.\d\d of ideal >= 0\.95 (met|MISSED)$", out, re.M), out

    result = json.loads((tmp_path / "out/goodput.json").read_text())
    runs = {(r["subject"], r["rate"]): r for r in result["runs"]}
    assert len(runs) == 8
    assert all(r["requests"] > 100 and 0 < r["busy"] <= 1.02 for r in runs.values())
    assert all(r["req_cpu_s"] == pytest.approx(r["req_s"] / r["busy"]) for r in runs.values())
    flooded = [r for (_, rate), r in runs.items() if rate]
    assert all(5000 < r["syn_s"] <= 21000 for r in flooded), flooded
    # The flood came as far as the guard, whose answers met the kernel's valid cookies; those that came back paid for more.
    always = runs["guard, always", 20000]
    reasons = always["reasons"]
    assert reasons["cookie_sent"] + reasons["syn_excess"] > always["syn_s"], always
    assert reasons["cookie_sent"] > reasons["cookie_valid"] > 100, always
    assert "cookie_sent" not in runs["guard, auto", 0]["reasons"]
    aim = next(a for a in result["aims"] if (a["subject"], a["rate"]) == ("guard, always", 20000))
    assert aim["of_ideal"] == pytest.approx(always["req_cpu_s"] / runs["ideal filter", 20000]["req_cpu_s"])


def test_a_signal_takes_the_bed_away(bench, beds):
    before = beds()
    run = bench("goodput", "--rates", "1000", "--seconds", "30")
    end = time.monotonic() + 60
    while not {"origin", "sluiced", "wrk", "flood"} <= set(bench.alive()):
        assert time.monotonic() < end and run.poll() is None, run.communicate()
        time.sleep(0.05)
    assert len(beds() - before) >= 2
    run.send_signal(signal.SIGTERM)
    out, err = run.communicate(timeout=60)
    assert (run.returncode, out, err) == (143, "", "")


@pytest.mark.parametrize("sent, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_all(bench, sent, status):
    run = bench("requests", "--scenarios", "plain-13", "--seconds", "60")
    end = time.monotonic() + 60
    while not {"origin", "sluiced", "wrk"} <= set(bench.alive()):
        assert time.monotonic() < end and run.poll() is None, run.communicate()
        time.sleep(0.05)
    run.send_signal(sent)
    out, err = run.communicate(timeout=60)
    assert (run.returncode, out, err) == (status, "", "")


def test_errors_name_what_is_missing(bench, tmp_path):
    cases = [
        (["--scenarios", "plain-14"], "no scenario 'plain-14'; there are plain-13, "),
        (["--build", str(tmp_path)], f"{tmp_path}/bench/origin is missing: make all bench-bins builds it"),
    ]
    for args, error in cases:
        run = bench(*args)
        out, err = run.communicate(timeout=60)
        assert run.returncode == 1 and out == "" and err.startswith(f"bench: {error}"), err


def test_other_answers_are_an_error(origin, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    import check
    import process
    import scenarios
    import subjects

    class Wrong(subjects.Bench):
        def start(self, subject, kind):
            return None, origin.port

    with process.Processes() as processes:
        bench = Wrong(BUILD, tmp_path, processes, process.cpus())
        monkeypatch.setattr(processes, "stop", lambda p: None if p is None else process.Processes.stop(processes, p))
        for scenario in scenarios.SCENARIOS[:4]:
            with pytest.raises(process.Failed, match="answered .404"):
                check.check(bench, scenario, "nginx", None)
