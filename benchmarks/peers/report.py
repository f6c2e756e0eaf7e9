"""What the samples of a comparison say: net costs, ratios, goals, and the tables of ``benchmarks/README.md``."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

OURS = "pyflow-yarn"
LOOP = "CPython loop"
START_UP = "start_up"
LATENCIES = {"latency": "defaults", "latency_tuned": "5 ms buffers"}
BEGIN = "<!-- comparison: written by benchmarks/compare.py -->"
END = "<!-- end of comparison -->"
TITLES = {
    "map_chain": "map, filter, map",
    "word_count": "word count, per word",
    "state_counter": "ValueState counter, 10,000 keys",
}


@dataclass(frozen=True)
class Sample:
    """One run of one system: seconds of wall and CPU; the rest where the workload has it."""

    workload: str
    parallelism: int
    system: str
    round: int
    wall: float
    cpu: float
    records: int = 0
    memory: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    command: str = ""
    load: list[float] = field(default_factory=list)

    @property
    def key(self) -> str:
        """Names the sample within its comparison."""
        return key_of(self.workload, self.parallelism, self.system, self.round)


@dataclass
class Comparison:
    """What one run of the comparison has found so far; kept in a file, so that it can be gone on with."""

    settings: dict[str, Any]
    samples: dict[str, Sample] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """For the results file."""
        samples = [asdict(sample) for sample in self.samples.values()]
        return {"settings": self.settings, "samples": samples, "failures": self.failures}

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> Comparison:
        """From the results file."""
        samples = [Sample(**sample) for sample in content["samples"]]
        return Comparison(content["settings"], {sample.key: sample for sample in samples}, dict(content["failures"]))

    def of(self, workload: str, parallelism: int, system: str) -> list[Sample]:
        """The samples of one cell, in the order of rounds."""
        cell = (workload, parallelism, system)
        found = [s for s in self.samples.values() if (s.workload, s.parallelism, s.system) == cell]
        return sorted(found, key=lambda sample: sample.round)

    def systems(self, workload: str, parallelism: int) -> list[str]:
        """Who has samples or failures of a workload: ours first, then as they were run."""
        keys = [*self.samples, *self.failures]
        parts = [key.split("/") for key in keys]
        names = dict.fromkeys(part[2] for part in parts if part[:2] == [workload, str(parallelism)])
        return sorted(names, key=lambda name: name != OURS)

    def net_cpu(self, sample: Sample) -> float | None:
        """CPU microseconds per record without start-up, the one of the same round; None if that is missing."""
        start = self.samples.get(key_of(START_UP, sample.parallelism, sample.system, sample.round))
        return None if start is None else (sample.cpu - start.cpu) / sample.records * 1e6

    def costs(self, workload: str, parallelism: int, system: str) -> list[float]:
        """Net CPU microseconds per record of each round."""
        costs = [self.net_cpu(sample) for sample in self.of(workload, parallelism, system)]
        return [cost for cost in costs if cost is not None]

    def ratios(self, workload: str, parallelism: int, system: str, to: str) -> list[float]:
        """A system's net CPU in terms of another's, round by round."""
        other = {s.round: self.net_cpu(s) for s in self.of(workload, parallelism, to)}
        ratios = []
        for sample in self.of(workload, parallelism, system):
            mine, theirs = self.net_cpu(sample), other.get(sample.round)
            if mine is not None and theirs is not None and theirs > 0:
                ratios.append(mine / theirs)
        return ratios


@dataclass(frozen=True)
class Goal:
    """A figure that the project wants to reach, and how to read it off a comparison."""

    workload: str
    parallelism: int
    text: str
    bounds: tuple[float, ...]
    values: Callable[[Comparison], tuple[float, ...] | None]

    def verdict(self, comparison: Comparison) -> str:
        """The goal, what was measured, and whether that is enough."""
        values = self.values(comparison)
        if values is None:
            return f"{self.text}: not measured"
        measured = " / ".join(number(value) for value in values)
        met = all(value <= bound for value, bound in zip(values, self.bounds, strict=True))
        return f"{self.text}: {measured}, {'met' if met else '**missed**'}"


def key_of(workload: str, parallelism: int, system: str, round_number: int) -> str:
    """The name of a sample within its comparison."""
    return f"{workload}/{parallelism}/{system}/{round_number}"


def percentiles(pairs: Sequence[tuple[int, int]], count: int) -> tuple[float, float]:
    """p50 and p99 in ms of the ages of the second half of (number, age in ns); ``ValueError`` if some are missing."""
    ordered = sorted(pairs)
    if [pair[0] for pair in ordered] != list(range(count)):
        raise ValueError(f"{len(ordered)} records arrived, {count} were sent")
    ages = sorted(pair[1] / 1e6 for pair in ordered[count // 2 :])
    return statistics.median(ages), ages[min(int(len(ages) * 0.99), len(ages) - 1)]


def reason_of(output: str) -> str:
    """The line of a failed program's output that says most: the innermost cause of a Java trace, or the last one."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    causes = [line for line in lines if line.startswith("Caused by: ")]
    return ([*lines[-1:], *causes] or ["failed"])[-1][:300]


def number(value: float) -> str:
    """Three significant digits, never in scientific notation."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def spread(values: Sequence[float]) -> str:
    """Median, and the range if there is one."""
    if not values:
        return "-"
    middle = number(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({number(min(values))}-{number(max(values))})"


def _ratio_goal(workload: str, parallelism: int, text: str, bound: float, to: str) -> Goal:
    def values(comparison: Comparison) -> tuple[float, ...] | None:
        ratios = comparison.ratios(workload, parallelism, OURS, to)
        return (statistics.median(ratios),) if ratios else None

    return Goal(workload, parallelism, text, (bound,), values)


def _median_goal(workload: str, text: str, bounds: tuple[float, ...], *read: Callable[[Sample], float]) -> Goal:
    def values(comparison: Comparison) -> tuple[float, ...] | None:
        samples = comparison.of(workload, 1, OURS)
        return tuple(statistics.median(map(one, samples)) for one in read) if samples else None

    return Goal(workload, 1, text, bounds, values)


GOALS = [
    _ratio_goal("map_chain", 1, "≤ 1.5x the loop", 1.5, LOOP),
    _ratio_goal("word_count", 1, "≤ 0.33x bytewax", 1 / 3, "bytewax"),
    _ratio_goal("word_count", 2, "≤ 0.5x bytewax", 1 / 2, "bytewax"),
    _ratio_goal("state_counter", 1, "≤ 0.4x bytewax", 1 / 2.5, "bytewax"),
    _median_goal("latency", "≤ 60 / 120 ms", (60, 120), lambda s: s.p50_ms, lambda s: s.p99_ms),
    _median_goal("latency_tuned", "≤ 5 / 20 ms", (5, 20), lambda s: s.p50_ms, lambda s: s.p99_ms),
    _median_goal(START_UP, "≤ 0.8 s / 150 MB", (0.8, 150), lambda s: s.wall, lambda s: s.memory / 1e6),
]


def goal_text(comparison: Comparison, workload: str, parallelism: int, system: str) -> str:
    """The goal's verdict in the row of ours; nothing in the others'."""
    if system != OURS:
        return ""
    goals = [goal for goal in GOALS if (goal.workload, goal.parallelism) == (workload, parallelism)]
    return "; ".join(goal.verdict(comparison) for goal in goals)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def throughput_table(comparison: Comparison, cells: Sequence[tuple[str, int]]) -> list[str]:
    """CPU per record of every system, in their own terms and in ours."""
    rows = []
    for workload, parallelism in cells:
        for system in comparison.systems(workload, parallelism):
            samples = comparison.of(workload, parallelism, system)
            ratios = comparison.ratios(workload, parallelism, system, OURS)
            rows.append(
                [
                    TITLES[workload],
                    str(parallelism),
                    system,
                    f"{samples[-1].records:,}" if samples else "failed",
                    spread(comparison.costs(workload, parallelism, system)),
                    "1" if system == OURS else spread(ratios),
                    spread([sample.wall for sample in samples]),
                    goal_text(comparison, workload, parallelism, system),
                ]
            )
    header = ("work", "parallelism", "system", "records", "CPU µs/record", "x ours", "wall s, with start-up", "goal")
    return table(header, rows)


def latency_table(comparison: Comparison) -> list[str]:
    """Age of records on arrival."""
    rows = []
    for workload, setting in LATENCIES.items():
        for system in comparison.systems(workload, 1):
            samples = comparison.of(workload, 1, system)
            label = setting if system == OURS or workload == "latency" else "bundles of 1,000 or 20 ms, 5 ms buffers"
            p50, p99 = spread([s.p50_ms for s in samples]), spread([s.p99_ms for s in samples])
            rows.append([system, label, p50, p99, goal_text(comparison, workload, 1, system)])
    return table(("system", "setting", "p50 ms", "p99 ms", "goal"), rows)


def start_up_table(comparison: Comparison) -> list[str]:
    """The smallest job there is."""
    rows = []
    for system in comparison.systems(START_UP, 1):
        samples = comparison.of(START_UP, 1, system)
        memory = spread([s.memory / 1e6 for s in samples if s.memory])
        walls, cpu = spread([s.wall for s in samples]), spread([s.cpu for s in samples])
        rows.append([system, walls, cpu, memory, goal_text(comparison, START_UP, 1, system)])
    return table(("system", "start to exit s", "CPU s", "PSS MB, all processes", "goal"), rows)


def render(comparison: Comparison, cells: Sequence[tuple[str, int]]) -> str:
    """All that stands between the markers."""
    settings = comparison.settings
    loads = [sample.load[0] for sample in comparison.samples.values() if sample.load]
    load = f"{min(loads):.1f} to {max(loads):.1f} (median {statistics.median(loads):.1f})" if loads else "unknown"
    versions = ", ".join(f"{name} {version}" for name, version in settings["versions"].items())
    lines = [
        f"Measured {settings['date']} with `{settings['command']}`: {settings['runs']} run(s) of each, in turns.",
        f"Load average of one minute meanwhile: {load} on {settings['cores']} cores{_load_note(loads, settings)}",
        f"{versions}. Figures are medians, with minimum and maximum in brackets.",
        "",
        *throughput_table(comparison, cells),
        "",
        "Latency: age on arrival behind a keyed exchange at 10,000 records a second, the second half of the run:",
        "",
        *latency_table(comparison),
        "",
        "Start-up and memory: a job of three records:",
        "",
        *start_up_table(comparison),
    ]
    if comparison.failures:
        lines += ["", "Not measured:", ""]
        lines += [f"* {key}: {why}" for key, why in sorted(comparison.failures.items())]
    commands = {s.command: None for s in comparison.samples.values() if s.round == 0}
    lines += ["", "Commands, one of each:", "", "```", *commands, "```"]
    return "\n".join(lines)


def _load_note(loads: Sequence[float], settings: Mapping[str, Any]) -> str:
    """Whether the machine had other work: a run alone keeps about as many tasks ready as there are cores."""
    if loads and statistics.median(loads) > settings["cores"] + 1:
        return ": **others used it too, so that wall times and latencies are too high**."
    return "."


def replace_between_markers(text: str, content: str, begin: str = BEGIN) -> str:
    """The text with new content between the markers; ``ValueError`` if it has none."""
    before, found, rest = text.partition(begin)
    _, end, after = rest.partition(END)
    if not found or not end:
        raise ValueError(f"no lines {begin} and {END}")
    return f"{before}{begin}\n{content}\n{END}{after}"
