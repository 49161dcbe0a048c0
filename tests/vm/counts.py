#!/usr/bin/env python3
"""Prints as a table what tests/vm/knobs has counted: medians a second, or totals of works that take no time of their own.

    tests/vm/counts.py FILE
"""

import json
import statistics
import sys


def numbers(entry):
    """The counts of one measurement as name: number; those of a duration are counts a second."""
    seconds, outcome = entry.get("seconds"), entry["outcome"]
    if seconds is None:
        return outcome
    found = {"replies": (outcome or 0) / seconds}
    found |= {f"worker: {name}": value / seconds for name, value in entry["workers"].items()}
    found |= {f"on workers' CPUs: {name}": value / seconds for name, value in entry["workers' CPUs"].items()}
    for name in ("network interrupts", "softirq NET_RX"):
        found |= {f"on CPU {cpu}: {name}": value / seconds for cpu, value in enumerate(entry["other CPUs"][name])}
    return found


def main(path):
    entries = [json.loads(line) for line in open(path)]
    rows = {}
    for entry in entries:
        for name, value in numbers(entry).items():
            rows.setdefault((entry["row"], entry["work"], name), {}).setdefault(entry["side"], []).append(value)
    for row, work in dict.fromkeys((row, work) for row, work, _ in rows):
        print(f"\n{row}: {work}")
        for (_, _, name), sides in ((key, sides) for key, sides in rows.items() if key[:2] == (row, work)):
            medians = {side: statistics.median(values) for side, values in sides.items()}
            if any(value >= 0.5 for value in medians.values()):
                print(f"  {name:44}" + "".join(f"  {side} {value:.1f}" for side, value in medians.items()))
        foreign = {}
        for entry in entries:
            if (entry["row"], entry["work"]) == (row, work):
                foreign.setdefault(entry["side"], set()).update(entry.get("strangers", {}))
        for side, names in foreign.items():
            print(f"  others on the workers' CPUs, {side}: {', '.join(sorted(names)) or 'nobody'}")


main(sys.argv[1])
