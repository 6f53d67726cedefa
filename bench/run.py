# SPDX-License-Identifier: Apache-2.0
"""The benchmark's one command: bench/run.py [SUITE]..., which `make bench` calls. Every suite prints its table and
writes build/bench/SUITE.json. All that was started has ended when this ends, also by Ctrl-C."""
import argparse
import json
import pathlib
import signal
import sys
import tempfile
import time

import goodput
import packets
import proxying
from process import Failed, Processes

# A suite is run(options, processes, directory) → what its JSON file holds.
SUITES = {"requests": proxying.run, "packets": packets.run, "goodput": goodput.run}
DEFAULT = ("requests", "packets")


def words(text):
    return text.replace(",", " ").split()


def positive(text):
    n = int(text)
    if n < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return n


def parse():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(SUITES)}; default: {' '.join(DEFAULT)}")
    p.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build"), help="what is measured")
    p.add_argument("--out", type=pathlib.Path, help="where the JSON goes; default: BUILD/bench")
    p.add_argument("--scenarios", type=words, default=[], help="names, separated by commas; default: all")
    p.add_argument("--rounds", type=positive, default=5)
    p.add_argument("--seconds", type=positive, default=3, help="of a run")
    p.add_argument("--entries", type=lambda text: [packets.size(w) for w in words(text)], default=[],
                   help="list sizes of the packets suite, separated by commas: by hand, or by hand + in a feed")
    p.add_argument("--rates", type=lambda text: [int(w) for w in words(text)], default=[],
                   help="SYNs a second of the goodput suite, separated by commas")
    p.add_argument("--tokens", type=positive, default=10000, help="distinct ones")
    options = p.parse_args()
    unknown = [s for s in options.suites if s not in SUITES]
    if unknown:
        p.error(f"no suite '{unknown[0]}'; there are {', '.join(SUITES)}")
    options.build = options.build.resolve()
    options.out = options.out or options.build / "bench"
    return options


def main():
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.suites or DEFAULT:
        with tempfile.TemporaryDirectory(prefix="sluice-bench.") as directory, Processes() as processes:
            result = SUITES[name](options, processes, pathlib.Path(directory))
        path = options.out / f"{name}.json"
        path.write_text(json.dumps({"date": time.strftime("%FT%TZ", time.gmtime()), **result}, indent=1) + "\n")
        print(f"\nwritten: {path}")


if __name__ == "__main__":
    try:
        main()
    except Failed as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
