"""What is made of the samples of a comparison: net costs, ratios, goals, tables."""

from __future__ import annotations

import json
from typing import Any

import pytest

from peers.report import (
    BEGIN,
    END,
    GOALS,
    LOOP,
    OURS,
    START_UP,
    Comparison,
    Sample,
    number,
    percentiles,
    reason_of,
    render,
    replace_between_markers,
    spread,
)

CELLS = [("map_chain", 1), ("word_count", 1), ("word_count", 2), ("state_counter", 1)]
SETTINGS: dict[str, Any] = {
    "runs": 2,
    "scale": 1.0,
    "systems": [OURS, LOOP, "bytewax"],
    "date": "2026-01-02 03:04 UTC",
    "command": "python benchmarks/compare.py",
    "cores": 2,
    "finished": False,
    "versions": {"CPython": "3.11.7", "bytewax": "0.21.1"},
}


def sample(workload: str, system: str, cpu: float, round_: int = 0, parallelism: int = 1, **figures: Any) -> Sample:
    """A sample of a million records."""
    defaults: dict[str, Any] = {"records": 1_000_000, "command": f"run {workload}", "load": [1.0, 1.0, 1.0]}
    return Sample(workload, parallelism, system, round_, wall=cpu, cpu=cpu, **{**defaults, **figures})


def comparison(*samples: Sample) -> Comparison:
    """A comparison with these samples."""
    return Comparison(SETTINGS, {one.key: one for one in samples})


def test_start_up_of_the_same_round_and_parallelism_is_taken_off() -> None:
    found = comparison(
        sample(START_UP, OURS, 0.5),
        sample(START_UP, OURS, 0.7, 1),
        sample(START_UP, OURS, 0.9, parallelism=2),
        sample("map_chain", OURS, 1.5),
        sample("map_chain", OURS, 2.7, 1),
        sample("word_count", OURS, 2.9, parallelism=2),
    )
    assert found.costs("map_chain", 1, OURS) == pytest.approx([1.0, 2.0])
    assert found.costs("word_count", 2, OURS) == pytest.approx([2.0])


def test_a_cost_without_a_start_up_to_take_off_is_unknown() -> None:
    found = comparison(sample("map_chain", OURS, 1.5))
    assert found.costs("map_chain", 1, OURS) == []
    assert "not measured" in GOALS[0].verdict(found)


def test_ratios_are_of_one_round() -> None:
    found = comparison(
        *(sample(START_UP, system, 0.0, k) for system in (OURS, "bytewax") for k in (0, 1)),
        sample("map_chain", OURS, 1.0),
        sample("map_chain", "bytewax", 3.0),
        sample("map_chain", OURS, 2.0, 1),
        sample("map_chain", "bytewax", 4.0, 1),
    )
    assert found.ratios("map_chain", 1, "bytewax", OURS) == pytest.approx([3.0, 2.0])


@pytest.mark.parametrize(("cpu", "verdict"), [(1.4, "1.40, met"), (1.6, "1.60, **missed**")])
def test_a_goal_says_what_was_wanted_and_what_was_found(cpu: float, verdict: str) -> None:
    found = comparison(
        sample(START_UP, OURS, 0.0),
        sample(START_UP, LOOP, 0.0),
        sample("map_chain", OURS, cpu),
        sample("map_chain", LOOP, 1.0),
    )
    assert GOALS[0].verdict(found) == f"≤ 1.5x the loop: {verdict}"


def test_a_goal_of_two_figures_wants_both() -> None:
    goal = next(goal for goal in GOALS if goal.workload == "latency")
    assert goal.verdict(comparison(sample("latency", OURS, 1, p50_ms=50, p99_ms=110))).endswith("50.0 / 110, met")
    assert goal.verdict(comparison(sample("latency", OURS, 1, p50_ms=50, p99_ms=130))).endswith("**missed**")


def test_percentiles_are_of_the_second_half() -> None:
    pairs = [(k, 1_000_000_000 if k < 100 else (k - 99) * 1_000_000) for k in reversed(range(200))]
    assert percentiles(pairs, 200) == (50.5, 100.0)


@pytest.mark.parametrize("numbers", [[0, 1], [0, 1, 1], [0, 1, 3]])
def test_percentiles_of_lost_or_doubled_records_are_refused(numbers: list[int]) -> None:
    with pytest.raises(ValueError, match="arrived, 3 were sent"):
        percentiles([(k, 1) for k in numbers], 3)


def test_numbers_have_three_digits_and_spreads_a_range() -> None:
    assert [number(value) for value in (0.1234, 12.345, 1234.5)] == ["0.12", "12.3", "1,234"]
    assert spread([]) == "-"
    assert spread([2.0]) == "2.00"
    assert spread([3.0, 1.0, 2.0]) == "2.00 (1.00-3.00)"


def test_the_tables_have_ours_first_and_every_row_as_wide_as_its_header() -> None:
    found = comparison(
        *(sample(START_UP, system, 0.5, memory=50_000_000) for system in ("bytewax", OURS)),
        sample("map_chain", "bytewax", 2.5),
        sample("map_chain", OURS, 1.5),
        sample("latency", OURS, 1.0, p50_ms=1.0, p99_ms=2.0),
    )
    found.failures["word_count/1/bytewax/0"] = "it broke"
    text = render(found, CELLS)
    rows = [line for line in text.splitlines() if line.startswith("| map")]
    assert rows == [
        "| map, filter, map | 1 | pyflow-yarn | 1,000,000 | 1.00 | 1 | 1.50 | ≤ 1.5x the loop: not measured |",
        "| map, filter, map | 1 | bytewax | 1,000,000 | 2.00 | 2.00 | 2.50 |  |",
    ]
    assert "| word count, per word | 1 | bytewax | failed | - | - | - |  |" in text
    assert "* word_count/1/bytewax/0: it broke" in text
    assert "1.0 to 1.0 (median 1.0) on 2 cores." in text
    widths = [[line.count("|") for line in block.splitlines() if line[:1] == "|"] for block in text.split("\n\n")]
    assert all(len(set(width)) <= 1 for width in widths)


def test_a_failure_is_told_by_its_innermost_cause() -> None:
    assert (
        reason_of("x failed:\nCaused by: outer\n\tat a\nCaused by: inner\n\tat b\n\t... 3 more\n") == "Caused by: inner"
    )
    assert reason_of("wrong output\n\n") == "wrong output"
    assert reason_of("") == "failed"


def test_a_loaded_machine_is_said() -> None:
    assert "others used it too" in render(comparison(sample(START_UP, OURS, 0.5, load=[9.0, 9.0, 9.0])), CELLS)


def test_a_comparison_survives_its_file() -> None:
    found = comparison(sample(START_UP, OURS, 0.5), sample("map_chain", OURS, 1.5, 1))
    found.failures["bytewax"] = "no index"
    assert Comparison.from_json(json.loads(json.dumps(found.as_json()))) == found


def test_only_what_stands_between_the_markers_is_replaced() -> None:
    once = replace_between_markers(f"a\n{BEGIN}\nold\n{END}\nb\n", "new")
    assert once == f"a\n{BEGIN}\nnew\n{END}\nb\n"
    with pytest.raises(ValueError, match="no lines"):
        replace_between_markers("a\n", "new")
