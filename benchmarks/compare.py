"""Ours and the peers, in turns: ``python benchmarks/compare.py [--runs 5] [--scale 1.0] [--peers PEER ...]``.

All do the same work and their output is compared with that of a bare loop. Each peer has an environment of its own
(``peers/environments.py``), built on demand. Samples go to ``results/<date>.json`` as they are taken: a comparison that
was interrupted goes on where it stopped when it is started with the same settings. At its end the tables of
``README.md`` are written.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import json
import os
import platform
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bare_loops
from measure import become_subreaper, read_checksum, run
from peers.environments import REQUIREMENTS, PeerUnavailableError, java_home, python_of
from peers.report import (
    LATENCIES,
    LOOP,
    OURS,
    START_UP,
    Comparison,
    Sample,
    key_of,
    percentiles,
    reason_of,
    render,
    replace_between_markers,
)

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent
README = HERE / "README.md"
RATE = 10_000
TIMEOUT = 900.0
RECORDS = {"map_chain": 1, "word_count": 10, "state_counter": 1}
CELLS = [("map_chain", 1), ("word_count", 1), ("word_count", 2), ("state_counter", 1)]
FULL = {"map_chain": 10_000_000, "word_count": 500_000, "state_counter": 5_000_000}
TUNED = ["-D", "execution.buffer-timeout.interval=5 ms"]


@dataclass(frozen=True)
class System:
    """Who takes part, with how much work: a count per workload that takes seconds to a minute."""

    name: str
    counts: Mapping[str, int]
    environment: str | None = None
    arguments: tuple[str, ...] = ()
    parallelisms: frozenset[int] = frozenset({1, 2})
    latency_count: int = 0


PYFLINK_PROCESS = {"map_chain": 1_000_000, "word_count": 20_000, "state_counter": 300_000}
PYFLINK_THREAD = {"map_chain": 3_000_000, "word_count": 50_000, "state_counter": 500_000}
ALONE = frozenset({1})
SYSTEMS = [
    System(OURS, FULL, latency_count=50_000),
    System(LOOP, FULL, parallelisms=ALONE),
    System("bytewax", FULL, "bytewax"),
    System("pathway", {"map_chain": 2_000_000, "word_count": 200_000}, "pathway"),
    System("pyflink-process", PYFLINK_PROCESS, "pyflink", ("--mode", "process"), ALONE, 150_000),
    System("pyflink-thread", PYFLINK_THREAD, "pyflink", ("--mode", "thread"), ALONE, 150_000),
]
PEERS = [system.name for system in SYSTEMS if system.environment]


def command_of(system: System, python: str, workload: str, parallelism: int, count: int, output: str) -> list[str]:
    """How a system is told to do the work."""
    tiny, latency, tuned = workload == START_UP, workload in LATENCIES, workload == "latency_tuned"
    program = "tiny" if tiny else "latency" if latency else workload
    paced = ["--rate", str(RATE)] if latency else []
    sized = [] if tiny else ["--count", str(count)]
    if system.name == LOOP:
        return [python, str(HERE / "bare_loops.py"), program, str(count)]
    if system.name == OURS:
        flink = [str(CHECKOUT / "bin" / "flink"), "run", "-p", str(parallelism), *(TUNED if tuned else [])]
        place = [] if tiny else ["--output", output]
        return [*flink, str(HERE / "programs" / f"{program}.py"), *sized, *paced, *place]
    script = str(HERE / "peers" / f"{system.environment}_programs.py")
    options = [*system.arguments, "--parallelism", str(parallelism), *sized, *paced, *(["--tuned"] if tuned else [])]
    return [python, script, program, *options, "--output", output]


@functools.cache
def expected(workload: str, count: int) -> tuple[int, int]:
    """The checksum of right output."""
    checksum: tuple[int, int] = getattr(bare_loops, workload)(count)
    return checksum


def measure(system: System, python: str, workload: str, parallelism: int, count: int, round_number: int) -> Sample:
    """Run and verify; ``SystemExit`` if either fails."""
    with tempfile.TemporaryDirectory(prefix="pyflow-benchmark-") as output:
        command = command_of(system, python, workload, parallelism, count, output)
        done = run(command, timeout=TIMEOUT)
        figures: dict[str, Any] = {}
        if workload == START_UP:
            if parallelism == 1:
                figures["memory"] = run(command, sample_memory=True, timeout=TIMEOUT).memory
        elif workload in LATENCIES:
            pairs = [pair for part in Path(output).glob("*.json") for pair in json.loads(part.read_text())]
            try:
                figures["p50_ms"], figures["p99_ms"] = percentiles(pairs, count)
            except ValueError as error:
                raise SystemExit(f"wrong output: {error}") from None
        else:
            figures["records"] = count * RECORDS[workload]
            found = read_checksum(output)
            if system.name == LOOP:
                printed = json.loads(done.output)
                found = printed["count"], printed["total"]
            if found != expected(workload, count):
                raise SystemExit(f"wrong output {found}, expected {expected(workload, count)}")
    shown = shlex.join(command).replace(output, "DIR").replace(python, "python").replace(f"{CHECKOUT}/", "")
    load = [round(average, 2) for average in os.getloadavg()]
    return Sample(
        workload, parallelism, system.name, round_number, done.wall, done.cpu, command=shown, load=load, **figures
    )


def plan(systems: list[System], scale: float) -> list[tuple[System, str, int, int]]:
    """One round: (system, workload, parallelism, count), the systems taking turns at each workload."""
    steps = []
    for parallelism in (1, 2):
        able = [system for system in systems if parallelism in system.parallelisms]
        steps += [(system, START_UP, parallelism, 0) for system in able]
        for workload in [workload for workload, wanted in CELLS if wanted == parallelism]:
            takers = [system for system in able if workload in system.counts]
            steps += [(s, workload, parallelism, max(int(s.counts[workload] * scale), 1000)) for s in takers]
        if parallelism == 1:
            timed = [system for system in able if system.latency_count]
            for workload in LATENCIES:
                steps += [(s, workload, 1, max(int(s.latency_count * scale), 20_000)) for s in timed]
    return steps


def versions_of(pythons: Mapping[str, str]) -> dict[str, str]:
    """What takes part, by name."""
    commit = subprocess.run(["git", "-C", str(CHECKOUT), "describe", "--always"], capture_output=True, check=False)
    versions = {"CPython": platform.python_version(), OURS: commit.stdout.decode().strip() or "without git"}
    for environment in pythons:
        package, _, version = REQUIREMENTS[environment][0].partition("==")
        versions[package] = version
    if "pyflink" in pythons:
        release = (Path(java_home()) / "release").read_text()
        found = re.search(r'JAVA_RUNTIME_VERSION="([^"]*)"|JAVA_VERSION="([^"]*)"', release)
        versions["Java"] = (found[1] or found[2]) if found else "unknown"
    return versions


def results_file(settings: Mapping[str, Any], results: Path) -> tuple[Path, Comparison | None]:
    """The unfinished comparison of these settings of today, or the name of a new one."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    for number in range(1, 1000):
        path = results / (f"{today}.json" if number == 1 else f"{today}-{number}.json")
        if not path.exists():
            return path, None
        comparison = Comparison.from_json(json.loads(path.read_text()))
        same = all(comparison.settings[key] == settings[key] for key in ("runs", "scale", "systems"))
        if same and not comparison.settings["finished"]:
            return path, comparison
    raise SystemExit(f"{results} is full.")


def save(path: Path, comparison: Comparison) -> None:
    """Replace the results file."""
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(comparison.as_json(), indent=1) + "\n")
    os.replace(temporary, path)


def write_readme(comparison: Comparison) -> None:
    """Replace the tables."""
    README.write_text(replace_between_markers(README.read_text(), render(comparison, CELLS)))


def environments(systems: list[System], failures: dict[str, str]) -> dict[str, str]:
    """The interpreters of the peers; those that cannot be had are told and left out."""
    pythons = {}
    for name in dict.fromkeys(system.environment for system in systems if system.environment):
        try:
            pythons[name] = python_of(name)
        except PeerUnavailableError as error:
            print(error, file=sys.stderr)
            failures[name] = str(error)
    if "pyflink" in pythons:
        os.environ["JAVA_HOME"] = java_home()
    return pythons


def main() -> None:
    """Compare, or go on comparing."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, default=5)
    arguments.add_argument("--scale", type=float, default=1.0, help="multiplies the number of records")
    arguments.add_argument("--peers", nargs="*", choices=PEERS, default=PEERS, metavar="PEER", help=", ".join(PEERS))
    arguments.add_argument("--results", type=Path, default=HERE / "results", help="folder of the results files")
    options = arguments.parse_args()

    become_subreaper()
    unavailable: dict[str, str] = {}
    systems = [system for system in SYSTEMS if not system.environment or system.name in options.peers]
    settings: dict[str, Any] = {
        "runs": options.runs,
        "scale": options.scale,
        "systems": [system.name for system in systems],
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": f"python benchmarks/compare.py {shlex.join(sys.argv[1:])}".strip(),
        "cores": os.cpu_count(),
        "finished": False,
    }
    pythons = environments(systems, unavailable)
    systems = [system for system in systems if not system.environment or system.environment in pythons]
    settings["versions"] = versions_of(pythons)
    options.results.mkdir(parents=True, exist_ok=True)
    path, earlier = results_file(settings, options.results)
    comparison = earlier or Comparison(settings)
    comparison.failures = unavailable

    steps = [(round_number, *step) for round_number in range(options.runs) for step in plan(systems, options.scale)]
    for position, (round_number, system, workload, parallelism, count) in enumerate(steps, 1):
        key = key_of(workload, parallelism, system.name, round_number)
        if key in comparison.samples:
            continue
        python = pythons[system.environment] if system.environment else sys.executable
        started = time.monotonic()
        try:
            comparison.samples[key] = measure(system, python, workload, parallelism, count, round_number)
            told = "done"
        except SystemExit as error:
            comparison.failures[key] = reason_of(str(error))
            told = f"failed: {error}"
        save(path, comparison)
        print(f"[{position}/{len(steps)}] {key} {told} ({time.monotonic() - started:.1f} s)", flush=True)
    comparison.settings["finished"] = not comparison.failures
    save(path, comparison)
    write_readme(comparison)
    print(f"{path} and {README} written")


if __name__ == "__main__":
    main()
