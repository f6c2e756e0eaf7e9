"""Campaigns: many seeds, in several processes, resumable; a violation is told with the command that replays it."""

from __future__ import annotations

import subprocess
import sys
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from pyflow_runtime.simulation.mutations import MUTATIONS
from pyflow_runtime.simulation.violation import InvariantViolated
from pyflow_runtime.simulation.world import World, told

BLOCK = 100


@dataclass
class Violation:
    """A seed that broke a promise."""

    seed: int
    invariant: str
    detail: str
    story: list[str]
    mutation: str = ""

    def render(self) -> str:
        """Everything needed to look into it."""
        mutation = f" --mutation {self.mutation}" if self.mutation else ""
        return "\n".join(
            [
                f"seed {self.seed} violates: {self.invariant}",
                f"  {self.detail}",
                "last events:",
                *(f"  {line}" for line in self.story),
                "replay it with:",
                f"  PYTHONPATH=.:runtime python -m pyflow_runtime.simulation --seed {self.seed} --verbose{mutation}",
            ]
        )


@dataclass
class Figures:
    """What a number of schedules amounted to."""

    schedules: int = 0
    events: int = 0
    messages: int = 0
    virtual_seconds: int = 0
    shortest_seconds: int = 10**9
    faults: int = 0
    fewest_faults: int = 10**9
    leaders: int = 0
    recommitted: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)

    def add(self, other: Figures) -> None:
        """Sum them up."""
        self.schedules += other.schedules
        self.events += other.events
        self.messages += other.messages
        self.virtual_seconds += other.virtual_seconds
        self.shortest_seconds = min(self.shortest_seconds, other.shortest_seconds)
        self.faults += other.faults
        self.fewest_faults = min(self.fewest_faults, other.fewest_faults)
        self.leaders += other.leaders
        self.recommitted += other.recommitted
        for status, count in other.outcomes.items():
            self.outcomes[status] = self.outcomes.get(status, 0) + count
        self.violations.extend(other.violations)

    def render(self) -> str:
        """One paragraph."""
        outcomes = ", ".join(f"{count} {status}" for status, count in sorted(self.outcomes.items()))
        return (
            f"{self.schedules} schedules, {len(self.violations)} violations;"
            f" {self.virtual_seconds / 3600:.0f} virtual hours (each schedule at least {self.shortest_seconds} s),"
            f" {self.faults} faults (each schedule at least {self.fewest_faults}), {self.leaders} leaders,"
            f" {self.messages} messages, {self.events} events; jobs: {outcomes};"
            f" {self.recommitted} commits repeated by another leader"
        )


def run_seed(seed: int, mutation: str = "", verbose: bool = False) -> Figures:
    """One schedule."""
    figures = Figures(schedules=1)
    with MUTATIONS[mutation].applied() if mutation else nullcontext():
        world = World(seed)
        world.verbose = verbose
        try:
            world.run()
        except InvariantViolated as violated:
            figures.violations.append(_violation(world, violated.invariant, violated.detail, mutation))
        except Exception as error:
            # Whatever a machine raises is a violation: of its own table, or of the promise to handle every event.
            where = "".join(traceback.format_exception(error)[-3:])
            figures.violations.append(_violation(world, type(error).__name__, f"{error}\n{where}", mutation))
    figures.events = world.clock.events
    figures.messages = world.network.frames
    figures.virtual_seconds = figures.shortest_seconds = world.clock.now // 1000
    figures.faults = figures.fewest_faults = world.nemesis.count
    figures.leaders = world.store.epoch
    figures.recommitted = len(world.recommitted)
    for status in world.store.results.values():
        figures.outcomes[status] = figures.outcomes.get(status, 0) + 1
    return figures


def _violation(world: World, invariant: str, detail: str, mutation: str) -> Violation:
    return Violation(world.seed, invariant, detail, [told(entry) for entry in world.story], mutation)


def run_block(first: int, end: int, mutation: str = "") -> Figures:
    """Some schedules in one process."""
    total = Figures()
    for seed in range(first, end):
        total.add(run_seed(seed, mutation))
    return total


def run_block_elsewhere(first: int, end: int, mutation: str = "") -> Figures:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "pyflow_runtime.simulation", "--seeds", f"{first}..{end}", "--json"]
    done = subprocess.run(
        [*command, *(["--mutation", mutation] if mutation else [])], stdout=subprocess.PIPE, check=True
    )
    return msgspec.json.decode(done.stdout, type=Figures)


def first_violation(mutation: str, seeds: range) -> Violation | None:
    """The first seed that notices a mutation."""
    for seed in seeds:
        figures = run_seed(seed, mutation)
        if figures.violations:
            return figures.violations[0]
    return None


class Campaign:
    """A range of seeds. ``record`` remembers the blocks that are done, so that an interrupted campaign can go on."""

    def __init__(self, seeds: range, mutation: str = "", processes: int = 1, record: Path | None = None) -> None:
        self.seeds = seeds
        self.mutation = mutation
        self.processes = processes
        self.record = record

    def run(self) -> Iterator[tuple[range, Figures]]:
        """Blocks of seeds as they are done; blocks without a violation are not repeated by a later run."""
        done = self._done()
        blocks = [
            (first, min(first + BLOCK, self.seeds.stop))
            for first in range(self.seeds.start, self.seeds.stop, BLOCK)
            if first not in done
        ]
        if self.processes <= 1:
            for first, end in blocks:
                yield self._finished(first, end, run_block(first, end, self.mutation))
            return
        pool = ThreadPoolExecutor(self.processes)
        try:
            running = {pool.submit(run_block_elsewhere, *block, self.mutation): block for block in blocks}
            for future in as_completed(running):
                yield self._finished(*running[future], future.result())
        finally:
            # Whoever has seen enough does not wait for blocks that have not begun.
            pool.shutdown(cancel_futures=True)

    def _finished(self, first: int, end: int, figures: Figures) -> tuple[range, Figures]:
        if self.record is not None and not figures.violations:
            with self.record.open("a", encoding="utf-8") as file:
                file.write(f"{self._key()} {first} {end}\n")
        return range(first, end), figures

    def _done(self) -> set[int]:
        if self.record is None or not self.record.exists():
            return set()
        lines = (line.split() for line in self.record.read_text(encoding="utf-8").splitlines())
        return {int(line[1]) for line in lines if len(line) == 3 and line[0] == self._key()}

    def _key(self) -> str:
        return self.mutation or "protocol"
