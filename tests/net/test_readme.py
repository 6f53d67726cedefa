# SPDX-License-Identifier: Apache-2.0
"""The commands and the YAML of the README's "The packet plane", as they are printed there, on an interface eth0 of a namespace."""
import json
import os
import re
import secrets

import pytest
from conftest import BUILD, ROOT, run

TEXT = (ROOT / "README.md").read_text().split("## The packet plane\n")[1].split("\n## ")[0]
SECTIONS = dict(s.split("\n", 1) for s in ("Edge\n" + TEXT).split("\n### "))
CODE = {name: [line[4:] for line in text.splitlines() if line.startswith("    ")] for name, text in SECTIONS.items()}

HEAD = """version: 1
listeners: [{name: public, address: "[::]:443"}]
services: {api: {endpoints: [http://127.0.0.1:9000]}}
routes: [{name: all, match: {path: /*}, to: api}]
"""

# What the README's commands call and is not ours; a follower that ends.
OTHERS = """set -e
generate() { echo 198.51.100.77; }
tail() { cat "$2"; }
"""


def commands(name):
    return [re.sub("^# ", "", line) for line in CODE[name] if re.match(r"(# )?(sluice|bpftool|tail|P=|Z\(\))", line)]


def yaml(name):
    return [line for line in CODE[name] if re.match(r"\s*(- |\w+:)", line)]


@pytest.fixture
def shell(tmp_path):
    """shell(lines): what they print, run in the namespace; lists/ and so on are in the current directory."""
    gateway, client = (f"sl-{end}-{secrets.token_hex(4)}" for end in ("gw", "cl"))
    (tmp_path / "lists").mkdir()
    for name in ("lists/drop.netset", "drop.netset"):
        (tmp_path / name).write_text("198.51.100.128/25\n2001:db8:dead::/48\n")
    (tmp_path / "verdicts").write_text(next(line for line in CODE["Bans"] if line.startswith("{")) + "\n203.0.113.9\n")
    (tmp_path / "edge.yaml").write_text(HEAD + "\n".join(CODE["Edge"][:CODE["Edge"].index("sluice detach")]).split("sluice attach")[0])
    for ns in (gateway, client):
        run("ip", "netns", "add", ns)
    run("ip", "link", "add", "eth0", "netns", gateway, "type", "veth", "peer", "name", "eth0", "netns", client)
    for ns, host in ((gateway, 1), (client, 2)):
        run("ip", "-n", ns, "addr", "add", f"192.0.2.{host}/24", "dev", "eth0")
        run("ip", "-n", ns, "link", "set", "eth0", "up")

    def sh(*lines):
        env = {**os.environ, "PATH": f"{BUILD}:{os.environ['PATH']}:/usr/sbin", "SUDO_USER": "alice"}
        return run("nsenter", f"--net=/run/netns/{gateway}", "bash", "-c", OTHERS + "\n".join(lines), cwd=tmp_path, env=env).stdout

    yield sh
    run(BUILD / "sluice", "detach", "--interface", "eth0", check=False)
    for ns in (gateway, client):
        run("ip", "netns", "del", ns)


def why(shell, *args):
    return json.loads(shell(f"sluice why {' '.join(args)} --json"))[0]


def test_readme_commands(shell):
    shell("sluice attach -c edge.yaml", "sluice apply -c edge.yaml", "sluice upgrade", "sluice status; sluice stats; sluice feeds")
    assert len(commands("Lists")) >= 8
    out = shell(*commands("Lists"))
    dumped = json.loads(re.search(r"^\[\{.*?^\]$", out, re.M | re.S)[0])
    shown = re.sub(r",? \.\.\. ", "", "\n".join(CODE["Lists"][CODE["Lists"].index("[{"):CODE["Lists"].index("]") + 1]))
    for part, members in json.loads(shown)[0].items():
        assert dumped[0][part].items() >= members.items()
    assert "198.51.100.9 is on the deny list by 198.51.100.0/24, operator  ends in" in out
    assert why(shell, "203.0.113.7")["reason"] == "passed"
    assert len(commands("Bans")) == 6
    out = shell(commands("Lists")[-4], *commands("Bans"))
    assert "ban: 2 added" not in out and out.count("ban: 1 added\n") == 3
    # The second one by bpftool, although `sluice ban add` was there before.
    assert [why(shell, f"203.0.113.{host}")["reason"] for host in (7, 8)] == ["banned"] * 2
    shell("sluice ban flush")
    assert len(commands("Port rules")) == 6
    shell(*[c for c in commands("Lists") + commands("Bans") if re.match(r"P=|Z\(\)", c)], *commands("Port rules"))
    assert why(shell, "203.0.113.7", "--to", "192.0.2.1:22")["reason"] == "port_denied"
    assert why(shell, "203.0.113.9", "--to", "192.0.2.1:22")["reason"] == "passed"


def test_readme_seeing(shell):
    shell("sluice attach -c edge.yaml", commands("Lists")[0])
    shown = "\n".join(CODE["Seeing"][1:]) + "\n"
    assert re.sub(r"\d+s", "598s", shell(*commands("Seeing"))) == shown


@pytest.mark.parametrize("name", ["Edge", "Feeds", "Bans", "Port rules", "Limits"])
def test_readme_yaml(shell, tmp_path, name):
    lines = yaml(name) if name == "Edge" else ["edge:", *("  " + line for line in yaml(name))]
    if name == "Feeds":
        lines = [line for line in lines if "mmdb" not in line]
    assert len(lines) >= 2
    (tmp_path / "edge.yaml").write_text(HEAD + "\n".join(lines) + "\n")
    shell("sluice check -c edge.yaml")
