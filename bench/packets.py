# SPDX-License-Identifier: Apache-2.0
"""The packet plane: what the guard's ways cost over the empty program, with empty and with filled deny lists."""
import json

from process import Failed

ENTRIES = (0, 1000)
TARGET = {("clean IPv4, protected port", 1000): 100, ("clean IPv6, protected port", 1000): 100}  # ns


def run(options, processes, directory):
    """Measure, print the table; return what goes into the file."""
    out, err = directory / "packet.json", directory / "packet.log"
    process = processes.start([options.build / "bench/packet", str(options.rounds), str(options.seconds * 100000),
                               *map(str, ENTRIES)], 0, err, out)
    if processes.finish(process, 600) != 0:
        raise Failed(f"bench/packet failed (it needs root and a kernel that takes XDP programs): "
                     f"{err.read_text().strip()}")
    ways = json.loads(out.read_text())
    print(f"Nanoseconds a packet over the empty program, sources at random; medians of {options.rounds} rounds, "
          "BPF_PROG_TEST_RUN.\n")
    print(f"{'way':30}" + "".join(f"{f'{n:,} denied':>16}" for n in ENTRIES) + "  target")
    for name in dict.fromkeys(w["way"] for w in ways):
        by_entries = {w["entries"]: w for w in ways if w["way"] == name}
        targets = [f"<= {t} {'met' if by_entries[n]['over_ns'] <= t else 'MISSED'}"
                   for (way, n), t in TARGET.items() if way == name]
        print(f"{name:30}" + "".join(f"{by_entries[n]['over_ns']:16}" for n in ENTRIES) + "  " + ", ".join(targets))
    return {"rounds": options.rounds, "ways": ways}
