# SPDX-License-Identifier: Apache-2.0
"""What is sent to whom, and which ratios of CPU time a request are to be reached."""
import dataclasses

FLOOR = "relay"
PLAIN = ("sluice", "nginx", "haproxy", FLOOR)
POLICY = ("sluice", "haproxy")
PEERS = ("nginx", "haproxy")
CONNECTIONS = 64


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    path: str
    subjects: tuple = PLAIN
    kind: str = "plain"
    close: bool = False
    tokens: int = 0  # 1: the same in each request; more: as many as there are, one after the other
    # Of sluice's CPU a request, at most: over the better peer, over the floor, over its own plain-13.
    targets: dict = dataclasses.field(default_factory=dict)


SCENARIOS = [
    Scenario("plain-13", "plain proxy, 13 B", "/13", targets={"peer": 0.75, "floor": 1.15}),
    Scenario("plain-16k", "plain proxy, 16 KB", "/16k", targets={"peer": 0.75}),
    Scenario("plain-256k", "plain proxy, 256 KB", "/256k", targets={"peer": 0.75}),
    Scenario("close", "one request a connection", "/13", close=True),
    Scenario("jwt-one", "RS256, one token, split, log", "/13", POLICY, "jwt", tokens=1,
             targets={"peer": 0.30, "plain": 1.2}),
    Scenario("jwt-many", "RS256, distinct tokens, split, log", "/13", POLICY, "jwt", tokens=2,
             targets={"peer": 0.65}),
]


def ratios(results, name):
    """sluice's CPU a request in a scenario, over each thing it is compared with that was measured."""
    cpu = {subject: r["cpu_us"]["median"] for subject, r in results[name].items()}
    own = cpu.get("sluice")
    peers = [cpu[p] for p in PEERS if p in cpu]
    against = {
        "peer": min(peers) if peers else None,
        "floor": cpu.get(FLOOR),
    }
    if name.startswith("jwt") and "plain-13" in results:
        against["plain"] = results["plain-13"]["sluice"]["cpu_us"]["median"]
    return {what: own / value for what, value in against.items() if own and value}
