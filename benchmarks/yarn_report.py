"""What the samples of ``yarn.py`` say: milestones, the phases between them, goals, and the tables of ``README.md``."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from measure import Spread
from peers.report import number, spread, table

OURS = "pyflow-yarn"
FLINK = "Flink, Java job"
PROVIDED = "Flink, Java job, provided libs"
FIRST, APPLICATION, SESSION, COLD, WARM = "first application", "application", "session", "cold job", "warm job"
TITLES = {
    FIRST: "Application mode, the first submission to a new cluster",
    APPLICATION: "Application mode, later submissions",
    SESSION: "Start of a session",
    COLD: "A job into a session without a TaskManager",
    WARM: "A job into a session whose TaskManager is idle",
}
# In the order in which they come, as a table calls them.
MILESTONES = {
    "specified": "cluster specified",
    "submitted": "submitted",
    "master_began": "master's container",
    "running": "RUNNING",
    "python_began": "master's Python",
    "job_running": "job RUNNING",
    "worker_began": "TaskManager's container",
    "first_record": "**first record**",
    "finished": "FINISHED",
    "client_exit": "client exits",
}
# On the way to the first record, as far as a system has it.
WAY = (
    "specified",
    "submitted",
    "master_began",
    "running",
    "python_began",
    "job_running",
    "worker_began",
    "first_record",
)


@dataclass(frozen=True)
class Sample:
    """One run: seconds from the client's start to each milestone, CPU seconds, bytes; containers by when they began."""

    scenario: str
    system: str
    round: int
    milestones: Mapping[str, float]
    client_cpu: float
    uploaded: int
    containers: Sequence[Mapping[str, float]] = ()
    command: str = ""
    load: Sequence[float] = (0.0,)


def first_of(text: str, count: int) -> float:
    """When the first record was written, in seconds since 1970; ``ValueError`` if not each has come, and once."""
    lines = [line.split() for line in text.splitlines()]
    if sorted(int(line[0]) for line in lines) != list(range(count)):
        raise ValueError(f"{len(lines)} records were written, {count} different ones were sent")
    return min(int(line[1]) for line in lines) / 1e6


def since(began: float, times: Mapping[str, float]) -> dict[str, float]:
    """Seconds to each milestone that was reached, in their order."""
    return {name: times[name] - began for name in MILESTONES if times.get(name)}


def specified_at(lines: Iterable[tuple[float, str]]) -> float:
    """When the client told how large the cluster's processes are; 0 if it did not.

    Flink stages files after that; ours has staged the program, and has still to start what submits.
    """
    return next((when for when, line in lines if "Cluster specification: " in line), 0.0)


def phases(milestones: Mapping[str, float]) -> dict[str, float]:
    """Seconds to each milestone on the way to the first record, from the one before it that was seen."""
    reached = [name for name in WAY if name in milestones]
    before = [0.0, *(milestones[name] for name in reached)]
    return {name: milestones[name] - begin for name, begin in zip(reached, before, strict=False)}


@dataclass(frozen=True)
class Goal:
    """A figure that the project wants to reach: at most ``bound``, as a median over the rounds."""

    scenario: str
    text: str
    bound: float
    value: Callable[[Sample], float]
    relative: bool = False

    def verdict(self, samples: Sequence[Sample]) -> str:
        """The goal, what was measured, and whether that is enough."""
        found = self._by_round(samples, OURS)
        if self.relative:
            flink = self._by_round(samples, FLINK)
            found = {each: found[each] / flink[each] for each in found.keys() & flink.keys()}
        if not found:
            return f"{self.text}: not measured"
        measured = statistics.median(found.values())
        return f"{self.text}: {number(measured)}, {'met' if measured <= self.bound else '**missed**'}"

    def _by_round(self, samples: Sequence[Sample], system: str) -> dict[int, float]:
        rounds: dict[int, list[float]] = {}
        for sample in of(samples, self.scenario, system):
            rounds.setdefault(sample.round, []).append(self.value(sample))
        return {each: statistics.median(values) for each, values in rounds.items()}


def _first_record(sample: Sample) -> float:
    return sample.milestones["first_record"]


def _client_cpu(sample: Sample) -> float:
    return sample.client_cpu


GOALS = [
    Goal(APPLICATION, "application, first record ≤ 0.5x Flink's", 0.5, _first_record, relative=True),
    Goal(APPLICATION, "application, client ≤ 1.5 CPU s", 1.5, _client_cpu),
    Goal(APPLICATION, "second submission uploads ≤ 100 kB", 100.0, lambda sample: sample.uploaded / 1e3),
    Goal(WARM, "warm session, first record ≤ 0.5x Flink's", 0.5, _first_record, relative=True),
    Goal(WARM, "warm session, client ≤ 1.5 CPU s", 1.5, _client_cpu),
]


def of(samples: Iterable[Sample], scenario: str, system: str) -> list[Sample]:
    """The samples of one scenario and system."""
    return [sample for sample in samples if (sample.scenario, sample.system) == (scenario, system)]


def cells(samples: Sequence[Sample]) -> list[list[Sample]]:
    """The samples by scenario and system, in the order of scenarios, and of systems as they were run."""
    systems = dict.fromkeys(sample.system for sample in samples)
    found = (of(samples, scenario, system) for scenario in TITLES for system in systems)
    return [cell for cell in found if cell]


def columns(each: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """The values of each key, for the keys that all have."""
    return {key: [one[key] for one in each] for key in each[0] if all(key in one for one in each)}


def figures(cell: Sequence[Sample]) -> dict[str, Any]:
    """A JSON line of one cell: minimum, median and maximum of everything."""

    def spreads(each: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
        return {name: Spread.of(values).as_list() for name, values in columns(each).items()}

    containers = min(len(sample.containers) for sample in cell)
    return {
        "scenario": cell[0].scenario,
        "system": cell[0].system,
        "runs": len(cell),
        "seconds": spreads([sample.milestones for sample in cell]),
        "phases": spreads([phases(sample.milestones) for sample in cell]),
        "client_cpu_s": Spread.of([sample.client_cpu for sample in cell]).as_list(),
        "uploaded_bytes": Spread.of([sample.uploaded for sample in cell]).as_list(),
        "containers": [spreads([sample.containers[place] for sample in cell]) for place in range(containers)],
        "load_before": Spread.of([sample.load[0] for sample in cell]).as_list(),
        "command": cell[0].command,
    }


def render(samples: Sequence[Sample], settings: Mapping[str, Any]) -> str:
    """All that stands between the markers of ``README.md``."""
    loads = [sample.load[0] for sample in samples]
    load = f"{min(loads):.1f} to {max(loads):.1f} (median {statistics.median(loads):.1f})"
    lines = [
        f"Measured {settings['date']} with `{settings['command']}`, each system in turn; {settings['versions']}.",
        f"Load average of one minute before each run: {load} on {settings['cores']} cores.",
        "Seconds from the start of the client, medians with minimum and maximum in brackets.",
    ]
    for scenario, title in TITLES.items():
        rows = [cell for cell in cells(samples) if cell[0].scenario == scenario]
        if rows:
            lines += ["", f"{title}:", "", *_milestone_table(rows)]
    timed = [cell for cell in cells(samples) if "first_record" in cell[0].milestones]
    lines += [
        "",
        "From one milestone to the next on the way to the first record, medians in seconds:",
        "",
        *_phase_table(timed),
    ]
    used = [cell for cell in cells(samples) if cell[0].scenario == APPLICATION]
    lines += ["", "What the containers of an application use:", "", *_container_table(used)]
    lines += ["", "Goals:", "", *[f"* {goal.verdict(samples)}" for goal in GOALS]]
    lines += ["", "Commands, one of each:", "", "```", *dict.fromkeys(sample.command for sample in samples), "```"]
    return "\n".join(lines)


def _milestone_table(rows: Sequence[Sequence[Sample]]) -> list[str]:
    shown = [name for name in MILESTONES if any(name in sample.milestones for cell in rows for sample in cell)]
    lines = []
    for cell in rows:
        found = columns([sample.milestones for sample in cell])
        costs = spread([sample.client_cpu for sample in cell]), spread([sample.uploaded / 1e6 for sample in cell])
        lines.append([cell[0].system, *(spread(found.get(name, [])) for name in shown), *costs])
    return table(("system", *(MILESTONES[name] for name in shown), "client CPU s", "uploaded MB"), lines)


def _phase_table(rows: Sequence[Sequence[Sample]]) -> list[str]:
    lines = []
    for cell in rows:
        found = columns([phases(sample.milestones) for sample in cell])
        medians = [number(statistics.median(found[name])) if name in found else "-" for name in WAY]
        lines.append([cell[0].scenario, cell[0].system, *medians])
    return table(("", "system", *(f"to {MILESTONES[name]}" for name in WAY)), lines)


def _container_table(rows: Sequence[Sequence[Sample]]) -> list[str]:
    lines = []
    for cell in rows:
        for place, role in enumerate(("ApplicationMaster", "TaskManager")):
            used = [sample.containers[place] for sample in cell if len(sample.containers) > place]
            figures = columns(used) if used else {}
            lines.append([cell[0].system, role, *(spread(figures.get(name, [])) for name in ("cpu_s", "pss_mb"))])
    return table(("system", "container", "CPU s", "PSS MB, highest"), lines)
