# SPDX-License-Identifier: Apache-2.0
"""Medians, spread and the table."""
import statistics

from scenarios import SCENARIOS, ratios

FIGURES = ("req_s", "p50_ms", "p99_ms", "cpu_us", "machine_us", "others")


def summarize(runs):
    """{scenario: {subject: {figure: {median, low, high, spread}}}}; spread is half the range over the median."""
    groups = {}
    for run in runs:
        groups.setdefault(run["scenario"], {}).setdefault(run["subject"], []).append(run)
    return {scenario: {subject: {f: _summary([r[f] for r in rs]) for f in FIGURES}
                       for subject, rs in subjects.items()}
            for scenario, subjects in groups.items()}


def _summary(values):
    median = statistics.median(values)
    low, high = min(values), max(values)
    return {"median": median, "low": low, "high": high,
            "spread": (high - low) / 2 / median if median else 0}


def verdicts(results):
    """{scenario: {against: {ratio, target, met}}}"""
    out = {}
    for s in SCENARIOS:
        if s.name not in results:
            continue
        out[s.name] = {}
        for what, ratio in ratios(results, s.name).items():
            target = s.targets.get(what)
            out[s.name][what] = {"ratio": ratio, "target": target,
                                 "met": None if target is None else ratio <= target}
    return out


HEAD = ("scenario", "subject", "req/s", "p50 ms", "p99 ms", "CPU us", "+-", "machine us", "/ peer", "/ floor",
        "/ plain", "target")


def table(results, checked):
    rows = [HEAD]
    for s in SCENARIOS:
        title = s.title
        for subject in s.subjects:
            r = results.get(s.name, {}).get(subject)
            if not r:
                continue
            v = checked[s.name] if subject == "sluice" else {}
            targets = [f"{what} <= {x['target']:.2f} {'met' if x['met'] else 'MISSED'}"
                       for what, x in v.items() if x["target"] is not None]
            rows.append((
                title, subject, f"{r['req_s']['median']:,.0f}", f"{r['p50_ms']['median']:.2f}",
                f"{r['p99_ms']['median']:.2f}", f"{r['cpu_us']['median']:.2f}",
                f"{r['cpu_us']['spread']:.0%}", f"{r['machine_us']['median']:.1f}",
                *(f"{v[what]['ratio']:.2f}" if what in v else "" for what in ("peer", "floor", "plain")),
                ", ".join(targets)))
            title = ""
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
    lines = []
    for n, row in enumerate(rows):
        if n and row[0]:
            lines.append("")
        left = (0, 1, len(HEAD) - 1)
        lines.append("  ".join(cell.ljust(w) if i in left else cell.rjust(w)
                               for i, (cell, w) in enumerate(zip(row, widths))).rstrip())
    return "\n".join(lines)
