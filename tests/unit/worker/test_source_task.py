"""A source's task hands on what its reader gives, in steps that are short."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

from pyflow_runtime.executiongraph.states import ExecutionState
from pyflow_runtime.operators.harness import ChainHarness
from pyflow_runtime.worker.source_task import SourceTask
from pyflow_runtime.worker.task import TARGET_SECONDS, TaskServices
from pyflow_yarn.datastream.source import EndOfInput, SideRecords, SourceReader
from pyflow_yarn.graph.operators import MapOperator, SourceOperator


class Clock:
    """Stands still unless somebody works."""

    def __init__(self) -> None:
        self.now = 0.0

    def read(self) -> float:
        return self.now


class Reader(SourceReader[int]):
    def __init__(self, batches: list[Sequence[int]]) -> None:
        self.batches = batches

    def read_batch(self, max_records: int) -> Sequence[int] | None:
        if not self.batches:
            raise EndOfInput
        return self.batches.pop(0)


def run(batches: list[Sequence[int]], seconds_per_record: float) -> tuple[list[int], list[float]]:
    """What reached the consumer of the side output, and how long each step took."""
    clock, taken, steps = Clock(), list[int](), list[float]()

    def work(value: int) -> int:
        clock.now += seconds_per_record
        taken.append(value)
        return value

    harness = ChainHarness(
        [SourceOperator(source=None), MapOperator(work)], inputs=[-1, 0], tags={1: "bad"}, pickled=False
    ).open()
    services = SimpleNamespace(monotonic=clock.read, clock=lambda: 0, flush_console=lambda: None)
    task = SourceTask(cast(Any, SimpleNamespace(attempt_id=None)), cast(TaskServices, services))
    task.chain, task.state, task._reader = harness.chain, ExecutionState.RUNNING, Reader(batches)
    while task.runnable(clock.now) and not task._ended:
        begin = clock.now
        task.step()
        steps.append(clock.now - begin)
    return taken, steps


def test_a_side_output_of_a_source_is_worked_on_in_short_steps() -> None:
    values = list(range(1000))
    taken, steps = run([SideRecords("bad", values), [1, 2], SideRecords("bad", values)], TARGET_SECONDS / 10)
    assert taken == values * 2
    assert max(steps[1:]) <= 2 * TARGET_SECONDS
