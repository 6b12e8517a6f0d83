"""`python -m tests.fuzz [NAME …]`: look for bytes that a reader does not expect, guided by what they reach (atheris, libFuzzer).

Each target has SECONDS (60) in a process of its own. What it found stands in tests/fuzz/found/NAME, where
`test_targets.py` reads it from then on; exit 1 if anything was found.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

FOUND = Path(__file__).parent / "found"
INPUT_S_MAX, INPUT_BYTES_MAX, MEMORY_MB_MAX = 5, 4096, 2048


def main(names: list[str]) -> int:
    if names[:1] == ["--one"]:
        _look(names[1], names[2:])
    from tests.fuzz.targets import TARGETS

    if unknown := set(names) - TARGETS.keys():
        sys.exit(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    return max(_run(name, TARGETS[name].seeds) for name in names or TARGETS)


def _run(name: str, seeds: tuple[bytes, ...]) -> int:
    """What is found goes into `found`; what was reached on the way is forgotten."""
    print(f"== {name}", flush=True)
    found = FOUND / name
    found.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(seeds):
            (Path(folder) / str(number)).write_bytes(seed)
        told = {
            "max_total_time": os.environ.get("SECONDS") or "60",
            "max_len": max(INPUT_BYTES_MAX, *map(len, seeds)),
            "timeout": INPUT_S_MAX,
            "rss_limit_mb": MEMORY_MB_MAX,
            "artifact_prefix": f"{found}/",
            "verbosity": 0,
            "print_final_stats": 1,
        }
        options = [f"-{key}={value}" for key, value in told.items()]
        done = subprocess.run([sys.executable, "-m", "tests.fuzz", "--one", name, *options, folder], check=False)
    if not any(found.iterdir()):
        found.rmdir()
    return int(done.returncode != 0)


def _look(name: str, options: list[str]) -> None:
    sys.path.append(os.environ["FUZZER"])  # see tools/fuzz
    import atheris

    with atheris.instrument_imports(include=["avow"]):
        from tests.fuzz.targets import TARGETS
    atheris.Setup([sys.argv[0], *options], TARGETS[name].read)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
