"""Compares reports of one suite on two servers, as a table; lists what only Roster fails, which is the exit status.

Usage: compare.py SUITE REAL [NAME REAL.xml ROSTER.xml]...
"""

import collections
import sys
import xml.etree.ElementTree

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


def load(path: str) -> dict[str, tuple[str, str]]:
    """The outcome of each test, and the first line of what it said."""
    outcomes, seen = {}, collections.Counter()
    for test in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
        outcome, text = PASSED, ""
        for child in test:
            if child.tag in ("failure", "error"):
                outcome, text = FAILED, (child.get("message") or child.text or "").strip().splitlines()[:1]
                text = text[0] if text else ""
            elif child.tag == "skipped" and outcome == PASSED:
                outcome = SKIPPED
        name = f"{test.get('classname')}.{test.get('name')}"
        seen[name] += 1
        # Tests of one name are told apart by their order.
        outcomes[name if seen[name] == 1 else f"{name} #{seen[name]}"] = (outcome, text)
    assert outcomes, f"{path} has no tests"
    return outcomes


def main() -> int:
    suite, real, *reports = sys.argv[1:]
    worse = []
    print(f"| {suite} | Server | Passed | Failed | Skipped |\n|---|---|---:|---:|---:|")
    for name, real_path, roster_path in zip(reports[::3], reports[1::3], reports[2::3]):
        sides = {real: load(real_path), "Roster": load(roster_path)}
        for server, outcomes in sides.items():
            counts = collections.Counter(outcome for outcome, _ in outcomes.values())
            print(f"| {name} | {server} | {counts[PASSED]} | {counts[FAILED]} | {counts[SKIPPED]} |")
        for test, (outcome, text) in sides["Roster"].items():
            before = sides[real].get(test, (SKIPPED, ""))[0]
            if outcome == FAILED and before != FAILED:
                worse.append(f"{name} {test} ({before} there): {text}")
    print(f"\n{len(worse)} fail only on Roster", *worse, sep="\n")
    return 1 if worse else 0


sys.exit(main())
