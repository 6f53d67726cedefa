# SPDX-License-Identifier: Apache-2.0
"""Devices that stand on others: what was asked for, what was obtained, and what would be better."""
import pytest
from conftest import run


@pytest.fixture
def bridge(bed):
    """The gateway's addresses on a bridge, whose only member is the bed's interface."""
    bed.bridge = "slb" + bed.interface[3:]
    if run("ip", "-n", bed.gateway, "link", "add", bed.bridge, "type", "bridge", check=False).returncode:
        pytest.fail("this kernel has no bridges")
    run("ip", "-n", bed.gateway, "link", "set", bed.interface, "master", bed.bridge)
    run("ip", "-n", bed.gateway, "addr", "flush", "dev", bed.interface)
    run("ip", "-n", bed.gateway, "addr", "add", "10.7.0.1/16", "dev", bed.bridge)
    run("ip", "-n", bed.gateway, "link", "set", bed.bridge, "up")
    yield bed
    bed.sluice("detach", "--interface", bed.bridge, check=False)


def test_bridge_is_guarded_in_generic_mode_and_says_why(bridge):
    bed = bridge
    here = ("--interface", bed.bridge)
    r = bed.sluice("attach", *here, "-c", bed.config("  deny: [10.7.0.2]\n"))
    assert r.stderr == (f"sluice: note: {bed.bridge} is a bridge on {bed.interface} and takes no native program "
                        "(Operation not supported), so the guard runs in generic mode\n")
    assert "generic mode (asked for: auto)" in r.stdout and f"  device      bridge on {bed.interface}\n" in r.stdout
    mine = bed.json("status", *here)[0]
    assert (mine["mode"], mine["asked"]) == ("generic", "auto")
    assert not bed.ping()
    bed.sluice("detach", *here)
    assert bed.ping()
    r = bed.sluice("attach", *here, "--mode", "native", "-c", bed.config(), check=False)
    assert r.returncode == 1 and r.stderr.startswith(f"sluice: {bed.bridge} is a bridge on {bed.interface} and takes no")
    r = bed.sluice("attach", *here, "--mode", "generic", "-c", bed.config())
    assert r.stderr == "" and bed.json("status", *here)[0]["asked"] == "generic"


def test_member_is_guarded_before_its_bridge(bridge):
    bed = bridge
    r = bed.attach("  deny: [10.7.0.2]\n")
    assert r.stderr == "" and f"  member of   {bed.bridge} (bridge): packets meet the guard before it\n" in r.stdout
    assert bed.json("status", "--interface", bed.interface)[0]["mode"] == "native"
    assert not bed.ping()


def test_tunnel_is_refused(bed):
    tunnel = "slt" + bed.interface[3:]
    run("ip", "-n", bed.gateway, "tuntap", "add", tunnel, "mode", "tun")
    r = bed.sluice("attach", "--interface", tunnel, "-c", bed.config(), check=False)
    assert (r.returncode, r.stderr) == (1, f"sluice: {tunnel} is not an Ethernet interface\n")
