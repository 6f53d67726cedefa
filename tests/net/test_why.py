# SPDX-License-Identifier: Apache-2.0
"""sluice why: the guard's own answer for a packet, with what decides, and no trace of having been asked."""
import ctypes
import json
import mmap
import os
import platform
import re
import struct
import time

import pytest
from conftest import BUILD, PINS, connect, here, run, until


def why(bed, *args):
    found = bed.json("why", *args, *here(bed))
    assert len(found) == 1 and found[0]["interface"] == bed.interface and found[0]["same_program"] is True
    return found[0]


@pytest.mark.parametrize("net, client, gateway", [("10.7.0.0/16", "10.7.0.2", "10.7.0.1"), ("fd07::/64", "fd07::2", "fd07::1")])
def test_why_of_lists(bed, net, client, gateway):
    bed.attach("  rate_limit: {rate: 10/s, burst: 40}\n")
    clean = why(bed, client)
    both = ("{}:{}" if "." in client else "[{}]:{}").format
    assert (clean["source"], clean["destination"]) == (both(client, 40000), both(gateway, 8080))
    assert (clean["packet"], clean["reason"], clean["verdict"], clean["protected"]) == ("TCP SYN", "passed", "PASS", True)
    assert clean["allow"] is None and clean["deny"] is None and clean["feed"] is None and clean["seen"] is None
    assert clean["limits"]["verified"] is False and clean["limits"]["source"] == {"packets": {"left": 40, "burst": 40}}
    bed.sluice("deny", "add", net, "--ttl", "10m", "--note", "scans", "--by", "alice", *here(bed))
    denied_ = why(bed, both(client, 4242), "--proto", "udp", "--to", both(gateway, 53))
    assert (denied_["packet"], denied_["reason"], denied_["verdict"], denied_["protected"]) == ("UDP", "denied", "DROP", False)
    assert (denied_["source"], denied_["destination"]) == (both(client, 4242), both(gateway, 53))
    entry = denied_["deny"]
    assert (entry["prefix"], entry["origin"], entry["by"], entry["why"]) == (net, "operator", "alice", "scans")
    assert 500 < entry["expires_in"] <= 601 and denied_["limits"] is None
    text = bed.sluice("why", client, *here(bed)).stdout
    assert text.startswith(f"{bed.interface}: TCP SYN from {both(client, 40000)} to {both(gateway, 8080)}: denied, DROP. Source on the")
    assert re.search(rf"^  deny +{net}, operator  ends in \d+s  alice: scans$", text, re.M), text
    bed.sluice("allow", "add", client, *here(bed))
    allowed = why(bed, client, "--proto", "icmp")
    assert (allowed["reason"], allowed["verdict"], allowed["packet"]) == ("allowed", "PASS", "ping")
    assert allowed["allow"]["prefix"] == client and allowed["deny"]["prefix"] == net


def test_why_of_a_network_that_is_one_source(bed):
    bed.attach("  ports: [9]\n  rate_limit: {rate: 1/s, burst: 1000, ipv4_prefix: 24}\n")
    bed.inside(bed.client, "hping3", "-q", "-2", "-i", "u500", "-c", "300", "-p", "9", "10.7.0.1", check=False)

    def left(address):
        return why(bed, address)["limits"]["source"]["packets"]["left"]

    assert left("10.7.0.99") < 900
    assert left("10.7.1.2") == 1000


def test_why_of_feeds(bed):
    (bed.path / "bad.netset").write_text("# a feed\n192.0.2.0/24\n2001:db8:bad::/48\n")
    bed.attach(f"  deny: [{{file: {bed.path}/bad.netset, name: bad-ones}}]\n")
    for address in ("192.0.2.77", "2001:db8:bad::77"):
        found = why(bed, address)
        assert (found["reason"], found["feed"], found["deny"]) == ("listed", "bad-ones", None)
    assert why(bed, "198.51.100.1")["feed"] is None
    assert "  feed      bad-ones\n" in bed.sluice("why", "192.0.2.77", *here(bed)).stdout
    # Nothing was counted as that feed's.
    assert bed.reasons()["listed"] == 0


def test_why_of_bans_and_rules(bed):
    bed.attach("  rules:\n    - {deny: [10.7.0.0/16], to: [tcp/22]}\n    - {only: [192.0.2.0/24], to: [tcp/9901]}\n")
    bed.sluice("ban", "add", "fd07::/64", "--ttl", "5m", "--note", "brute force", "--by", "ids", *here(bed))
    found = why(bed, "fd07::2")
    assert (found["reason"], found["rule"]) == ("banned", None)
    assert 200 < found["ban"].pop("expires_in") <= 301
    assert abs(found["ban"].pop("until") - time.time() - 300) < 60
    assert found["ban"] == {"prefix": "fd07::/64", "by": "ids", "reason": "brute force", "offences": 1}
    assert re.search(r"^  ban +fd07::/64  ends in \d+s  ids: brute force, offence 1$", bed.sluice("why", "fd07::2", *here(bed)).stdout, re.M)
    found = why(bed, "10.7.0.2", "--to", "10.7.0.1:22")
    assert (found["reason"], found["ban"]) == ("port_denied", None)
    assert found["rule"] == {"action": "deny", "prefix": "10.7.0.0/16", "port": "tcp/22", "origin": "file"}
    assert why(bed, "10.7.0.2", "--to", "10.7.0.1:22", "--proto", "udp")["reason"] == "passed"
    assert why(bed, "192.0.2.1", "--to", "10.7.0.1:9901")["rule"] == {
        "action": "only", "prefix": "192.0.2.0/24", "port": "tcp/9901", "origin": "file"}
    found = why(bed, "10.7.0.2", "--to", "10.7.0.1:9901")
    assert found["reason"] == "port_denied"
    assert found["rule"] == {"action": "deny", "prefix": "others", "port": "tcp/9901", "origin": "file"}
    text = bed.sluice("why", "10.7.0.2", "--to", "10.7.0.1:9901", *here(bed)).stdout
    assert "  rule      deny others to tcp/9901, file\n" in text


def test_why_of_bans_that_have_ended(bed):
    bed.attach("  bans: {ttl: 1s, escalate: 3x, max_ttl: 10m}\n")

    def ban(prefix, why_):
        begin = time.monotonic()
        bed.sluice("ban", "add", prefix, "--note", why_, "--by", "ids", *here(bed))
        return begin

    assert why(bed, "10.7.0.2")["past_bans"] == []
    ban("10.7.0.2", "scans")
    ban("10.7.0.0/24", "worse")
    ban("10.7.0.3", "another's")
    begin = ban("fd07::/64", "brute force")
    until(lambda: bed.ping() and bed.ping("fd07::1"), "the ends")
    found = why(bed, "10.7.0.2")
    assert (found["reason"], found["ban"]) == ("passed", None)
    for past in found["past_bans"]:
        ended = past.pop("ended_seconds_ago")
        assert 0 <= ended <= time.monotonic() - begin and past.pop("forgotten_in") + ended == 600
    assert found["past_bans"] == [{"prefix": "10.7.0.2", "by": "ids", "reason": "scans", "offences": 1},
                                  {"prefix": "10.7.0.0/24", "by": "ids", "reason": "worse", "offences": 1}]
    text = bed.sluice("why", "fd07::2", *here(bed)).stdout
    assert re.search(r"^  past ban  fd07::/64  ended \d+s ago, forgotten in (5\d\d|600)s  ids: brute force, offence 1$", text, re.M), text
    # The same prefix again: in force, and no past any more. Lifted: forgotten.
    ban("fd07::/64", "again")
    found = why(bed, "fd07::2")
    assert (found["ban"]["offences"], found["ban"]["reason"], found["past_bans"]) == (2, "again", [])
    bed.sluice("ban", "del", "fd07::/64", *here(bed))
    found = why(bed, "fd07::2")
    assert (found["ban"], found["past_bans"]) == (None, [])


def test_why_of_limits(bed):
    bed.attach("  rate_limit: {rate: 1/s, burst: 30}\n")
    bed.inside(bed.client, "ping", "-nq", "-c", 20, "-i", "0.005", "-W1", "10.7.0.1")
    some = why(bed, "10.7.0.2", "--proto", "icmp")
    assert some["reason"] == "passed" and 8 <= some["limits"]["source"]["packets"]["left"] <= 14
    # It goes on meanwhile, or the bucket would fill again.
    bed.start(bed.client, "ping", "-nq", "-c", 10000, "-i", "0.01", "-W1", "10.7.0.1")
    until(lambda: bed.reasons()["limited"] > 50, "the guard's counter")
    none = why(bed, "10.7.0.2", "--proto", "icmp")
    assert (none["reason"], none["verdict"]) == ("limited", "DROP") and none["limits"]["source"]["packets"]["left"] == 0
    assert why(bed, "10.7.0.3", "--proto", "icmp")["reason"] == "passed"
    seen = none["seen"]
    assert seen["dropped"] >= 16 and seen["last_drop"] == "limited" and seen["seconds_ago"] < 30
    assert re.search(r"seen +about \d+ packets, the last \d+s ago; about \d+ dropped, the last as limited \d+s ago",
                     bed.sluice("why", "10.7.0.2", *here(bed)).stdout)


def test_why_of_verified_sources(echo):
    bed = echo
    bed.attach("  rate_limit: {rate: 1/s, burst: 1000}\n")
    assert why(bed, "10.7.0.2", "--ack")["limits"]["verified"] is False

    def verified():
        # By a connection that is established, and is more than a packet.
        connect(bed, "10.7.0.1", 8080, 5)
        return why(bed, "10.7.0.2", "--ack")["limits"]["verified"]

    until(verified, "the source to be known")
    found = why(bed, "10.7.0.2", "--ack")
    assert (found["reason"], found["packet"]) == ("passed", "TCP ACK")
    assert found["limits"]["source"]["packets"]["left"] < 1000
    assert why(bed, "10.7.0.9", "--ack")["limits"]["verified"] is False


def test_an_upgrade_forgets_nobody(echo):
    bed, new = echo, BUILD / "variant-program/sluice"
    bed.attach("  rate_limit: {rate: 1/s, burst: 1000}\n")
    until(lambda: connect(bed, "10.7.0.1", 8080, 5) and
          why(bed, "10.7.0.2", "--ack")["limits"]["verified"], "the source to be known")
    assert "upgraded" in bed.inside(bed.gateway, new, "upgrade", *here(bed)).stdout
    limits = json.loads(bed.inside(bed.gateway, new, "why", "10.7.0.2", "--ack", "--json", *here(bed)).stdout)[0]["limits"]
    assert limits["verified"] is True and limits["source"]["packets"]["left"] < 1000


def test_why_of_bogus_packets_and_shadow(bed):
    bed.attach("  mode: shadow\n  deny: [10.7.0.2]\n")
    assert why(bed, "127.0.0.1")["reason"] == "martian"
    assert why(bed, "10.7.0.1:8080", "--to", "10.7.0.1:8080")["reason"] == "land"
    assert why(bed, "10.7.0.3:0", "--to", "10.7.0.1:8080")["reason"] == "port_zero"
    found = why(bed, "10.7.0.2")
    assert (found["reason"], found["verdict"], found["shadow"]) == ("denied", "PASS", True)
    text = bed.sluice("why", "10.7.0.2", *here(bed)).stdout
    assert ": denied, PASS. " in text and "\n  shadow    DROP if it were enforced: the guard only counts\n" in text
    assert why(bed, "10.7.0.3")["shadow"] is False


def test_why_of_bans_that_only_count(bed):
    bed.attach("  bans: {mode: shadow}\n  deny: [192.0.2.0/24]\n")
    bed.sluice("ban", "add", "10.7.0.2", "192.0.2.1", *here(bed))
    found = why(bed, "10.7.0.2", "--proto", "icmp")
    assert bed.ping() and bed.reasons()["banned"] > 0
    assert (found["reason"], found["verdict"], found["shadow"], found["ban"]["prefix"]) == ("banned", "PASS", True, "10.7.0.2")
    text = bed.sluice("why", "10.7.0.2", *here(bed)).stdout
    assert ": banned, PASS. " in text and "\n  shadow    DROP if it were enforced: bans only count\n" in text
    found = why(bed, "192.0.2.1")
    assert (found["reason"], found["verdict"], found["shadow"]) == ("denied", "DROP", False)


def mapped(pin, info):
    """The bytes of an array that can be mapped."""
    path = ctypes.create_string_buffer(str(pin).encode())
    attr = struct.pack("QII", ctypes.addressof(path), 0, 0)
    bpf = {"x86_64": 321, "aarch64": 280}[platform.machine()]
    fd = ctypes.CDLL(None).syscall(bpf, 7, ctypes.c_char_p(attr), len(attr))  # BPF_OBJ_GET
    assert fd >= 0
    try:
        size = -(-info["max_entries"] * info["bytes_value"] // mmap.PAGESIZE) * mmap.PAGESIZE
        with mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ) as m:
            return m[:]
    finally:
        os.close(fd)


def contents(pin):
    info = json.loads(run("/usr/sbin/bpftool", "-j", "map", "show", "pinned", pin).stdout)
    if info["type"] == "array" and info["flags"] & 1024:
        return mapped(pin, info)
    return run("/usr/sbin/bpftool", "map", "dump", "pinned", pin).stdout


def test_why_changes_nothing(bed):
    """Not one byte of any map, whatever became of the packet."""
    bed.attach("  rate_limit: {rate: 10/s, burst: 20}\n  deny: [192.0.2.0/24]\n  syn_flood: {mode: auto, threshold: 1/s}\n")
    bed.inside(bed.client, "ping", "-nq", "-c", 20, "-i", "0.005", "-W1", "10.7.0.1")
    pins = [p for p in (PINS / bed.interface).iterdir() if p.name not in ("link", "program", "events", "feeds")]
    assert len(pins) > 15

    def dump():
        return {p.name: contents(p) for p in pins}

    def unchanged():
        # Neighbours say something now and then, but not always.
        before = dump()
        for args in (("10.7.0.2", "--proto", "icmp"), ("192.0.2.9",), ("10.7.0.77",), ("10.7.0.78", "--ack")):
            why(bed, *args)
        after = dump()
        return before == after

    until(unchanged, "questions that leave no trace", 120)


def test_why_usage_and_errors(bed):
    for args in (("nonsense",), ("10.7.0.0/16",), ("10.7.0.2:70000",), ("10.7.0.2", "--to", "fd07::1"), ("10.7.0.2", "--proto", "gre"),
                 ("10.7.0.2", "--proto", "udp", "--ack"), ()):
        bed.attach()
        r = bed.sluice("why", *args, *here(bed), check=False)
        assert r.returncode == 2, (args, r.stderr)
        bed.sluice("detach", *here(bed))
    assert bed.sluice("why", "10.7.0.2", *here(bed), check=False).returncode == 3
    bed.attach()
    r = run(BUILD / "sluice", "why", "10.7.0.2", *here(bed), check=False)
    assert r.returncode == 1 and "is not in this network namespace" in r.stderr
    # Another version's program: said, and answered all the same.
    bed.inside(bed.gateway, BUILD / "variant-program/sluice", "upgrade", *here(bed))
    found = bed.json("why", "10.7.0.2", *here(bed))[0]
    assert (found["same_program"], found["reason"]) == (False, "passed")
