# SPDX-License-Identifier: Apache-2.0
"""tests/deps.sh on machines where something is missing: made of programs that answer as Debian's do."""
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def machine(tmp_path):
    """deps(*groups, installed=, uid=, update=, install=): status, stderr and what apt-get was asked to do."""

    def program(name, text):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def deps(*groups, installed=(), uid=0, update=0, install=0):
        asked = tmp_path / "asked"
        asked.write_text("")
        program("id", f"echo {uid}")
        program("dpkg-query", f'case " {" ".join(installed)} " in *" $4 "*) echo "install ok installed" ;; *) exit 1 ;; esac')
        program("apt-get", f'echo "$@" >>{asked}\ncase $1 in update) exit {update} ;; *) exit {install} ;; esac')
        r = subprocess.run([ROOT / "tests/deps.sh", *groups], capture_output=True, text=True, check=False,
                           env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
        return r.returncode, r.stderr, asked.read_text().splitlines()

    return deps


RUN = ["python3", "nginx-light", "curl", "iproute2", "hping3", "openssl", "procps"]


def test_nothing_is_missing(machine):
    assert machine("run", installed=RUN) == (0, "", [])


def test_without_root_one_line_says_what_to_do(machine):
    status, text, asked = machine("run", installed=RUN[:-2], uid=1000)
    assert (status, text, asked) == (1, "missing packages; as root: apt-get install openssl procps\n", [])


@pytest.mark.parametrize("update, words", [
    (0, ""),
    (100, "apt-get update failed: trying with the lists of packages that are here\n"),
])
def test_only_what_is_missing_is_installed(machine, update, words):
    status, text, asked = machine("run", installed=RUN[1:], update=update)
    assert (status, text) == (0, words)
    assert asked[0].startswith("update") and asked[1].startswith("install") and asked[1].endswith(" python3")
    assert len(asked) == 2


def test_failures_are_told(machine):
    status, text, _ = machine("run", installed=RUN[1:], install=100)
    assert (status, text) == (1, "could not install python3; see above\n")
    assert machine("nonsense")[:2] == (2, f"{ROOT}/tests/deps.sh: no group 'nonsense'\n")


def test_services_may_start_again(machine):
    before = os.path.exists("/usr/sbin/policy-rc.d")
    machine("run", installed=RUN[1:])
    assert os.path.exists("/usr/sbin/policy-rc.d") == before
