"""`python -m tests.mutants [NAME or KIND …]`: run mutants and say what became of each; exit 1 below 95 % caught."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path

from tests.mutants import running
from tests.mutants.catalogue import ROOT, Mutant, Stale, chosen

CAUGHT_MIN = 0.95
RESULTS = ROOT / "bench" / "results" / "mutants.json"


def main(names: list[str]) -> int:
    mutants = chosen(names)
    with running.copied() as tree:
        if red := _red_without(tree, mutants):
            print("These fail without any bug, so they say nothing about one:", *red, sep="\n  ")
            return 1
        found = [_told(tree, mutant) for mutant in mutants]
    counts = Counter(each["verdict"] for each in found)
    share = counts["caught"] / len(found)
    print(f"{counts['caught']} of {len(found)} caught ({share:.1%})")
    print(
        *(f"  {each['verdict']}: {each['name']}: {each['says']}" for each in found if each["verdict"] != "caught"),
        sep="\n",
    )
    if not names:
        _keep(RESULTS, found)
    return 0 if share >= CAUGHT_MIN and not counts["stale"] else 1


def _red_without(tree: Path, mutants: list[Mutant]) -> tuple[str, ...]:
    """Those of their tests that fail on the tree as it is."""
    tests = sorted({test for mutant in mutants for test in mutant.caught_by})
    print(f"{len(mutants)} mutants; first their {len(tests)} tests without any", flush=True)
    seen = running.run(tree, tests, stop_at_first=False)
    if not seen.passed:
        return (*seen.failed, *seen.broken, (tree.parent / "output").read_text()[-2000:])
    return (*seen.failed, *seen.broken)


def _told(tree: Path, mutant: Mutant) -> dict[str, object]:
    began = time.monotonic()
    by, verdict = "", "stale"
    try:
        with running.mutated(tree, mutant):
            seen = running.run(tree, mutant.caught_by, stop_at_first=True)
            verdict, by = seen.verdict, ", ".join(seen.failed or seen.broken)
    except Stale as stale:
        by = str(stale)
    seconds = round(time.monotonic() - began, 1)
    print(f"{verdict:9} {mutant.kind:7} {mutant.name:42} {seconds:6.1f} s  {by}", flush=True)
    return {"name": mutant.name, "kind": mutant.kind, "says": mutant.says, "verdict": verdict, "by": by, "s": seconds}


def _keep(path: Path, found: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    caught = sum(each["verdict"] == "caught" for each in found)
    path.write_text(json.dumps({"mutants": len(found), "caught": caught, "each": found}, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
