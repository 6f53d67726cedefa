# SPDX-License-Identifier: Apache-2.0
"""Includes point one way: a folder sees those of lower levels and itself, never its level's other folders."""
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

LEVELS = [
    {"base"},
    {"conf", "metrics"},
    {"edge", "io", "http"},
    {"route", "upstream", "redis", "cache", "observe"},
    {"filter"},
    {"proxy"},
    {"admin"},
    {"daemon"},
]
LEVEL = {folder: level for level, folders in enumerate(LEVELS) for folder in folders}

# Beside the levels: the command line, and the contract of kernel and user space.
LOADER = {"base", "conf", "edge"}
EXTRA = {("loader", "daemon/assemble.h"), ("loader", "daemon/args.h"), ("loader", "filter/filter.h"), ("loader", "bpf/abi.h"), ("edge", "bpf/abi.h"), ("edge", "bpf/feed_format.h"),
         ("edge", "bpf/guard.skel.h")}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]*)"', re.M)


def may_include(folder, header):
    """Whether a file of this folder may include this header, named by its path."""
    target, slash, _ = header.partition("/")
    if not slash or ".." in header.split("/"):
        return False
    if target == folder or (folder, header) in EXTRA:
        return True
    if folder == "loader":
        return target in LOADER
    if folder == "bpf":
        return False
    return target in LEVEL and LEVEL[target] < LEVEL[folder]


def sources(root):
    for top in ("userspace", "loader", "bpf"):
        for path in sorted((root / top).rglob("*.[ch]")):
            yield path, path.relative_to(root / "userspace").parts[0] if top == "userspace" else top


def violations(root):
    found = []
    for path, folder in sources(root):
        name = path.relative_to(root)
        if folder not in LEVEL and folder not in ("loader", "bpf"):
            found.append(f"{name}: no level is known for {folder}/")
            continue
        headers = INCLUDE.findall(path.read_text())
        found += [f"{name}: {h}" for h in headers if not may_include(folder, h)]
        own = f"{folder}/{path.stem}.h"
        if path.suffix == ".c" and own in headers and headers[0] != own:
            found.append(f"{name}: its own header is not the first")
    return found


def test_tree():
    assert list(sources(ROOT)), "no sources"
    assert violations(ROOT) == []


@pytest.mark.parametrize("file, header", [
    ("userspace/base/buf.c", "conf/config.h"),
    ("userspace/conf/load.c", "metrics/metrics.h"),
    ("userspace/http/h1.c", "io/stream.h"),
    ("userspace/route/router.c", "upstream/pool.h"),
    ("userspace/filter/filter.h", "proxy/proxy.h"),
    ("userspace/proxy/conn.c", "daemon/worker.h"),
    ("userspace/proxy/conn.c", "../daemon/worker.h"),
    ("userspace/proxy/conn.c", "conn.h"),
    ("userspace/http/h1.c", "bpf/abi.h"),
    ("userspace/other/other.c", "base/buf.h"),
    ("loader/main.c", "proxy/proxy.h"),
    ("bpf/guard.bpf.c", "base/slice.h"),
])
def test_violation_is_seen(tmp_path, file, header):
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(f'#include <stdint.h>\n  # include "{header}"\n')
    assert len(violations(tmp_path)) == 1


@pytest.mark.parametrize("file, header", [
    ("userspace/base/buf.c", "base/buf.h"),
    ("userspace/upstream/pool.h", "io/stream.h"),
    ("userspace/edge/maps.c", "bpf/abi.h"),
    ("userspace/daemon/main.c", "base/log.h"),
    ("loader/check.c", "daemon/assemble.h"),
    ("loader/deny.c", "edge/lists.h"),
    ("bpf/guard.bpf.c", "bpf/abi.h"),
])
def test_way_down_is_free(tmp_path, file, header):
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(f'#include "{header}"\n')
    assert violations(tmp_path) == []


def test_own_header_comes_first(tmp_path):
    path = tmp_path / "userspace/conf/load.c"
    path.parent.mkdir(parents=True)
    path.write_text('#include "base/buf.h"\n#include "conf/load.h"\n')
    assert violations(tmp_path) == ["userspace/conf/load.c: its own header is not the first"]
