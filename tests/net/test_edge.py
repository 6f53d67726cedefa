# SPDX-License-Identifier: Apache-2.0
"""sluice on a real interface: attach, lists, limits, SYN cookies, errors that change nothing."""
import fcntl
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

import pytest
from conftest import BUILD, PASS, PINS, connect, run, until


def bpftool(*args, **more):
    return run("/usr/sbin/bpftool", *args, **more)


def test_attach_status_detach(bed):
    bed.attach("  rate_limit: {rate: 1000/s, burst: 50}\n  syn_flood: {mode: auto, threshold: 20k/s}\n")
    mine = bed.json("status", "--interface", bed.interface)[0]
    assert mine["attached"] is True
    assert mine["mode"] == "native"
    assert (mine["rate"], mine["burst"], mine["syn_mode"], mine["syn_threshold"]) == (1000, 50, "auto", 20000)
    assert f'"id":{mine["program_id"]}' in bpftool("-j", "prog", "show").stdout
    assert bed.ping()
    bed.sluice("detach", "--interface", bed.interface)
    assert not (PINS / bed.interface).exists()
    assert "xdp" not in run("ip", "-n", bed.gateway, "link", "show", bed.interface).stdout
    assert bed.ping()


def test_frames_of_several_pages(bed):
    for ns, dev in ((bed.gateway, bed.interface), (bed.client, bed.peer)):
        run("ip", "-n", ns, "link", "set", dev, "mtu", "9000")
    bed.attach("", "--mode", "native")

    def ping():
        return bed.inside(bed.client, "ping", "-nq", "-c1", "-W1", "-s", 8000, "-M", "do", "10.7.0.1", check=False).returncode == 0

    assert ping()
    bed.sluice("deny", "add", "10.7.0.2", "--interface", bed.interface)
    assert not ping()
    assert bed.json("stats", "--interface", bed.interface)[0]["reasons"]["denied"]["bytes"] == 8042


def seed(bed):
    """Of the program's hashes, from its constants."""
    program = bed.json("status", "--interface", bed.interface)[0]["program_id"]
    ids = json.loads(bpftool("-j", "prog", "show", "id", program).stdout)["map_ids"]
    constants = [i for i in ids if json.loads(bpftool("-j", "map", "show", "id", i).stdout)["name"].endswith(".rodata")]
    return int(re.search(r'"bucket_seed": ?(\d+)', bpftool("-j", "map", "dump", "id", constants[0]).stdout)[1])


def test_nobody_knows_the_seed(bed):
    seeds = set()
    for _ in range(2):
        bed.attach()
        seeds.add(seed(bed))
        bed.sluice("detach", "--interface", bed.interface)
    assert len(seeds) == 2 and 0 not in seeds


def test_generic_mode(bed):
    bed.attach("", "--mode", "generic")
    assert bed.json("status", "--interface", bed.interface)[0]["mode"] == "generic"
    bed.sluice("deny", "add", "10.7.0.2", "--interface", bed.interface)
    assert not bed.ping()


def test_deny_and_allow(bed):
    bed.attach("  deny: [10.7.1.0/24]\n")
    here = ("--interface", bed.interface)
    assert bed.ping() and bed.ping("fd07::1")
    bed.sluice("deny", "add", "10.7.0.2", "fd07::/64", *here)
    assert not bed.ping() and not bed.ping("fd07::1")
    assert bed.reasons()["denied"] >= 2
    bed.sluice("allow", "add", "10.7.0.0/16", *here)
    assert bed.ping()
    assert bed.reasons()["allowed"] >= 1
    bed.sluice("allow", "flush", *here)
    assert not bed.ping()
    entries = bed.json("deny", "list", *here)[0]["entries"]
    assert entries == [{"prefix": "10.7.0.2", "origin": "operator"}, {"prefix": "10.7.1.0/24", "origin": "file"},
                       {"prefix": "fd07::/64", "origin": "operator"}]
    bed.sluice("deny", "del", "10.7.0.2", "fd07::/64", *here)
    assert bed.ping()
    bed.sluice("deny", "flush", *here)
    assert bed.json("deny", "list", *here)[0]["entries"] == []


def test_bpftool_edits_and_shows(bed):
    bed.attach()
    deny4 = PINS / bed.interface / "deny4"
    bpftool("map", "update", "pinned", deny4, "key", "32", "0", "0", "0", "10", "7", "0", "2",
            "value", *16 * ["0"])
    assert not bed.ping()
    dump = json.loads(bpftool("-j", "map", "dump", "pinned", deny4).stdout)
    assert dump[0]["formatted"] == {"key": {"prefixlen": 32, "addr": [10, 7, 0, 2]},
                                    "value": {"origin": "ORIGIN_OPERATOR", "stage": "STAGE_NONE", "prefixlen": 0,
                                              "next_origin": "ORIGIN_OPERATOR", "until": 0, "next_until": 0,
                                              "note": 0, "next_note": 0}}
    bpftool("map", "delete", "pinned", deny4, "key", "32", "0", "0", "0", "10", "7", "0", "2")
    assert bed.ping()
    policy = json.loads(bpftool("-j", "map", "dump", "pinned", PINS / bed.interface / "policy").stdout)
    assert policy[0]["formatted"]["value"]["syn_mode"] == "SYN_OFF"
    counters = json.loads(bpftool("-j", "map", "dump", "pinned", PINS / bed.interface / "counters").stdout)
    assert "denied" in counters[0]["formatted"]["values"][0]["value"]


def test_apply_keeps_what_was_added_by_hand(bed):
    here = ("--interface", bed.interface)
    bed.attach("  deny: [192.0.2.1, 192.0.2.2]\n")
    bed.sluice("deny", "add", "192.0.2.9", *here)
    generation = bed.json("status", *here)[0]["generation"]
    bed.sluice("apply", *here, "-c", bed.config("  deny: [192.0.2.2, 192.0.2.3]\n"))
    assert bed.json("status", *here)[0]["generation"] == generation + 1
    assert f"  generation  {generation + 1}\n" in bed.sluice("status", *here).stdout
    found = {e["prefix"]: e["origin"] for e in bed.json("deny", "list", *here)[0]["entries"]}
    assert found == {"192.0.2.2": "file", "192.0.2.3": "file", "192.0.2.9": "operator"}


def test_apply_that_fails_changes_nothing(bed):
    here = ("--interface", bed.interface)
    bed.attach("  deny: [192.0.2.1]\n  allow: [192.0.2.3]\n")
    before = bed.state(*here), bed.json("deny", "list", *here), bed.json("allow", "list", *here)
    many = ", ".join(f"11.{i >> 16}.{i >> 8 & 255}.{i & 255}" for i in range(65537))
    file = bed.config(f"  allow: [192.0.2.4]\n  deny: [{many}]\n  rate_limit: {{rate: 5/s}}\n")
    r = bed.sluice("apply", *here, "-c", file, check=False)
    assert r.returncode == 1 and "the list is full" in r.stderr
    assert (bed.state(*here), bed.json("deny", "list", *here), bed.json("allow", "list", *here)) == before


def test_add_that_fails_changes_nothing(bed):
    here = ("--interface", bed.interface)
    many = [f"11.{i >> 16}.{i >> 8 & 255}.{i & 255}" for i in range(65535)]
    bed.attach(f"  deny: [{', '.join(many)}]\n")
    before = bed.json("deny", "list", *here)
    assert {e["prefix"] for e in before[0]["entries"]} == set(many)
    r = bed.sluice("deny", "add", "11.0.0.5", "192.0.2.1", "192.0.2.2", *here, check=False)
    assert (r.returncode, r.stderr) == (1, "sluice: 192.0.2.2: the list is full\n")
    assert bed.json("deny", "list", *here) == before


def test_upgrades_let_nothing_through(bed):
    """A hundred of them while a denied source and a welcome one send all the time."""
    run("ip", "-n", bed.client, "addr", "add", "10.7.0.3/16", "dev", bed.peer)
    bed.attach("  deny: [10.7.0.3]\n")
    here = ("--interface", bed.interface)
    bed.sluice("deny", "add", "192.0.2.7", *here)
    listen = ("import json, socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.bind(('10.7.0.1', 7000))\n"
              "seen = {}\nprint('up', flush=True)\n"
              "while True:\n    data, (who, _) = s.recvfrom(64)\n    seen[who] = seen.get(who, 0) + 1\n"
              "    if data == b'end':\n        print(json.dumps(seen), flush=True)\n        break\n")
    server = subprocess.Popen(["nsenter", f"--net=/run/netns/{bed.gateway}", "/usr/bin/python3", "-c", listen],
                              stdout=subprocess.PIPE, text=True)
    assert server.stdout.readline() == "up\n"
    send = ("import socket,sys,time\n"
            "def to(source):\n    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n    s.bind((source, 0))\n"
            "    s.connect(('10.7.0.1', 7000))\n    return s\n"
            "good, bad = to('10.7.0.2'), to('10.7.0.3')\nn = 0\nprint('up', flush=True)\n"
            "import select\n"
            "while not select.select([sys.stdin], [], [], 0.002)[0]:\n    bad.send(b'x')\n    good.send(b'x')\n    n += 1\n"
            "time.sleep(0.2)\ngood.send(b'end')\nprint(n, flush=True)\n")
    client = subprocess.Popen(["nsenter", f"--net=/run/netns/{bed.client}", "/usr/bin/python3", "-c", send],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert client.stdout.readline() == "up\n"
    programs = set()
    for i in range(100):
        sluice = BUILD / ("variant-program/sluice" if i % 2 == 0 else "sluice")
        out = bed.inside(bed.gateway, sluice, "upgrade", *here).stdout
        assert out == f"{bed.interface}: upgraded\n"
        programs.add(bed.json("status", *here)[0]["program_id"])
    sent = int(client.communicate("\n", timeout=60)[0])
    seen, _ = server.communicate(timeout=60)
    assert json.loads(seen) == {"10.7.0.2": sent + 1}
    assert len(programs) == 100 and sent > 100
    assert bed.sluice("upgrade", *here).stdout == f"{bed.interface}: unchanged\n"
    assert bed.reasons()["denied"] == sent, "the counters went on"
    assert len(bed.json("deny", "list", *here)[0]["entries"]) == 2


def test_upgrade_to_another_layout_is_refused(bed):
    bed.attach("  deny: [10.7.0.2]\n")
    here = ("--interface", bed.interface)
    before = bed.state(*here)
    for command in (("upgrade",), ("attach", "-c", bed.config()), ("upgrade",)):
        r = bed.inside(bed.gateway, BUILD / "variant-layout/sluice", *command, *here, check=False)
        assert r.returncode == 1
        assert ("pinned map buckets is of another layout" in r.stderr) == (command[0] == "upgrade"), r.stderr
    assert bed.state(*here) == before
    assert not bed.ping()


def test_bucket_holds_one_source_while_another_is_served(echo):
    bed = echo
    run("ip", "-n", bed.client, "addr", "add", "10.7.0.3/16", "dev", bed.peer)
    bed.attach("  rate_limit: {rate: 50/s, burst: 100}\n")
    bed.inside(bed.client, "hping3", "-q", "-i", "u200", "-c", "3000", "--udp", "-p", "8080", "-a", "10.7.0.3",
               "10.7.0.1", check=False)
    reasons = bed.reasons()
    assert reasons["limited"] > 2000
    assert connect(bed, "10.7.0.1", 8080, 3) == 3


def test_errors_change_nothing(bed):
    here = ("--interface", bed.interface)
    r = bed.sluice("detach", *here, check=False)
    assert (r.returncode, r.stderr) == (3, f"sluice: {bed.interface} is not attached\n")
    r = bed.sluice("stats", *here, check=False)
    assert r.returncode == 3
    bed.attach()
    before = bed.state(*here)
    r = bed.sluice("attach", "-c", bed.config(), check=False)
    assert r.returncode == 1 and "is already attached" in r.stderr
    r = bed.sluice("deny", "add", "10.0.0.1", "10.0.0.300", *here, check=False)
    assert (r.returncode, r.stderr) == (
        2, "sluice deny: '10.0.0.300' is not an address or prefix such as 10.0.0.0/8\n")
    r = bed.sluice("deny", "del", "10.0.0.1", *here, check=False)
    assert (r.returncode, r.stderr) == (3, f"sluice: 10.0.0.1 is not on the deny list of {bed.interface}\n")
    r = bed.sluice("never", "del", "10.0.0.1", *here, check=False)
    assert (r.returncode, r.stderr) == (3, f"sluice: 10.0.0.1 is not on the never list of {bed.interface}\n")
    assert bed.json("deny", "list", *here)[0]["entries"] == []
    assert bed.state(*here) == before
    r = bed.sluice("attach", "--interface", "nowhere0", "-c", bed.config(), check=False)
    assert (r.returncode, r.stderr) == (1, "sluice: there is no interface 'nowhere0'\n")
    bad = bed.config("  deny: [10.0.0.1/8]\n", name="bad.yaml")
    r = bed.sluice("attach", "--interface", "lo", "-c", bad, check=False)
    assert r.returncode == 1 and "edge.deny[0]: '10.0.0.1/8' has bits set behind its prefix" in r.stderr
    r = bed.sluice("frobnicate", check=False)
    assert r.returncode == 2 and "no command 'frobnicate'" in r.stderr


def test_interface_gone(bed):
    bed.attach()
    here = ("--interface", bed.interface)
    bed.sluice("deny", "add", "10.7.0.2", *here)
    run("ip", "-n", bed.gateway, "link", "del", bed.interface)
    assert bed.json("status", *here)[0]["attached"] is False
    assert "has gone" in bed.sluice("status", *here).stdout
    r = bed.sluice("attach", "-c", bed.config(), check=False)
    assert (r.returncode, r.stderr) == (1, f"sluice: there is no interface '{bed.interface}'\n")
    bed.sluice("detach", *here)
    assert not (PINS / bed.interface).exists()


def test_foreign_program(bed):
    run("ip", "-n", bed.gateway, "link", "set", "dev", bed.interface, "xdp", "obj", PASS, "sec", "xdp.frags")
    r = bed.sluice("attach", "-c", bed.config(), check=False)
    assert r.returncode == 1 and "has an XDP program of somebody else" in r.stderr
    assert not (PINS / bed.interface).exists()
    assert "xdp" in run("ip", "-n", bed.gateway, "link", "show", bed.interface).stdout


def test_other_layout_is_refused(bed):
    bed.attach()
    here = ("--interface", bed.interface)
    pin = PINS / bed.interface / "deny4"
    pin.unlink()
    bpftool("map", "create", pin, "type", "hash", "key", "4", "value", "8", "entries", "16", "name", "deny4")
    for command in (["deny", "add", "10.0.0.1"], ["stats"], ["status"]):
        r = bed.sluice(*command, *here, check=False)
        assert r.returncode == 1 and "pinned map deny4 is of another layout" in r.stderr
    r = bed.sluice("attach", "-c", bed.config(), check=False)
    assert r.returncode == 1 and "another layout" in r.stderr
    bed.sluice("detach", *here)


def test_guard_without_a_map_is_attached_all_the_same(bed):
    """An older version's had fewer of them: it is not said to be away, and an upgrade gives it the map."""
    bed.attach("  deny: [10.7.0.2]\n")
    here = ("--interface", bed.interface)
    (PINS / bed.interface / "notes").unlink()
    for command in (["status"], ["deny", "add", "10.0.0.1"], ["attach", "-c", bed.config()], ["status", *here]):
        r = bed.sluice(*command, check=False)
        assert r.returncode == 1 and "there is no pinned map notes: it was attached by another version" in r.stderr, r.stderr
    assert bed.sluice("upgrade").stdout == f"{bed.interface}: upgraded\n"
    assert bed.json("status", *here)[0]["denied"] == 1 and not bed.ping()


def test_many_commands_at_once(bed):
    """While somebody else changes something they wait, and change nothing."""
    bed.attach()
    here = ("--interface", bed.interface)
    lock = os.open(PINS, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    commands = [subprocess.Popen([BUILD / "sluice", "deny", "add", f"192.0.2.{i}", *here], stdout=subprocess.DEVNULL)
                for i in range(20)]
    pids = {str(c.pid) for c in commands}
    until(lambda: pids <= {line.split()[5] for line in pathlib.Path("/proc/locks").read_text().splitlines() if " -> " in line},
          "all at the lock")
    assert bed.json("deny", "list", *here)[0]["entries"] == []
    os.close(lock)
    assert [c.wait(60) for c in commands] == [0] * 20
    assert len(bed.json("deny", "list", *here)[0]["entries"]) == 20


def test_killed_commands_leave_old_or_new(bed):
    """kill -9 at growing delays: afterwards the interface is attached whole, or not at all and can be."""
    for i in range(25):
        p = subprocess.Popen(["nsenter", f"--net=/run/netns/{bed.gateway}", BUILD / "sluice", "attach", "-c",
                              bed.config("  deny: [192.0.2.7]\n")], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        try:
            p.wait(0.002 * i)
        except subprocess.TimeoutExpired:
            os.kill(p.pid, signal.SIGKILL)
            p.wait()
        r = bed.sluice("status", "--interface", bed.interface, "--json", check=False)
        if r.returncode == 0:
            assert json.loads(r.stdout)[0]["denied"] == 1
        else:
            assert r.returncode == 3
            bed.attach()
        bed.sluice("detach", "--interface", bed.interface)
        assert "xdp" not in run("ip", "-n", bed.gateway, "link", "show", bed.interface).stdout


def test_daemon_attaches_applies_and_leaves_attached(bed):
    log = bed.path / "sluiced.log"
    p = subprocess.Popen(["nsenter", f"--net=/run/netns/{bed.gateway}", BUILD / "sluiced", "-c",
                          bed.config("  deny: [10.7.0.2]\n")], stderr=log.open("wb"))
    bed.processes.append(p)
    until(lambda: "serving" in log.read_text(), "sluiced")
    assert f"packet plane: {bed.interface} follows" in log.read_text()
    assert not bed.ping()
    # What is in force counts, not whether the file has changed.
    for n, command in enumerate((["deny", "flush"], ["detach"])):
        bed.sluice(*command, "--interface", bed.interface)
        assert bed.ping()
        p.send_signal(signal.SIGHUP)
        until(lambda: f"generation {n + 2}" in log.read_text(), "the reload")
        assert not bed.ping()
    bed.config("  deny: [192.0.2.1]\n")
    p.send_signal(signal.SIGHUP)
    until(lambda: "generation 4" in log.read_text(), "the reload")
    assert bed.ping()
    p.terminate()
    assert p.wait(40) == 0
    assert bed.json("status", "--interface", bed.interface)[0]["attached"] is True


def test_metrics_of_packets(bed):
    log = bed.path / "sluiced.log"
    file = bed.config("  deny: [10.7.0.2]\n")
    file.write_text(file.read_text().replace("listeners: [", "listeners: [{name: admin, address: 127.0.0.1:9901, role: admin}, "))
    bed.processes.append(subprocess.Popen(["nsenter", f"--net=/run/netns/{bed.gateway}", BUILD / "sluiced", "-c", file],
                                          stderr=log.open("wb")))
    until(lambda: "serving" in log.read_text(), "sluiced")
    assert not bed.ping()

    def get(path):
        return bed.inside(bed.gateway, "curl", "-s", f"http://127.0.0.1:9901{path}").stdout

    text = get("/metrics")
    assert f'sluice_interface_guarded{{interface="{bed.interface}"}} 1\n' in text
    assert f'sluice_packets_total{{interface="{bed.interface}",reason="denied",verdict="DROP"}} 1\n' in text
    assert f'sluice_packet_bytes_total{{interface="{bed.interface}",reason="denied",verdict="DROP"}} 98\n' in text
    # In shadow mode the labels say what happens, not what would.
    here = ("--interface", bed.interface)
    for policy, passing in (("  bans: {mode: shadow}\n", {"banned"}), ("  mode: shadow\n", {"banned", "denied", "cookie_sent"})):
        bed.sluice("apply", *here, "-c", bed.config(policy, name="other.yaml"))
        text = get("/metrics")
        stats = bed.json("stats", *here)[0]["reasons"]
        for reason, verdict in (("banned", "DROP"), ("denied", "DROP"), ("cookie_sent", "TX"), ("passed", "PASS")):
            want = "PASS" if reason in passing else verdict
            for name in ("packets", "packet_bytes"):
                assert f'sluice_{name}_total{{interface="{bed.interface}",reason="{reason}",verdict="{want}"}} ' in text, (policy, reason)
            assert stats[reason]["verdict"] == want
    bed.sluice("apply", *here, "-c", file)
    assert 'reason="banned",verdict="DROP"' in get("/metrics")
    # Two connections of a source that becomes known by the first.
    bed.sluice("apply", *here, "-c", bed.config("  syn_flood: {mode: always}\n", name="other.yaml"))
    for _ in range(2):
        bed.inside(bed.client, "curl", "-s", "-o", "/dev/null", "http://10.7.0.1:8080/")
    text = get("/metrics")
    for event, n in (("syns_seen", 2), ("verified", 1), ("verified_refused", 0)):
        assert f'sluice_packet_events_total{{interface="{bed.interface}",event="{event}"}} {n}\n' in text
    found = json.loads(get("/status"))["interfaces"]
    assert [(i["name"], i["guarded"], i["mode"]) for i in found] == [(bed.interface, True, "native")]
    bed.sluice("detach", "--interface", bed.interface)
    assert f'sluice_interface_guarded{{interface="{bed.interface}"}} 0\n' in get("/metrics")


def test_daemon_serves_without_the_packet_plane(bed):
    file = bed.config("")
    file.write_text(file.read_text().replace(bed.interface, "nowhere0"))
    log = bed.path / "sluiced.log"
    bed.processes.append(subprocess.Popen(["nsenter", f"--net=/run/netns/{bed.gateway}", BUILD / "sluiced", "-c", file],
                                          stderr=log.open("wb")))
    until(lambda: "serving" in log.read_text(), "sluiced")
    assert "packet plane off: there is no interface 'nowhere0'; serving without it" in log.read_text()
    assert bed.inside(bed.client, "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}",
                      "http://10.7.0.1:8080/").stdout == "502"


def test_without_root(anyone):
    for command in ("status", "stats", "detach"):
        r = anyone(BUILD / "sluice", command)
        assert r.returncode in (1, 3)
        if PINS.exists():
            assert r.stderr == "sluice: the packet plane needs root\n"


# Nobody, and root in a container: the first line says why, and requests are served.
@pytest.mark.parametrize("before, why", [
    (["setpriv", "--reuid=65534", "--clear-groups"], "needs root"),
    (["setpriv", "--bounding-set=-bpf,-sys_admin,-net_admin", "--inh-caps=-all"],
     "this kernel refuses packet programs here"),
])
def test_daemon_without_xdp(bed, before, why):
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        config = shutil.copy(bed.config(), directory)
        daemon = shutil.copy(BUILD / "sluiced", directory)
        bed.start(bed.gateway, *before, daemon, "-c", config)
        log = bed.path / "stderr"
        until(lambda: "info: serving" in log.read_text(), "sluiced")
        first = log.read_text().splitlines()[0]
        assert "warn: packet plane off: " in first and why in first and first.endswith("; serving without it")
        assert bed.inside(bed.client, "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}",
                          "http://10.7.0.1:8080/").stdout == "502"


def test_hidden_bpffs_is_explained(bed):
    r = run("ip", "netns", "exec", bed.gateway, BUILD / "sluice", "attach", "-c", bed.config(), check=False)
    assert r.returncode == 1 and "use nsenter --net=/run/netns/NAME" in r.stderr


@pytest.mark.parametrize("name, why", [
    (".new.x", "no interface whose name begins with '.' can be guarded"), ("a/b", "an interface's name has no '/', ':' or white space"), ("a\tb", "an interface's name has no '/', ':' or white space"),
    ("", "an interface's name has 1 to 15 bytes"), ("abcdefghijklmnop", "an interface's name has 1 to 15 bytes")])
def test_a_name_that_cannot_be_pinned(bed, name, why):
    r = bed.sluice("attach", "--interface", name, "-c", bed.config(), check=False)
    assert r.returncode == 2 and r.stderr.startswith(f"sluice attach: {why}: {name}\n"), r.stderr


def test_dotted_interface(bed):
    dotted = bed.interface + ".12"
    run("ip", "-n", bed.gateway, "link", "set", bed.interface, "down")
    run("ip", "-n", bed.gateway, "link", "set", bed.interface, "name", dotted)
    bed.sluice("attach", "--interface", dotted, "-c", bed.config())
    assert bed.json("status", "--interface", dotted)[0]["mode"] == "native"
    assert (PINS / dotted.replace(".", ":")).exists()
    assert f"  pins        {PINS / dotted.replace('.', ':')}\n" in bed.sluice("status").stdout
    bed.sluice("detach", "--interface", dotted)
    assert not (PINS / dotted.replace(".", ":")).exists()
