"""What is made of the samples on YARN, and how processes are told to be a container's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import yarn
import yarn_watch
from yarn_report import (
    APPLICATION,
    COLD,
    FLINK,
    GOALS,
    OURS,
    WARM,
    Sample,
    figures,
    first_of,
    phases,
    render,
    since,
    specified_at,
)

SETTINGS = {"date": "2026-01-02 03:04 UTC", "command": "python benchmarks/yarn.py", "versions": "a 1", "cores": 2}
MINE = "application_1700000000000_0007"


def sample(scenario: str, system: str, first_record: float, round_: int = 1, **others: Any) -> Sample:
    """A sample whose client ends with its first record."""
    reached = {"first_record": first_record, "client_exit": first_record, **others.pop("reached", {})}
    return Sample(scenario, system, round_, reached, **{"client_cpu": 1.0, "uploaded": 5, "load": (0.5,), **others})


def test_the_first_record_is_the_earliest_one() -> None:
    assert first_of("1 3000000\n0 2500000\n", 2) == 2.5


@pytest.mark.parametrize("text", ["", "0 1\n", "0 1\n0 2\n", "0 1\n2 1\n", "0 1\n1 1\n1 2\n"])
def test_lost_and_doubled_records_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="records were written"):
        first_of(text, 2)


def test_milestones_count_from_the_start_in_their_order_and_what_was_not_seen_is_left_out() -> None:
    found = since(100.0, {"client_exit": 103.0, "running": 102.0, "submitted": 0.0})
    assert list(found.items()) == [("running", 2.0), ("client_exit", 3.0)]


def test_the_cluster_is_specified_where_the_client_says_so() -> None:
    lines = [(1.0, "a\n"), (2.0, "INFO  X [] - Cluster specification: ClusterSpecification{...}\n"), (3.0, "b\n")]
    assert specified_at(lines) == 2.0
    assert specified_at(lines[:1]) == 0.0


def test_a_phase_begins_where_the_one_before_ended() -> None:
    found = phases({"submitted": 1.0, "running": 3.5, "first_record": 6.0, "client_exit": 4.0})
    assert found == {"submitted": 1.0, "running": 2.5, "first_record": 2.5}


def test_a_goal_compares_the_systems_within_a_round() -> None:
    times = {(FLINK, 1): 10.0, (FLINK, 2): 30.0, (OURS, 1): 4.0, (OURS, 2): 15.0, (OURS, 3): 99.0}
    samples = [sample(WARM, system, seconds, round_) for (system, round_), seconds in times.items()]
    verdicts = [goal.verdict(samples) for goal in GOALS]
    assert verdicts[3] == "warm session, first record ≤ 0.5x Flink's: 0.45, met"
    assert verdicts[0] == "application, first record ≤ 0.5x Flink's: not measured"


def test_a_missed_goal_is_said() -> None:
    assert GOALS[1].verdict([sample(APPLICATION, OURS, 1.0, client_cpu=1.6)]).endswith("1.60, **missed**")


def test_figures_have_spreads_of_what_every_run_has_seen() -> None:
    containers = [{"cpu_s": 1.0, "pss_mb": 2.0}]
    cell = [
        sample(COLD, OURS, 1.0, reached={"job_running": 0.5}, containers=containers),
        sample(COLD, OURS, 3.0, containers=[*containers, *containers]),
    ]
    found = figures(cell)
    assert found["seconds"] == {"first_record": [1.0, 2.0, 3.0], "client_exit": [1.0, 2.0, 3.0]}
    assert found["containers"] == [{"cpu_s": [1.0, 1.0, 1.0], "pss_mb": [2.0, 2.0, 2.0]}]


def test_every_row_of_the_tables_is_as_wide_as_its_header() -> None:
    samples = [
        sample(APPLICATION, FLINK, 20.0, reached={"submitted": 5.0}, containers=[{"cpu_s": 1.0, "pss_mb": 2.0}]),
        sample(APPLICATION, OURS, 9.0, command="bin/flink run -t yarn-application job.py"),
        sample(WARM, OURS, 1.0),
    ]
    text = render(samples, SETTINGS)
    widths = [[line.count("|") for line in block.splitlines() if line[:1] == "|"] for block in text.split("\n\n")]
    assert all(len(set(width)) <= 1 for width in widths)
    assert "| Flink, Java job | 5.00 | 20.0 | 20.0 | 1.00 | 0.00 |" in text
    assert "* application, first record ≤ 0.5x Flink's: 0.45, met" in text
    assert "\nbin/flink run -t yarn-application job.py\n" in text


def test_a_process_is_read_off_its_line() -> None:
    fields = ["S", "7", *["0"] * 9, "10", "20", "30", "40", *["0"] * 4, "500"]
    found = yarn_watch.process_of(f"42 (a) b) {' '.join(fields)}", booted=1000.0)
    ticks = yarn_watch.TICKS
    assert found == yarn_watch.Process(parent=7, cpu=100 / ticks, began=1000 + 500 / ticks)


def test_a_container_is_what_names_it_and_what_descends_from_that() -> None:
    first, second = (f"container_e17_1700000000000_0007_01_00000{number}" for number in (1, 2))
    other = "container_1700000000000_0008_01_000001"
    commands = {
        1: b"init",
        10: b"bash\0/" + first.encode() + b"/launch",
        11: b"java",
        12: b"python",
        20: second.encode(),
        30: b"bash\0" + other.encode(),
        31: b"java",
    }
    parents = {1: 0, 10: 1, 11: 10, 12: 11, 20: 1, 30: 1, 31: 30}
    processes = {pid: yarn_watch.Process(parent, 0.0, 0.0) for pid, parent in parents.items()}
    assert yarn_watch.containers_of(MINE, commands, processes) == {first: [10, 11, 12], second: [20]}
    assert yarn_watch.containers_of("", commands, processes) == {}


def test_processes_of_ours_are_known_by_interpreter_or_title() -> None:
    own, _ = yarn_watch.look()
    assert yarn_watch.OUR_PROCESS.match(own[os.getpid()])
    assert yarn_watch.OUR_PROCESS.match(b"pyflow applicationmaster")
    assert not yarn_watch.OUR_PROCESS.match(b"/bin/bash\0-c\0/usr/bin/python3 x")


def test_the_systems_differ_in_their_program_only() -> None:
    system = yarn.System("x", Path("/x/bin"), ("a.jar",), {}, ("-Dk=v",))
    output = Path("/out")
    assert system.application(output) == [
        *("/x/bin/flink", "run", "-t", "yarn-application", "-d", "-Dk=v", "a.jar", "100", "/out")
    ]
    assert system.session() == ["/x/bin/yarn-session.sh", "-d", "-Dk=v"]
    assert system.job(MINE, output)[4:6] == [f"-Dyarn.application.id={MINE}", "-Dk=v"]
