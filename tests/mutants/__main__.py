"""`python -m tests.mutants [NAME or KIND …]`: run mutants and say what became of each; exit 1 below 95 % caught.

What was found of each the last time stands in bench/results/mutants.json.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from tests.mutants import running
from tests.mutants.catalogue import ROOT, Mutant, Stale, chosen, load

CAUGHT_MIN = 0.95
RESULTS = ROOT / "bench" / "results" / "mutants.json"


def main(names: list[str]) -> int:
    mutants = chosen(names)
    with running.copied() as tree:
        red = _red_without(tree, mutants)
        if red:
            print("These fail without any bug, so they say nothing about one:", *sorted(red), sep="\n  ", flush=True)
        found = [_told(tree, mutant, red) for mutant in mutants]
    counts = Counter(each["verdict"] for each in found)
    share = counts["caught"] / len(found)
    print(f"{counts['caught']} of {len(found)} caught ({share:.1%})")
    print(
        *(f"  {each['verdict']}: {each['name']}: {each['says']}" for each in found if each["verdict"] != "caught"),
        sep="\n",
    )
    return 0 if share >= CAUGHT_MIN and not (counts["stale"] or red) else 1


def _red_without(tree: Path, mutants: list[Mutant]) -> frozenset[str]:
    """Those of their tests that fail on the tree as it is."""
    tests = sorted({test for mutant in mutants for test in mutant.caught_by})
    print(f"{len(mutants)} mutants; first their {len(tests)} tests without any", flush=True)
    seen = running.run(tree, tests, stop_at_first=False)
    if not seen.passed:
        raise SystemExit((tree.parent / "output").read_text()[-2000:])
    return frozenset((*seen.failed, *seen.broken))


def _told(tree: Path, mutant: Mutant, red: frozenset[str]) -> dict[str, object]:
    began = time.monotonic()
    by, verdict = "", "stale"
    try:
        with running.mutated(tree, mutant):
            seen = running.run(tree, mutant.caught_by, stop_at_first=True, but=red)
            verdict, by = seen.verdict, ", ".join(seen.failed or seen.broken)
    except Stale as stale:
        by = str(stale)
    seconds = round(time.monotonic() - began, 1)
    print(f"{verdict:9} {mutant.kind:7} {mutant.name:42} {seconds:6.1f} s  {by}", flush=True)
    found = {"kind": mutant.kind, "says": mutant.says, "verdict": verdict, "by": by, "s": seconds}
    _keep(RESULTS, mutant.name, found | {"at": datetime.now(UTC).isoformat(timespec="minutes")})
    return found | {"name": mutant.name}


def _keep(path: Path, name: str, found: dict[str, object]) -> None:
    """What was found last of each mutant that there is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(path.read_text())["each"] if path.exists() else {}
    known[name] = found
    each = {mutant.name: known[mutant.name] for mutant in load() if mutant.name in known}
    counts = Counter(row["verdict"] for row in each.values())
    told = {"mutants": len(load()), "looked_at": len(each), "verdicts": dict(counts), "each": each}
    path.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
