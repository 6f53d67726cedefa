# SPDX-License-Identifier: Apache-2.0
"""What `sluiced -t` says of a configuration: everything at once, each thing once."""
import os
import re
import subprocess

from conftest import BUILD, ROOT


def check(tmp_path, text):
    (tmp_path / "a.yaml").write_text(text)
    return subprocess.run([BUILD / "sluiced", "-t", "-c", "a.yaml"], cwd=tmp_path, text=True,
                          capture_output=True, check=False, timeout=30)


def test_filter_errors_beside_all_others(tmp_path):
    r = check(tmp_path, """
version: 1
listners: []
listeners: [{name: a, address: 127.0.0.1:1}]
issuers: [{name: corp, keys: [{algorithm: HS256, secret_file: none}, {algorithm: HS256}]}]
filters: [{jwtt: {}}]
routes:
  - {name: a, to: usrs, filters: [{jwt: {leeway: 5}}]}
  - {name: b, to: users, filters: [{jwt: {issuers: [crp]}}]}
  - {name: c, to: users, filters: [{jwt: {}}]}
  - {name: d, to: users, filters: [{jwt: {}}]}
services: {users: {endpoints: [http://127.0.0.1:1]}}
""")
    assert r.returncode == 1
    assert sorted(r.stderr.splitlines()) == sorted([
        "a.yaml:3:11: listners: unknown key (did you mean 'listeners'?)",
        "a.yaml:8:19: routes[0].to: no service 'usrs' (did you mean 'users'?)",
        "a.yaml:5:70: issuers[0].keys[1]: a key has one of public_key_file and secret_file",
        "a.yaml:6:18: filters[0].jwtt: no filter 'jwtt' (did you mean 'jwt'?)",
        "a.yaml:8:50: routes[0].filters[0].jwt.leeway: '5' is not a duration such as 500ms, 5s or 10m",
        "a.yaml:9:42: routes[1].filters[0].jwt: no issuer 'crp'",
        "a.yaml:5:31: issuers[0].keys[0]: cannot open ./none: No such file or directory",
    ])


def test_the_files_of_feeds_are_read(tmp_path):
    """Also by sluiced --check; and errors of the file itself hide none of theirs."""
    text = """
version: 1
listeners: [{name: a, address: 127.0.0.1:1}]
edge:
  deny:
    - {file: good.netset}
    - {file: bad.netset}
    - {file: none.netset}
    - {mmdb: good.netset, countries: [AQ], name: m}
    - {mmdb: other.mmdb}
    - 192.0.2.300
"""
    (tmp_path / "good.netset").write_text("192.0.2.1\n")
    (tmp_path / "bad.netset").write_text("192.0.2.1\n\n192.0.2.0/33 # ?\n")
    r = check(tmp_path, text)
    assert r.returncode == 1
    lines = r.stderr.splitlines()
    assert lines[:2] == ["a.yaml:10:7: edge.deny[4]: an mmdb needs countries or asns",
                         "a.yaml:11:7: edge.deny[5]: '192.0.2.300' is not an address or prefix such as 10.0.0.0/8"]
    assert lines[2:4] == ["a.yaml:7:7: edge.deny[1]: ./bad.netset:3: '192.0.2.0/33' is not an address or prefix such as 10.0.0.0/8",
                          "a.yaml:8:7: edge.deny[2]: ./none.netset: No such file or directory"]
    assert lines[4].startswith("a.yaml:9:7: edge.deny[3]: ./good.netset: ") and len(lines) == 5
    by_daemon = subprocess.run([BUILD / "sluiced", "--check", "-c", "a.yaml"], cwd=tmp_path, text=True, capture_output=True, check=False)
    assert (by_daemon.returncode, by_daemon.stderr) == (1, r.stderr)
    (tmp_path / "good.netset").write_text("".join(f"{10 + (i >> 16)}.{i >> 8 & 255}.{i & 255}.1\n" for i in range(200000)))
    small = "\n".join(text.splitlines()[:6]) + "\n  feeds: {memory: 1MiB}\n"
    r = check(tmp_path, small)
    assert r.returncode == 1 and r.stderr.startswith("a.yaml: the feeds' 200000 entries take ")
    r = check(tmp_path, small.replace("1MiB", "64MiB"))
    assert (r.returncode, r.stderr) == (0, "")


def test_a_feed_that_never_comes_or_never_ends_is_not_waited_for(tmp_path):
    text = """
version: 1
listeners: [{name: a, address: 127.0.0.1:1}]
edge: {deny: [{file: pipe}, {mmdb: pipe, countries: [AQ], name: m}, {mmdb: /dev/zero, countries: [AQ], name: z}]}
"""
    os.mkfifo(tmp_path / "pipe")
    r = check(tmp_path, text)
    assert r.returncode == 1 and [line.split(": ", 2)[2] for line in r.stderr.splitlines()] == \
        ["./pipe: not a regular file", "./pipe: not a regular file", "/dev/zero: not a regular file"]


def test_errors_of_filters_for_all_routes_without_any_route(tmp_path):
    r = check(tmp_path, """
version: 1
listeners: [{name: a, address: 127.0.0.1:1}]
filters: [{jwt: {}}]
""")
    assert r.returncode == 1
    assert r.stderr == "a.yaml:4:17: filters[0].jwt: the jwt filter needs an issuer under issuers:\n"


def test_ten_thousand_routes_with_one_filter(tmp_path):
    (tmp_path / "key").write_bytes(b"x" * 32)
    routes = "".join(f"  - {{name: r{i}, match: {{path: /r{i}/*}}, to: s}}\n" for i in range(10000))
    r = check(tmp_path, f"""
version: 1
listeners: [{{name: a, address: 127.0.0.1:1}}]
issuers: [{{name: corp, keys: [{{algorithm: HS256, secret_file: key}}]}}]
filters: [{{jwt: {{}}}}]
services: {{s: {{endpoints: [http://127.0.0.1:1]}}}}
routes:
{routes}""")
    assert (r.returncode, r.stderr) == (0, "")


def test_the_full_example_is_full_and_right(tmp_path):
    example = ROOT / "conf/sluice.yaml"
    subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-out", tmp_path / "key.pem"], check=True,
                   stderr=subprocess.DEVNULL)
    subprocess.run(["openssl", "pkey", "-in", tmp_path / "key.pem", "-pubout", "-out", tmp_path / "corp.pem"], check=True)
    r = subprocess.run([BUILD / "sluice", "check", "-c", example], text=True, capture_output=True, check=False,
                       env={**os.environ, "KEYS": str(tmp_path)})
    assert (r.returncode, r.stdout, r.stderr) == (0, f"{example}: no errors\n", "")
    text = example.read_text()
    sources = [*(ROOT / "userspace/conf").glob("load*.c"), *(ROOT / "userspace/filter").glob("*.c")]
    keys = {k for s in sources for k in re.findall(r'^\s*\{"([a-z_]+)", CONF_', s.read_text(), re.M)}
    assert len(keys) > 50
    assert [k for k in sorted(keys) if not re.search(rf"\b{k}\b", text)] == []
