"""What a request costs the gateway, beside peers that run here: requests and chunks per second of the server's CPU.

    python -m bench.gateway [--seconds 3] [--rounds 2] [--parts main,bodies,workers] [--peers nginx,avow]

The server under test has core 0 for itself, one worker; the mock upstream and the load generator share core 1 with what is
not the gateway (database, keeper). Peers are interleaved within each round, warmed before the first, and the median of the
rounds is told. Ratios are of CPU, not of time: a starved machine then changes them less. Only `workers` is different: two
workers, one on each core, beside all the rest. Writes bench/results/gateway.json.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import machine, peers

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "gateway.json"
WARM_UP_S = 3.0
LOAD_SHARE = 0.6
EXPECTED = {False: '"total_tokens"', True: "data: [DONE]"}
PROMPT = "You are a helpful assistant. " * 24


@dataclass(frozen=True)
class Scenario:
    name: str
    what: str
    connections: int
    stream: bool = False
    share_of_closed_loop: float = 0.0
    body_bytes: int = 0
    """How long the body of a request is; 0: as short as its prompt, 0.9 KB."""


CLOSED = Scenario("json", "64 connections, as fast as it goes", 64)
TWO = Scenario("2 workers", "64 connections, two workers on both cores, beside generator and database", 64)
PARTS = {
    "main": (
        CLOSED,
        Scenario("stream", "64 streams at once, 50 tokens, 5 ms apart", 64, stream=True),
        Scenario("alone", "one request at a time", 1),
        Scenario("60 %", "open loop at 60 % of its own json rate", 256, share_of_closed_loop=LOAD_SHARE),
    ),
    "bodies": (
        Scenario("100 KB", "16 connections, bodies of 100 KB", 16, body_bytes=100_000),
        Scenario("1 MB", "16 connections, bodies of 1 MB", 16, body_bytes=1_000_000),
    ),
    "workers": (TWO,),
}
EVERY = tuple(scenario for scenarios in PARTS.values() for scenario in scenarios)


@dataclass(frozen=True)
class Bar:
    """A figure to reach, as docs/reference/performance.md names it."""

    name: str
    need: str
    value: float | None
    met: bool | None


@dataclass
class Bench:
    """The tools of one run, and what it measured: runs by (peer, scenario)."""

    load: Path
    folder: Path
    core: int
    other_core: int
    seconds: float
    runs: dict[tuple[str, str], list[dict[str, float]]] = field(default_factory=dict)

    def offer(self, peer: peers.Started, scenario: Scenario, seconds: float, rate: float) -> dict[str, float]:
        """Offer load once. Returns the generator's figures."""
        body = self.folder / "asked.json"
        body.write_text(json.dumps(request(scenario.stream, scenario.body_bytes), separators=(",", ":")))
        command: list[str] = [str(self.load), "-p", str(peer.port), "-c", str(scenario.connections), "-d", str(seconds)]
        command += ["-b", str(body), "-e", EXPECTED[scenario.stream], *(["-r", str(rate)] if rate else [])]
        command += [part for header in peer.headers for part in ("-H", header)]
        with machine.pinned(self.other_core):
            told = subprocess.run(command, capture_output=True, text=True, check=False)
        if told.returncode:
            sys.exit(f"the load generator gave up: {told.stderr.strip()}")
        figures: dict[str, float] = json.loads(told.stdout)
        return figures

    def measure(self, peer: peers.Started, scenario: Scenario, rate: float) -> dict[str, float]:
        """Offer load and count what it cost."""
        database = machine.tree(peer.database_pids)
        server = machine.tree(peer.pids) - database
        before = machine.cpu_s(server), machine.cpu_s(database), machine.busy_s(self.core)
        run = self.offer(peer, scenario, self.seconds, rate)
        server_s = machine.cpu_s(server) - before[0]
        wall_s = run["seconds"]
        run["server_cpu"] = server_s / wall_s
        run["database_cpu"] = (machine.cpu_s(database) - before[1]) / wall_s
        run["others_on_core"] = max(0.0, (machine.busy_s(self.core) - before[2] - server_s) / wall_s)
        run["rss_mb"] = machine.rss_mb(server)
        run["per_cpu_s"] = run["good"] / server_s if server_s else 0.0
        run["events_per_cpu_s"] = run["events"] / server_s if server_s else 0.0
        run["events_per_s"] = run["events"] / wall_s
        return run

    def round(self, started: list[peers.Started], scenarios: Sequence[Scenario], first: bool) -> None:
        for scenario in scenarios:
            for peer in started:
                rate = scenario.share_of_closed_loop and self.median(peer.name, CLOSED.name, "per_s") * LOAD_SHARE
                if rate == 0 and scenario.share_of_closed_loop:
                    continue
                if first:
                    self.offer(peer, scenario, WARM_UP_S, rate)
                run = self.measure(peer, scenario, rate)
                self.runs.setdefault((peer.name, scenario.name), []).append(run)
                print(".", end="", flush=True, file=sys.stderr)

    def median(self, peer: str, scenario: str, figure: str) -> float:
        """The median over the rounds; 0 where nothing was measured."""
        return statistics.median([run[figure] for run in self.runs.get((peer, scenario), [])] or [0.0])


def request(stream: bool, body_bytes: int = 0) -> dict[str, Any]:
    """What is asked, its prompt repeated until the body has about `body_bytes`."""
    prompt = PROMPT * max(1, round((body_bytes - 250) / len(PROMPT)))
    messages = [{"role": "system", "content": prompt}, {"role": "user", "content": "What is the weather like?"}]
    asked: dict[str, Any] = {"model": "bench", "messages": messages, "max_tokens": 64, "temperature": 0.5}
    return asked | ({"stream": True, "stream_options": {"include_usage": True}} if stream else {})


def bars(bench: Bench, subject: str) -> list[Bar]:
    """The bars for `subject`; without a figure where a peer was not measured."""

    def of(peer: str, scenario: str, figure: str) -> float | None:
        theirs, own = bench.median(peer, scenario, figure), bench.median(subject, scenario, figure)
        return own / theirs if theirs and own else None

    def added(scenario: str, figure: str) -> float | None:
        if (subject, scenario) not in bench.runs:
            return None
        return bench.median(subject, scenario, figure) - bench.median("direct", scenario, figure)

    requests = of("nginx", "json", "per_cpu_s")
    p99 = bench.median(subject, "60 %", "p99_ms") if (subject, "60 %") in bench.runs else None
    return [
        _at_least("requests per CPU-second, of nginx", requests, 0.20),
        _at_least("the same, goal", requests, 0.30),
        _at_least("requests per CPU-second, of Portkey", of("portkey", "json", "per_cpu_s"), 8),
        _at_least("requests per CPU-second, of LiteLLM", of("litellm", "json", "per_cpu_s"), 150),
        _at_least("stream chunks per CPU-second, of nginx", of("nginx", "stream", "events_per_cpu_s"), 0.50),
        _at_most("overhead of one request alone, ms", added("alone", "p50_ms"), 1.5),
        _at_most("p99 at 60 % load, ms", p99, 8),
        Bar("time to the first token added, ms", "", added("stream", "first_p50_ms"), None),
    ]


def _at_least(name: str, value: float | None, least: float) -> Bar:
    return Bar(name, f">= {least:.4g}", value, None if value is None else value >= least)


def _at_most(name: str, value: float | None, most: float) -> Bar:
    return Bar(name, f"<= {most:.4g}", value, None if value is None else value <= most)


COLUMNS = (
    ("req/s", "per_s", ",.0f"),
    ("req/CPU-s", "per_cpu_s", ",.0f"),
    ("chunks/s", "events_per_s", ",.0f"),
    ("chunks/CPU-s", "events_per_cpu_s", ",.0f"),
    ("p50 ms", "p50_ms", ".2f"),
    ("p99 ms", "p99_ms", ".2f"),
    ("first p50", "first_p50_ms", ".2f"),
    ("server CPU", "server_cpu", ".2f"),
    ("database", "database_cpu", ".2f"),
    ("others", "others_on_core", ".2f"),
    ("RSS MB", "rss_mb", ".0f"),
)
FAULTS = ("bad_status", "incomplete", "unexpected")


def rows(bench: Bench, missing: dict[str, str]) -> list[dict[str, Any]]:
    """One row per scenario and peer: medians, every run, and the ratio to nginx."""
    made: list[dict[str, Any]] = []
    for scenario in (each for each in EVERY if any(name == each.name for _, name in bench.runs)):
        figure = "events_per_cpu_s" if scenario.stream else "per_cpu_s"
        nginx = bench.median("nginx, 2 workers" if scenario is TWO else "nginx", scenario.name, figure)
        made += [{"scenario": scenario.name, "peer": name, "measured": False} for name in missing]
        for (name, at), runs in bench.runs.items():
            if at != scenario.name:
                continue
            medians = {key: round(bench.median(name, scenario.name, key), 3) for key in runs[0]}
            of_nginx = round(medians[figure] / nginx, 3) if nginx and medians[figure] else None
            faults = sum(int(run[fault]) for run in runs for fault in FAULTS)
            row = {"scenario": scenario.name, "peer": name, "measured": True, "of_nginx": of_nginx, "faults": faults}
            made.append({**row, "median": medians, "runs": [{key: round(run[key], 3) for key in run} for run in runs]})
    return made


def print_table(table: list[dict[str, Any]], missing: dict[str, str]) -> None:
    for scenario in EVERY:
        if not any(row["scenario"] == scenario.name for row in table):
            continue
        print(f"\n{scenario.name}: {scenario.what}")
        print(f"{'':24}" + "".join(f"{title:>13}" for title, _, _ in COLUMNS) + f"{'of nginx':>10}{'faults':>8}")
        for row in (row for row in table if row["scenario"] == scenario.name):
            if not row["measured"]:
                print(f"{row['peer']:24}  not measured  {missing.get(row['peer'], '')}")
                continue
            cells = "".join(f"{format(row['median'][key], shape):>13}" for _, key, shape in COLUMNS)
            of_nginx = "-" if row["of_nginx"] is None else f"{row['of_nginx']:.2f}"
            print(f"{row['peer']:24}{cells}{of_nginx:>10}{row['faults']:>8}")


def print_bars(subject: str, found: list[Bar]) -> None:
    print(f"\n{subject} beside the bars")
    for bar in found:
        verdict = {True: "met", False: "not met", None: "" if bar.value is not None else "not measured"}[bar.met]
        value = "" if bar.value is None else f"{bar.value:.2f}"
        print(f"  {bar.name:42}{bar.need:>9}{value:>9}  {verdict}")


def write(
    arguments: argparse.Namespace,
    chosen: list[peers.Peer],
    missing: dict[str, str],
    table: list[dict[str, Any]],
    found: list[Bar],
) -> None:
    versions = {"python": platform.python_version()}
    versions |= {peer.name: peer.version() for peer in chosen if peer.name not in missing and peer is not peers.DIRECT}
    print("\n" + ", ".join(f"{name} {version}" for name, version in versions.items()))
    report = {
        "bench": "gateway",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": f"python -m bench.gateway --seconds {arguments.seconds:g} --rounds {arguments.rounds} "
        f"--parts {arguments.parts}" + (f" --peers {arguments.peers}" if arguments.peers else ""),
        "machine": machine.describe(),
        "versions": versions,
        "scenarios": {scenario.name: scenario.what for scenario in EVERY},
        "missing": missing,
        "bars": [bar.__dict__ for bar in found],
        "rows": table,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(report, indent=1) + "\n")


def choose(names: str) -> list[peers.Peer]:
    if not names:
        return list(peers.ALL)
    known = {peer.name: peer for peer in peers.ALL}
    wanted = [name.strip() for name in names.split(",")]
    if unknown := set(wanted) - known.keys():
        sys.exit(f"no such peer: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return [peers.DIRECT, *(known[name] for name in wanted if name != peers.DIRECT.name)]


def start(chosen: list[peers.Peer], place: peers.Place, stack: ExitStack) -> list[peers.Started]:
    """All that can run here, each in a folder of its own below the place's."""
    started: list[peers.Started] = []
    for peer in chosen:
        if peer.missing() is None:
            own = Path(tempfile.mkdtemp(dir=place.folder))
            started += stack.enter_context(peer.start(replace(place, folder=own)))
    return started


def measure(bench: Bench, chosen: list[peers.Peer], place: peers.Place, arguments: argparse.Namespace) -> None:
    parts = arguments.parts.split(",")
    alone = [scenario for part in parts if part != "workers" for scenario in PARTS[part]]
    sides = [(chosen, alone)]
    if "workers" in parts:
        sides.append(([peers.TWO_NGINX, peers.TWO_AVOW], [TWO]))
    for side, scenarios in sides:
        if not scenarios:
            continue
        with ExitStack() as stack:
            started = start(side, place, stack)
            for number in range(arguments.rounds):
                bench.round(started, scenarios, first=number == 0)


def run(arguments: argparse.Namespace) -> None:
    if len(machine.cores()) < 2:
        sys.exit("This needs two cores: one for the server, one for what tests it.")
    if unknown := set(arguments.parts.split(",")) - PARTS.keys():
        sys.exit(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    core, other_core = machine.cores()[:2]
    chosen = choose(arguments.peers)
    missing = {peer.name: hint for peer in chosen if (hint := peer.missing())}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="avow-b-")))
        upstream, load = (machine.compiled(HERE / f"{name}.c", folder) for name in ("upstream", "load"))
        upstream_port = machine.free_port()
        mock = stack.enter_context(
            machine.running([str(upstream), "-p", str(upstream_port)], other_core, stdout=subprocess.DEVNULL)
        )
        machine.wait_until(lambda: machine.listens(upstream_port), mock)
        bench = Bench(load, folder, core, other_core, arguments.seconds)
        measure(bench, chosen, peers.Place(folder, core, other_core, upstream_port), arguments)
    table, found = rows(bench, missing), bars(bench, arguments.subject)
    print_table(table, missing)
    print_bars(arguments.subject, found)
    write(arguments, chosen, missing, table, found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3, help="length of one run")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--parts", default=",".join(PARTS), help="what is measured, separated by commas")
    parser.add_argument("--peers", default="", help="names, separated by commas; all unless told")
    parser.add_argument("--subject", default="avow", help="the peer that is held against the bars")
    run(parser.parse_args())


if __name__ == "__main__":
    main()
