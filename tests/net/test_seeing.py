# SPDX-License-Identifier: Apache-2.0
"""What people see of the guard: status, watch, top, why."""
import re

from conftest import run


def here(bed):
    return "--interface", bed.interface


def test_status_says_what_is_in_the_kernel(bed):
    attached = bed.attach("  deny: [192.0.2.0/24, 198.51.100.7, '2001:db8::/32']\n").stdout
    assert "maps" not in attached
    mine = bed.json("status", *here(bed))[0]
    shown = run("/usr/sbin/bpftool", "-j", "prog", "show", "id", mine["program_id"]).stdout
    assert f'"tag":"{mine["program_tag"]}"' in shown and f'"bytes_jited":{mine["program_bytes"]}' in shown
    assert 0 <= mine["age"] < 60
    deny4 = mine["maps"]["deny4"]
    assert (deny4["type"], deny4["entries"], deny4["max_entries"]) == ("lpm_trie", 2, 65536)
    assert mine["maps"]["deny6"]["entries"] == 1 and mine["maps"]["allow4"]["entries"] == 0
    assert mine["maps"]["ports"]["entries"] is None
    assert 512 * 1024 <= mine["maps"]["ports"]["bytes"] < 1024 * 1024
    assert all(mine["features"][f] for f in ("xdp.frags", "bpf_loop", "ringbuf", "tcp_gen_syncookie"))
    text = bed.sluice("status", *here(bed)).stdout
    assert re.search(rf"  program +{mine['program_id']} ", text)
    assert re.search(rf"  loaded +\d+s ago, tag {mine['program_tag']}, \d+ KiB of machine code\n", text)
    assert re.search(r"    deny4 +lpm_trie +2 of 65536 +1 KiB\n", text)
    assert re.search(r"  kernel +xdp\.frags bpf_loop ", text)
