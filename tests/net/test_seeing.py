# SPDX-License-Identifier: Apache-2.0
"""What people see of the guard: status, watch."""
import json
import re
import signal
import socket
import subprocess
import time

import pytest
from conftest import BUILD, PINS, here, run, until


def test_status_says_what_is_in_the_kernel(bed):
    attached = bed.attach("  deny: [192.0.2.0/24, 198.51.100.7, '2001:db8::/32']\n").stdout
    bed.sluice("ban", "add", "203.0.113.1", "203.0.113.2", *here(bed))
    bed.sluice("rule", "add", "deny", "203.0.113.1", "tcp/22", *here(bed))
    assert "maps" not in attached
    mine = bed.json("status", *here(bed))[0]
    shown = run("/usr/sbin/bpftool", "-j", "prog", "show", "id", mine["program_id"]).stdout
    assert f'"tag":"{mine["program_tag"]}"' in shown and f'"bytes_jited":{mine["program_bytes"]}' in shown
    assert -2 < time.time() - mine["since"] < 60
    deny4 = mine["maps"]["deny4"]
    assert (deny4["type"], deny4["entries"], deny4["max_entries"]) == ("lpm_trie", 2, 65536)
    assert mine["maps"]["deny6"]["entries"] == 1 and mine["maps"]["allow4"]["entries"] == 0
    assert [mine["maps"][m]["entries"] for m in ("bans", "rules")] == [2, 1]
    assert mine["maps"]["ports"]["entries"] is None
    assert 512 * 1024 <= mine["maps"]["ports"]["bytes"] < 1024 * 1024
    assert all(mine["features"][f] for f in ("xdp.frags", "bpf_loop", "ringbuf", "tcp_gen_syncookie"))
    text = bed.sluice("status", *here(bed)).stdout
    assert re.search(rf"  program +{mine['program_id']} ", text)
    assert re.search(rf"  loaded +\d+s ago, tag {mine['program_tag']}, \d+ KiB of machine code\n", text)
    assert re.search(r"    deny4 +lpm_trie +2 of 65536 +1 KiB\n", text)
    assert re.search(r"  kernel +xdp\.frags bpf_loop ", text)


class Watch:
    """sluice watch as it runs: wait for its lines, end it."""

    def __init__(self, bed, *args):
        self.process = subprocess.Popen(["nsenter", f"--net=/run/netns/{bed.gateway}", BUILD / "sluice", "watch",
                                         *here(bed), *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        bed.processes.append(self.process)
        lease = PINS / bed.interface / "watch"
        until(lambda: watched_until(lease) > 0 or self.process.poll() is not None, "the lease")

    def end(self):
        """(exit status, output, what it says at the end)"""
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err.decode()


def watched_until(pin):
    return json.loads(run("/usr/sbin/bpftool", "-j", "map", "lookup", "pinned", pin, "key", 0, 0, 0, 0).stdout
                      )["formatted"]["value"]["until"]


def denied(bed):
    return bed.reasons()["denied"]


def deny_and_ping(bed, n):
    """n pings of a denied address have reached the guard."""
    before = denied(bed)
    bed.inside(bed.client, "ping", "-nq", "-c", n, "-i", "0.01", "-W1", "10.7.0.1", check=False)
    until(lambda: denied(bed) >= before + n, "the guard's counter")


def send(bed, family, address, port):
    """A datagram, from port 4242."""
    code = (f"import socket; s = socket.socket({int(family)}, socket.SOCK_DGRAM); s.bind(('', 4242))\n"
            f"s.sendto(b'hello', ('{address}', {port}))")
    bed.inside(bed.client, "/usr/bin/python3", "-c", code)


def test_watch_shows_what_is_dropped(bed):
    bed.attach()
    bed.sluice("deny", "add", "10.7.0.0/24", "--note", "scans", "--by", "alice", *here(bed))
    watch = Watch(bed, "--json", "--count", 3)
    deny_and_ping(bed, 3)
    bed.inside(bed.client, "ping", "-nq", "-c1", "-W1", "fd07::1")  # passes, and is not asked for
    out, err = watch.process.communicate(timeout=20)
    assert watch.process.returncode == 0
    events = [json.loads(line) for line in out.splitlines()]
    assert len(events) == 3
    for e in events:
        assert (e["interface"], e["reason"], e["verdict"], e["protocol"]) == (bed.interface, "denied", "DROP", "icmp")
        assert (e["source"], e["destination"], e["bytes"]) == ("10.7.0.2", "10.7.0.1", 98)
        assert e["entry"] == {"prefix": "10.7.0.0/24", "origin": "operator", "by": "alice", "why": "scans"}
        assert abs(e["time_ns"] / 1e9 - time.time()) < 60
    assert err.decode().startswith("3 packets shown, 0 more were over the rate")


def test_what_a_shadow_mode_lets_pass_is_not_dropped(bed):
    bed.attach("  mode: shadow\n  deny: [10.7.0.2]\n")
    watch = Watch(bed, "--json", "--count", 1)
    assert bed.ping()
    out, _ = watch.process.communicate(timeout=20)
    event = json.loads(out)
    assert (event["reason"], event["verdict"]) == ("denied", "PASS")
    assert bed.json("top", "--once", "--interval", "100ms", *here(bed))[0]["reasons"]["denied"]["verdict"] == "PASS"


def test_watch_as_text_with_ports_of_both_families(bed):
    bed.attach("  deny: [10.7.0.2, 'fd07::/64']\n")
    # The gateway's answers to the neighbour's questions would be dropped.
    mac = json.loads(run("ip", "-n", bed.gateway, "-j", "link", "show", bed.interface).stdout)[0]["address"]
    run("ip", "-n", bed.client, "neigh", "replace", "fd07::1", "lladdr", mac, "dev", bed.peer)
    watch = Watch(bed)
    for family, address in ((socket.AF_INET, "10.7.0.1"), (socket.AF_INET6, "fd07::1")):
        send(bed, family, address, 5353)
    until(lambda: denied(bed) >= 2, "the guard's counter")
    code, out, err = watch.end()
    assert code == 0, err
    text = out.decode()
    at = rf"\d\d:\d\d:\d\d\.\d{{6}} {bed.interface} denied udp"
    assert re.search(rf"^{at} 10\.7\.0\.2:4242 > 10\.7\.0\.1:5353 length 47  10\.7\.0\.2, file$", text, re.M), text
    assert re.search(rf"^{at} \[fd07::2\]:4242 > \[fd07::1\]:5353 length 67  fd07::/64, file$", text, re.M), text


def test_watch_names_bans_and_feeds(bed):
    (bed.path / "bad.netset").write_text("10.7.0.4\n")
    bed.attach(f"  deny: [{{file: {bed.path}/bad.netset, name: bad-ones}}]\n")
    bed.sluice("ban", "add", "10.7.0.3", "--note", "brute force", "--by", "ids", *here(bed))
    for host in (3, 4):
        run("ip", "-n", bed.client, "addr", "add", f"10.7.0.{host}/16", "dev", bed.peer)
    for args in (("--json",), ()):
        watch = Watch(bed, "--count", 2, *args)
        assert not bed.ping(source="10.7.0.3") and not bed.ping(source="10.7.0.4")
        out, _ = watch.process.communicate(timeout=20)
        banned, listed = out.decode().splitlines()
        if args:
            banned, listed = json.loads(banned), json.loads(listed)
            assert (banned["reason"], banned["ban"]["by"], banned["ban"]["reason"], banned["feed"]) == ("banned", "ids", "brute force", None)
            assert (listed["reason"], listed["feed"], listed["ban"], listed["entry"]) == ("listed", "bad-ones", None, None)
        else:
            assert re.search(r" banned icmp 10\.7\.0\.3 > .*  10\.7\.0\.3  ends in \d+s  ids: brute force, offence 1$", banned), banned
            assert re.search(r" listed icmp 10\.7\.0\.4 > .*  feed bad-ones$", listed), listed


def test_watch_names_rules(bed):
    """Also one that is younger than the watch; and what denies a port to all others."""
    bed.attach("  rules: [{deny: [10.7.0.0/16], to: [udp/5353]}, {only: [192.0.2.0/24], to: [udp/9901]}]\n")
    rules = [{"action": "deny", "prefix": "10.7.0.0/16", "port": "udp/5353", "origin": "file"},
             {"action": "deny", "prefix": "others", "port": "udp/9901", "origin": "file"},
             {"action": "deny", "prefix": "fd07::/64", "port": "udp/5353", "origin": "operator", "by": "alice", "why": "printers"}]
    for args in (("--json",), ()):
        watch = Watch(bed, "--count", 3, *args)
        send(bed, socket.AF_INET, "10.7.0.1", 5353)
        send(bed, socket.AF_INET, "10.7.0.1", 9901)
        bed.sluice("rule", "add", "deny", "fd07::/64", "udp/5353", "--note", "printers", "--by", "alice", *here(bed))
        assert rules[2] in bed.json("rule", "list", *here(bed))[0]["rules"]
        send(bed, socket.AF_INET6, "fd07::1", 5353)
        out, _ = watch.process.communicate(timeout=20)
        lines = out.decode().splitlines()
        if args:
            events = [json.loads(line) for line in lines]
            assert [(e["reason"], e["rule"], e["entry"], e["ban"]) for e in events] == [("port_denied", r, None, None) for r in rules]
        else:
            for line, r in zip(lines, rules, strict=True):
                note = f"  {r['by']}: {r['why']}" if "by" in r else ""
                assert line.endswith(f"  deny {r['prefix']} to {r['port']}, {r['origin']}{note}") and " port_denied udp " in line, line
        bed.sluice("rule", "flush", *here(bed))
        bed.sluice("apply", "-c", bed.path / "edge.yaml", *here(bed))


def test_watch_writes_captures(bed):
    bed.attach("  deny: [10.7.0.2]\n")
    watch = Watch(bed, "--pcap", "-", "--count", 2)
    deny_and_ping(bed, 2)
    out, _ = watch.process.communicate(timeout=20)
    assert watch.process.returncode == 0
    shown = subprocess.run(["tcpdump", "-nn", "-tt", "--nano", "-r", "-"], input=out, capture_output=True, check=True)
    lines = shown.stdout.decode().splitlines()
    assert len(lines) == 2
    for line in lines:
        m = re.fullmatch(r"(\d+\.\d{9}) IP 10\.7\.0\.2 > 10\.7\.0\.1: ICMP echo request, id \d+, seq \d+, length 64", line)
        assert m and abs(float(m[1]) - time.time()) < 60, line
    # To a file, too; and larger frames are cut, their length is kept.
    file = bed.path / "dropped.pcap"
    watch = Watch(bed, "--pcap", file, "--count", 1)
    bed.inside(bed.client, "ping", "-nq", "-c1", "-W1", "-s", 1000, "10.7.0.1", check=False)
    watch.process.communicate(timeout=20)
    assert file.stat().st_size == 24 + 16 + 128
    assert int.from_bytes(file.read_bytes()[36:40], "little" if file.read_bytes()[:1] == b"\x4d" else "big") == 1042


def test_watch_passes_and_reasons(bed):
    bed.attach("  deny: [10.7.0.2]\n")
    watch = Watch(bed, "--reason", "mal,limited", "--passes", "--json")
    deny_and_ping(bed, 3)
    bed.inside(bed.client, "ping", "-nq", "-c", 40, "-i", "0.01", "-W1", "fd07::1")
    code, out, _ = watch.end()
    events = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and {e["verdict"] for e in events} == {"PASS"}
    assert any(e["source"] == "fd07::2" and e["reason"] == "passed" for e in events)


def test_watch_keeps_to_its_rate(bed):
    bed.attach("  deny: [10.7.0.2]\n")
    begin = time.monotonic()
    watch = Watch(bed, "--rate", "20/s", "--json")
    deny_and_ping(bed, 200)
    code, out, err = watch.end()
    shown = len(out.splitlines())
    assert code == 0 and 2 <= shown <= 2 + 20 * (time.monotonic() - begin) + 1
    m = re.match(r"(\d+) packets shown, (\d+) more were over the rate, 0 were lost", err)
    assert int(m[1]) == shown and int(m[1]) + int(m[2]) >= 200


def test_watch_is_one_and_a_killed_one_ends(bed):
    bed.attach("  deny: [10.7.0.2]\n")
    watch = Watch(bed)
    r = bed.sluice("watch", *here(bed), check=False)
    assert (r.returncode, r.stderr) == (1, f"sluice: {bed.interface}: somebody else is watching\n")
    watch.process.kill()
    watch.process.wait()
    lease = PINS / bed.interface / "watch"

    def ended():
        deny_and_ping(bed, 1)
        return watched_until(lease) == 0

    until(ended, "the end of the lease")
    watch = Watch(bed, "--count", 1)
    deny_and_ping(bed, 1)
    assert watch.process.wait(20) == 0
    assert watched_until(lease) == 0


@pytest.mark.parametrize("again", [False, True])
def test_watch_ends_with_its_guard(bed, again):
    bed.attach("  deny: [10.7.0.2]\n")
    watch = Watch(bed)
    bed.sluice("upgrade", *here(bed))
    deny_and_ping(bed, 1)
    assert watch.process.stdout.readline().split()[1:3] == [bed.interface.encode(), b"denied"]
    bed.sluice("detach", *here(bed))
    if again:
        bed.attach("  deny: [10.7.0.2]\n")
    out, err = watch.process.communicate(timeout=20)
    assert (watch.process.returncode, out) == (1, b"")
    assert err.decode() == (f"sluice: {bed.interface}: the guard was detached, attached anew or upgraded, "
                            "and this does not see it any more\n")


def test_a_capture_that_cannot_be_made_is_no_missing_guard(bed):
    bed.attach()
    r = bed.sluice("watch", "--pcap", "/nonexistent/x", *here(bed), check=False)
    assert (r.returncode, r.stderr) == (1, "sluice: /nonexistent/x: No such file or directory\n")
    bed.sluice("detach", *here(bed))
    assert bed.sluice("watch", "--pcap", "/nonexistent/x", *here(bed), check=False).returncode == 3


@pytest.mark.parametrize("args, said", [
    (("--reason", "nonsense"), "not a reason"),
    (("--rate", "0/s"), "not a rate"),
    (("--count", "0"), "not a number from 1"),
])
def test_watch_usage(bed, args, said):
    r = bed.sluice("watch", *args, check=False)
    assert r.returncode == 2 and said in r.stderr


def test_watch_ends_with_its_reader(bed):
    bed.attach("  deny: [10.7.0.2]\n")
    watch = Watch(bed)
    watch.process.stdout.close()
    deny_and_ping(bed, 2)
    assert watch.process.wait(20) == 0
