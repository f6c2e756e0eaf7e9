"""A machine in an event loop: order, the end, and what ends it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

import pytest

from pyflow_runtime.processes.machine_runner import MachineRunner


def echo(event: object, now: int) -> Sequence[object]:
    assert now > 0
    return [event]


def run(body: Callable[[MachineRunner[object]], Awaitable[None]]) -> None:
    async def main() -> None:
        await body(MachineRunner[object]("JobManager", echo))

    asyncio.run(main())


def test_events_that_an_effect_causes_come_after_it() -> None:
    async def body(runner: MachineRunner[object]) -> None:
        order: list[object] = []

        def first(effect: object) -> None:
            runner.feed("caused")
            order.append(effect)

        runner.performers = {int: first, str: order.append}
        runner.feed(1)
        runner.feed(2)
        assert order == [1, "caused", 2, "caused"]

    run(body)


def test_nothing_is_handled_after_the_end_and_the_first_word_counts() -> None:
    async def body(runner: MachineRunner[object]) -> None:
        heard: list[object] = []
        runner.performers = {int: heard.append}
        runner.end(3)
        runner.end(0)
        runner.fail(ValueError("late"))
        runner.feed(1)
        assert await runner.done == 3
        assert heard == []

    run(body)


@pytest.mark.parametrize("how", ["performer", "effect", "background"])
def test_an_error_anywhere_means_that_the_process_cannot_go_on(how: str, caplog: pytest.LogCaptureFixture) -> None:
    async def body(runner: MachineRunner[object]) -> None:
        def fails(effect: object) -> None:
            raise ZeroDivisionError

        async def works() -> None:
            raise ZeroDivisionError

        runner.performers = {int: fails}
        if how == "background":
            runner.run(works())
        else:
            runner.feed(1 if how == "performer" else "unknown")
        with pytest.raises(KeyError if how == "effect" else ZeroDivisionError):
            await runner.done

    with caplog.at_level(logging.ERROR):
        run(body)
    assert [record.message for record in caplog.records] == ["the JobManager cannot go on"]


def test_background_work_is_cancelled() -> None:
    async def body(runner: MachineRunner[object]) -> None:
        ended: list[str] = []

        async def works() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                ended.append("ended")

        runner.run(works())
        await asyncio.sleep(0)
        runner.cancel_tasks()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert ended == ["ended"]
        assert not runner.done.done()

    run(body)
