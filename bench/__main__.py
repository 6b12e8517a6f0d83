"""All benchmarks, one after the other, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

NAMES = ("gateway", "ledger", "timing", "signin")


def main() -> int:
    folder = Path(__file__).parent
    found = [name for name in NAMES if (folder / f"{name}.py").exists()]
    return max(subprocess.call([sys.executable, "-m", f"bench.{name}"], cwd=folder.parent) for name in found)


if __name__ == "__main__":
    sys.exit(main())
