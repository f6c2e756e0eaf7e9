"""Seeded schedules of the whole control plane: no promise is broken, whatever goes wrong."""

from __future__ import annotations

import pytest

from pyflow_runtime.simulation.campaign import run_block, run_seed
from pyflow_runtime.simulation.world import World

FAST = 300
SLOW = 3_000


def check(first: int, end: int) -> None:
    figures = run_block(first, end)
    assert not figures.violations, "\n".join(violation.render() for violation in figures.violations)
    assert figures.schedules == end - first
    assert figures.shortest_seconds >= 60
    assert figures.fewest_faults >= 3


@pytest.mark.parametrize("first", range(0, FAST, 50))
def test_no_schedule_breaks_a_promise(first: int) -> None:
    check(first, first + 50)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_schedule_of_many_breaks_a_promise() -> None:
    check(FAST, SLOW)


def test_without_faults_every_job_finishes_at_the_first_attempt() -> None:
    for seed in range(50):
        world = World(seed, faults=False)
        world.run()
        assert world.store.epoch == 1
        assert all(view.restarts == 0 for view in world.leader.machine.jobs())
        assert world.nemesis.count == 0
        for job_id in world.client.collected_all:
            (expected,) = world.jobs[job_id].expected.values()
            assert sorted(world.client.collected[job_id]) == sorted(
                element for element, count in expected.items() for _ in range(count)
            )


def test_a_seed_is_a_schedule() -> None:
    first, second = run_seed(7), run_seed(7)
    assert (first.events, first.messages, first.faults, first.outcomes) == (
        second.events,
        second.messages,
        second.faults,
        second.outcomes,
    )
    assert run_seed(8).events != first.events


def test_schedules_differ_in_what_happens() -> None:
    figures = run_block(0, 100)
    assert set(figures.outcomes) == {"FINISHED", "FAILED", "CANCELED"}
    assert figures.leaders > 200
    assert figures.recommitted > 0
    assert figures.faults > 800
