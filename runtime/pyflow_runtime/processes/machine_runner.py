"""A pure machine in an event loop: events go in, what the machine wants is performed, until somebody says the end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Generic, TypeVar

from pyflow_runtime.processes.timers import now

logger = logging.getLogger(__name__)
Event = TypeVar("Event")


class MachineRunner(Generic[Event]):
    """``name`` is said in logs; ``handle`` is the machine's; ``performers`` has a function for each type of effect.

    ``done`` becomes the exit code, or what went wrong: an error in the machine, in a performer or in background work
    means that this process cannot go on.
    """

    def __init__(self, name: str, handle: Callable[[Event, int], Sequence[Any]]) -> None:
        self._name = name
        self._handle = handle
        self.performers: dict[type[Any], Callable[[Any], None]] = {}
        self._loop = asyncio.get_running_loop()
        self._queue: list[Event] = []
        self._handling = False
        self._tasks: set[asyncio.Task[None]] = set()
        self.done: asyncio.Future[int] = self._loop.create_future()

    def feed(self, event: Event) -> None:
        """Let the machine handle an event and perform what it wants; events that this causes come after it."""
        if self.done.done():
            return
        self._queue.append(event)
        if self._handling:
            return
        self._handling = True
        try:
            while self._queue:
                for effect in self._handle(self._queue.pop(0), now()):
                    self.performers[type(effect)](effect)
        except Exception as error:
            self.fail(error)
        finally:
            self._handling = False

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something in the background."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)

    def end(self, code: int) -> None:
        """The process is to end; the first word counts."""
        if not self.done.done():
            self.done.set_result(code)

    def fail(self, error: BaseException) -> None:
        """The process cannot go on."""
        if not self.done.done():
            logger.error("the %s cannot go on", self._name, exc_info=error)
            self.done.set_exception(error)

    def cancel_tasks(self) -> None:
        """Cancel what goes on in the background."""
        for task in self._tasks:
            task.cancel()
