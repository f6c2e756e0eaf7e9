"""The benchmarks run, verify their output and print one JSON line a figure; how fast is not asked here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


def lines(*names: str) -> list[dict[str, object]]:
    return printed("run.py", "--runs", "1", "--scale", "0.002", *names)


def printed(script: str, *arguments: str) -> list[dict[str, object]]:
    command = [sys.executable, str(CHECKOUT / "benchmarks" / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("name", ["map_chain", "word_count", "state_counter", "exchange"])
def test_throughput(built_environment: None, name: str) -> None:
    found = lines(name)
    assert [(line["benchmark"], line["parallelism"]) for line in found] == [(name, 1), (name, 2)]
    assert all({"ratio", "bare_loop_us", "wall_s", "load", "cores", "python", "command"} < set(line) for line in found)


def test_start_up_and_latency(built_environment: None) -> None:
    found = lines("start_up", "latency")
    assert [line["benchmark"] for line in found] == ["start_up", *["latency"] * 4]


def test_copies_of_columns_and_rows(built_environment: None) -> None:
    (found,) = lines("parquet_copy")
    assert (found["benchmark"], found["rows"]) == ("parquet_copy", 2000)
    assert {"columns_cpu_us_per_row", "rows_cpu_us_per_row", "ratio", "load", "command"} < set(found)


def test_many_jobs_on_a_standing_cluster(built_environment: None) -> None:
    together, following = printed("standing_cluster.py", "--clients", "3", "--jobs", "2", "--cycles", "52")
    assert (together["benchmark"], together["jobs"]) == ("jobs at once", 6)
    assert (following["benchmark"], following["cycles"]) == ("submit and finish", 52)
    assert isinstance(following["kb_per_job"], float)


def test_the_control_plane_at_size() -> None:
    found = printed("control_plane_at_size.py", "--task-managers", "20", "--subtasks", "200", "--runs", "1")
    assert [line["edges"] for line in found] == ["HASH"] * 5 + ["FORWARD"] * 5
    assert [line["stage"] for line in found[:2]] == ["register", "schedule and deploy"]
    assert all({"cpu_ms", "grown_mb", "messages", "sent_mb", "load"} < set(line) for line in found)
