"""All benchmarks, one after the other, each in a process of its own.

python -m bench [NAME]…      about a quarter of an hour for all; each takes arguments when it is run alone: python -m bench.NAME
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

NAMES = ("gateway", "path", "ledger", "growth")
ONLY_NAMED = ("timing", "signin")


def main() -> int:
    if unknown := set(sys.argv[1:]) - {*NAMES, *ONLY_NAMED}:
        sys.exit(f"no such bench: {', '.join(sorted(unknown))}; there are {', '.join((*NAMES, *ONLY_NAMED))}")
    chosen = sys.argv[1:] or NAMES
    tree = Path(__file__).parents[1]
    return max(subprocess.call([sys.executable, "-m", f"bench.{name}"], cwd=tree) for name in chosen)


if __name__ == "__main__":
    sys.exit(main())
