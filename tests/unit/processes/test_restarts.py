"""When a supervisor gives up on its JobManager."""

from __future__ import annotations

from pyflow_runtime.processes.restarts import DEATHS, WINDOW_SECONDS, RestartLimit


def test_many_deaths_at_once_are_too_many_and_the_same_over_a_long_time_are_not() -> None:
    limit = RestartLimit()
    assert [limit.died(time, "exit code 1") for time in range(DEATHS - 1)] == [""] * (DEATHS - 1)
    assert limit.died(DEATHS, "exit code 1") == "The JobManager died 5 times within 60 s (exit code 1)"
    patient = RestartLimit()
    assert not any(patient.died(number * WINDOW_SECONDS / (DEATHS - 1), "") for number in range(100))
