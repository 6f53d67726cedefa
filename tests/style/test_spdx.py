# SPDX-License-Identifier: Apache-2.0
"""Every source names its licence in its head; every header, and every C file without one, says what it owns.

A unit test mirrors a file of userspace/, so its name says that already.
"""
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PATTERNS = ("*.c", "*.h", "*.py", "*.sh", "Makefile", "run")
FOLDERS = ("bpf", "userspace", "loader", "bench", "tests", ".ci")
HEAD_LINES = 2


def sources(root):
    yield root / "Makefile"
    for folder in FOLDERS:
        for pattern in PATTERNS:
            yield from sorted((root / folder).rglob(pattern))


def in_kernel(path, root):
    """Whether a file is compiled into programs for the kernel; a header outside bpf/ is by its name there."""
    name = path.relative_to(root)
    if name.parts[0] == "bpf" or path.name.endswith(".bpf.c"):
        return True
    return path.suffix == ".h" and any(f'#include "{name}"' in p.read_text() for p in path.parent.glob("*.bpf.c"))


def fault(path, root):
    """What is wrong with the head of a file, or None."""
    kernel = in_kernel(path, root)
    licence = "GPL-2.0-only OR BSD-2-Clause" if kernel else "Apache-2.0"
    lines = path.read_text().splitlines() + ["", ""]
    spdx = [n for n, line in enumerate(lines[:HEAD_LINES])
            if "SPDX-License-Identifier: " + licence in line]
    if not spdx:
        return f"no SPDX line of {licence}"
    named = path.with_suffix(".h").exists() or "unit" in path.relative_to(root).parts
    says = path.suffix == ".h" or path.suffix == ".c" and not named
    if says and not lines[spdx[0] + 1].startswith("/*"):
        return "no sentence on what the file owns"
    return None


def test_tree():
    paths = list(sources(ROOT))
    assert len(paths) > 1
    assert [f"{p.relative_to(ROOT)}: {f}" for p in paths if (f := fault(p, ROOT))] == []


@pytest.mark.parametrize("name, text, good", [
    ("userspace/a.c", "/* SPDX-License-Identifier: Apache-2.0 */\n/* Owns a. */\n", True),
    ("userspace/a.c", "/* SPDX-License-Identifier: Apache-2.0 */\nint a;\n", False),
    ("userspace/a.c", "/* Owns a. */\n", False),
    ("userspace/a.c", "", False),
    ("bpf/a.c", "/* SPDX-License-Identifier: Apache-2.0 */\n/* Owns a. */\n", False),
    ("bpf/a.c", "/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */\n/* Owns a. */\n", True),
    ("tests/a.sh", "#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\n", True),
    ("tests/a.sh", "#!/bin/sh\necho\n", False),
])
def test_head(tmp_path, name, text, good):
    path = tmp_path / name
    path.parent.mkdir()
    path.write_text(text)
    assert (fault(path, tmp_path) is None) == good


def test_header_of_a_program(tmp_path):
    (tmp_path / "bench").mkdir()
    header = tmp_path / "bench/a.h"
    header.write_text("/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */\n/* Owns a. */\n")
    assert fault(header, tmp_path) is not None
    (tmp_path / "bench/b.bpf.c").write_text('#include "bench/a.h"\n')
    assert fault(header, tmp_path) is None
