# SPDX-License-Identifier: Apache-2.0
"""Manual pages and completion: made of the tables, so they have all that is there; and real shells complete by them."""
import os
import pty
import re
import select
import shutil
import subprocess
import time

import pytest
from conftest import BUILD, ROOT

PAGES = ["sluice.8", "sluiced.8", "sluice.yaml.5"]
BASH = BUILD / "completion/sluice.bash"


def sluice(*args):
    return subprocess.run([BUILD / "sluice", *args], capture_output=True, text=True, check=True).stdout


def commands():
    """{"deny": ["add", ...], "attach": []}, as --help has them."""
    found = {}
    for line in sluice("--help").splitlines():
        m = re.match(r"  sluice ([a-z]+)(?: ([a-z]+))?", line)
        if m:
            found.setdefault(m[1], []).extend([m[2]] if m[2] else [])
    return found


def options(*command):
    return set(re.findall(r"--([a-z0-9-]+)", sluice(*command, "--help")))


def page(name):
    text = subprocess.run(["mandoc", "-Tascii", BUILD / "man" / name], capture_output=True, check=True).stdout
    return re.sub(rb".\x08", b"", text).decode()


def words(name):
    return re.split(r"[\s,()\[\]=]+", page(name))


@pytest.mark.parametrize("name", PAGES)
def test_page_is_right(name):
    r = subprocess.run(["mandoc", "-Tlint", "-Wwarning", BUILD / "man" / name], capture_output=True, text=True, check=False)
    assert (r.returncode, r.stdout) == (0, "")


def test_wrong_page_is_seen(tmp_path):
    (tmp_path / "page.8").write_text((BUILD / "man/sluice.8").read_text() + ".XX nonsense\n")
    r = subprocess.run(["mandoc", "-Tlint", "-Wwarning", tmp_path / "page.8"], capture_output=True, text=True, check=False)
    assert r.returncode != 0 and "XX" in r.stdout


def test_page_names_commands_options_and_reasons():
    text = words("sluice.8")
    assert len(commands()) >= 9 and commands()["deny"]
    for command, actions in commands().items():
        assert command in text
        assert [a for a in actions if a not in text] == []
        assert [o for o in options(command) if f"--{o}" not in text] == []
    header = (ROOT / "bpf/abi.h").read_text()
    reasons = re.findall(r"GUARD_REASON\([A-Z0-9_]+, ([a-z0-9_]+), [A-Z]+, *\\?\s*\"", header)
    assert len(reasons) > 10
    assert [r for r in reasons if r not in text] == []


def test_page_of_the_daemon_names_its_options():
    usage = subprocess.run([BUILD / "sluiced", "--help"], capture_output=True, text=True, check=True).stdout
    found = re.findall(r"(?<![\w-])--?[a-z]+", usage)
    assert "--config" in found and "-t" in found
    assert [o for o in found if o not in words("sluiced.8")] == []


def test_page_names_every_key():
    text = page("sluice.yaml.5")
    sources = [*(ROOT / "userspace/conf").glob("load*.c"), *(ROOT / "userspace/filter").glob("*.c")]
    keys = {k for s in sources for k in re.findall(r'^\s*\{"([a-z_]+)", CONF_', s.read_text(), re.M)}
    assert len(keys) > 50
    assert [k for k in sorted(keys) if not re.search(rf"(^\s*|\.){k} \(", text, re.M)] == []


def complete(*line):
    """What bash offers for the last word of this line."""
    script = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); "_$1"; printf "%s\\n" "${COMPREPLY[@]}"'
    r = subprocess.run(["bash", "--norc", "-c", script, "bash", BASH, *line], capture_output=True, text=True, check=True)
    assert r.stderr == ""
    return set(r.stdout.split())


def test_bash_completes_commands_and_actions():
    assert complete("sluice", "") == set(commands()) | {"help"}
    assert complete("sluice", "de") == {c for c in commands() if c.startswith("de")} > {"deny"}
    for command, actions in commands().items():
        if actions:
            assert complete("sluice", command, "") == set(actions)


def test_bash_completes_options():
    for command, actions in commands().items():
        offered = [complete("sluice", command, *([a] if a else []), "--") for a in actions or [""]]
        assert {o[2:] for o in set().union(*offered)} == options(command) | {"help"}
    assert complete("sluiced", "--ch") == {"--check"}
    assert complete("sluice", "deny", "--interface", "lo", "fl") == {"flush"}


def test_bash_completes_arguments(tmp_path):
    assert "lo" in complete("sluice", "status", "--interface", "")
    assert complete("sluice", "status", "-i", "lo") == {"lo"}
    assert complete("sluice", "deny", "--interface", "=", "lo") == {"lo"}
    assert "lo" in complete("sluice", "status", "--interface", "=")
    assert complete("sluice", "deny", "--interface", "=", "lo", "fl") == {"flush"}
    # Options come behind the command.
    assert complete("sluice", "--interface", "lo", "") == set()
    assert complete("sluice", "attach", "--mode", "g") == {"generic"}
    (tmp_path / "some.yaml").touch()
    assert complete("sluice", "attach", "-c", f"{tmp_path}/so") == {f"{tmp_path}/some.yaml"}
    assert complete("sluiced", "-c", f"{tmp_path}/so") == {f"{tmp_path}/some.yaml"}


ZSH = """
compdef() { }
_describe() { print -rl -- ${${(P)@[-1]}%%:*} }
_arguments() {
    local what
    print -rl -- ${(M)@:#*--*}
    for what in ${(M)@:#1:*:\\{*\\}}; do eval ${${what#*\\{}%\\}}; done
}
service=$2 words=("${@:2}") CURRENT=$(($# - 1))
source $1
"""


def zsh(*line):
    """What the function has for the last word of this line: names, or descriptions of options."""
    r = subprocess.run(["zsh", "-f", "-c", ZSH, "zsh", BUILD / "completion/_sluice", *line], capture_output=True, text=True, check=True)
    assert r.stderr == ""
    return r.stdout.splitlines()


def zsh_options(*line):
    found = (re.match(r"(?:\([^)]*\))?\*?--([a-z0-9-]+)", o) for o in zsh(*line))
    return {m[1] for m in found if m}


def test_zsh_has_commands_actions_and_options():
    assert set(zsh("sluice", "")) == set(commands())
    for command, actions in commands().items():
        if actions:
            assert {o for o in zsh("sluice", command, "") if "--" not in o} == set(actions)
            assert zsh_options("sluice", command, "--interface", "lo", actions[0], "--") == zsh_options("sluice", command, actions[0], "--")
        for action in actions or [None]:
            place = [command, *([action] if action else [])]
            offered = {o[2:] for o in complete("sluice", *place, "--")}
            assert zsh_options("sluice", *place, "--") == offered, place
    assert "check" in zsh_options("sluiced", "--")


def typed(shell, keys, expected, env):
    """Whether a shell at a terminal, once it has its prompt, answers these keys by what is expected."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execvpe(shell[0], shell, {**os.environ, "TERM": "dumb", "PS1": "READY", "PROMPT": "READY", **env})
    seen, sent, deadline = "", False, time.monotonic() + 20
    try:
        while time.monotonic() < deadline and not (sent and re.search(expected, seen)):
            if select.select([fd], [], [], 0.1)[0]:
                seen += os.read(fd, 4096).decode(errors="replace")
            if not sent and "READY" in seen:
                os.write(fd, keys.encode())
                seen, sent = "", True
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(fd)
    return seen


@pytest.mark.parametrize("keys, expected", [
    ("sluice upg\t", r"upgrade"),
    ("sluice allow fl\t", r"flush"),
    ("sluice attach --fix\t", r"--fix-sysctl"),
    ("sluice status --interface l\t\t", r"\blo\b"),
    ("sluiced --ch\t", r"--check"),
    ("sluice deny --interface lo fl\t", r"flush"),
    ("sluice deny --interface lo add --no\t", r"--note"),
    ("sluice deny --interface=l\t\t", r"\blo\b"),
])
@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_shells_complete_at_a_terminal(shell, keys, expected, tmp_path):
    if shell == "bash":
        (tmp_path / "rc").write_text(f"source {BASH}\nPS1=READY\n")
        command = ["bash", "--noprofile", "--rcfile", str(tmp_path / "rc"), "-i"]
    else:
        shutil.copy(BUILD / "completion/_sluice", tmp_path)
        (tmp_path / ".zshrc").write_text(f"fpath=({tmp_path} $fpath)\nautoload -Uz compinit\ncompinit -u -D\nPS1=READY\n")
        command = ["zsh", "-i"]
    seen = typed(command, keys, expected, {"ZDOTDIR": str(tmp_path), "HOME": str(tmp_path)})
    assert re.search(expected, seen), seen


def test_zsh_offers_no_names_of_arguments():
    text = (BUILD / "completion/_sluice").read_text()
    assert re.search(r"'1:word:\(deny allow only\)'", text) and "(deny allow only ADDRESS" not in text


def test_install(tmp_path):
    def install():
        subprocess.run(["make", "-s", "install", f"DESTDIR={tmp_path}", "PREFIX=/usr",
                        "SAN=1" if BUILD.name == "san" else "SAN=", f"BUILD={outer}"], cwd=ROOT, check=True,
                       stdout=subprocess.DEVNULL, env={k: v for k, v in os.environ.items() if not k.startswith("MAKE")})
    outer = BUILD.parent if BUILD.name == "san" else BUILD
    install()
    for path in ("usr/sbin/sluice", "usr/sbin/sluiced", "usr/share/man/man8/sluice.8", "usr/share/man/man8/sluiced.8",
                 "usr/share/man/man5/sluice.yaml.5", "usr/share/bash-completion/completions/sluice",
                 "usr/share/bash-completion/completions/sluiced", "usr/share/zsh/site-functions/_sluice",
                 "usr/share/doc/sluice/sluice.yaml", "etc/sluice/sluice.yaml"):
        assert (tmp_path / path).is_file(), path
    conf = tmp_path / "etc/sluice/sluice.yaml"
    r = subprocess.run([tmp_path / "usr/sbin/sluice", "check", "-c", conf], capture_output=True, text=True, check=False)
    assert (r.returncode, r.stdout) == (0, f"{conf}: no errors\n")
    # What an operator wrote stays.
    conf.write_text("mine")
    install()
    assert conf.read_text() == "mine"
