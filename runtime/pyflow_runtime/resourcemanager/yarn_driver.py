"""The driver of a cluster on YARN: a container for each TaskManager, asked for one by one through the supervisor.

Containers that end are replaced as long as their slots are missing. Those that end before their TaskManager has
registered count as failed starts: too many in a minute make the driver pause, and a node with several in a row is
avoided for a while.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Callable
from typing import NamedTuple

from pyflow_runtime.processes.supervision import (
    AboutTaskManager,
    StartTaskManager,
    StopTaskManager,
    TaskManagerEnded,
    TaskManagerPlaced,
    TaskManagerStarted,
)
from pyflow_runtime.resourcemanager.driver import DriverListener
from pyflow_runtime.resourcemanager.embedded_driver import Link

MINUTE = 60.0
REPORT_SECONDS = 5.0
BAD_NODE_FAILURES = 2
BAD_NODE_SECONDS = 600.0
MOST_REFUSALS = 3


class Worker(NamedTuple):
    """What every container is: its slots, its memory in MB, and the queue that it comes from."""

    slots: int
    memory_mb: int
    queue: str


class Pace(NamedTuple):
    """How many failed starts a minute may have, and how many seconds of pause follow more."""

    failures_per_minute: float
    pause: float


class YarnDriver:
    """See the module. ``clock`` gives seconds, ``call_later`` calls a function after some."""

    def __init__(
        self,
        link: Link,
        worker: Worker,
        pace: Pace,
        clock: Callable[[], float],
        call_later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        self._link = link
        self._worker = worker
        self._pace = pace
        self._clock = clock
        self._call_later = call_later
        self._listener: DriverListener | None = None
        self._missing = 0
        self._asked = 0
        # Of TaskManagers that have not registered yet: since when they are waited for, and on which node they are.
        self._coming: dict[str, float] = {}
        self._nodes: dict[str, str] = {}
        self._registered: set[str] = set()
        self._stopping: set[str] = set()
        self._failures: collections.deque[float] = collections.deque()
        self._last_failure = ""
        self._pausing = False
        self._reporting = False
        self._node_failures: dict[str, list[float]] = {}
        self._refusals = 0

    def start(self, listener: DriverListener) -> None:
        """See ``ResourceDriver``."""
        self._listener = listener
        self._link.start(self.handle)

    def request(self, missing_slots: int) -> None:
        """See ``ResourceDriver``: what was asked for and is no longer wanted is withdrawn."""
        self._missing = missing_slots
        surplus = len(self._coming) - self._wanted()
        for task_manager in list(self._coming)[::-1][: max(0, surplus)]:
            self._stop(task_manager)
        self._provide()

    def registered(self, task_manager_id: str, slots: int) -> None:
        """See ``ResourceDriver``."""
        self._coming.pop(task_manager_id, None)
        self._registered.add(task_manager_id)
        self._refusals = 0
        if node := self._nodes.get(task_manager_id):
            self._node_failures.pop(node, None)

    def release(self, task_manager_id: str) -> None:
        """See ``ResourceDriver``."""
        if task_manager_id in self._registered - self._stopping:
            self._stop(task_manager_id)

    def lost(self, task_manager_id: str) -> None:
        """See ``ResourceDriver``: whether it is stuck or cut off, its container ends."""
        if task_manager_id in self._registered - self._stopping:
            self._stop(task_manager_id, kill=True)

    def handle(self, message: AboutTaskManager) -> None:
        """What the supervisor says."""
        if isinstance(message, TaskManagerStarted):
            self._asked = max(0, self._asked - 1)
            if message.task_manager_id not in self._registered:
                self._coming.setdefault(message.task_manager_id, self._clock())
            self._report_later()
        elif isinstance(message, TaskManagerPlaced):
            self._placed(message)
        else:
            self._ended(message)

    # ---- inside ----

    def _wanted(self) -> int:
        return math.ceil(self._missing / self._worker.slots)

    def _provide(self) -> None:
        if not self._pausing:
            for _ in range(self._wanted() - len(self._coming) - self._asked):
                self._asked += 1
                self._link.send(StartTaskManager(slots=self._worker.slots))

    def _stop(self, task_manager_id: str, kill: bool = False) -> None:
        self._coming.pop(task_manager_id, None)
        self._stopping.add(task_manager_id)
        self._link.send(StopTaskManager(task_manager_id=task_manager_id, kill=kill))

    def _placed(self, message: TaskManagerPlaced) -> None:
        self._nodes[message.task_manager_id] = message.node
        if message.task_manager_id in self._coming and self._is_bad(message.node) and self._refusals < MOST_REFUSALS:
            self._refusals += 1
            self._stop(message.task_manager_id)
            self._provide()

    def _is_bad(self, node: str) -> bool:
        since = self._clock() - BAD_NODE_SECONDS
        recent = [failure for failure in self._node_failures.get(node, ()) if failure > since]
        return len(recent) >= BAD_NODE_FAILURES

    def _ended(self, message: TaskManagerEnded) -> None:
        assert self._listener is not None
        task_manager = message.task_manager_id
        node = self._nodes.pop(task_manager, "")
        where = f" on {node}" if node else ""
        if task_manager in self._coming:
            del self._coming[task_manager]
            now = self._clock()
            self._failures.append(now)
            self._last_failure = f"{task_manager}{where}: {message.reason}"
            if node:
                self._node_failures.setdefault(node, []).append(now)
        self._registered.discard(task_manager)
        self._stopping.discard(task_manager)
        self._listener.task_manager_ended(task_manager, f"its container{where} ended: {message.reason.rstrip('.')}")
        self._pause_if_failing()
        self._provide()

    def _pause_if_failing(self) -> None:
        assert self._listener is not None
        while self._failures and self._failures[0] <= self._clock() - MINUTE:
            self._failures.popleft()
        if self._pausing or len(self._failures) <= self._pace.failures_per_minute or not self._missing:
            return
        self._pausing = True
        self._listener.resources_unavailable(
            f"{len(self._failures)} TaskManagers ended within a minute before they were ready, the last one"
            f" {self._last_failure.rstrip('.')}.",
            final=False,
        )
        self._call_later(self._pace.pause, self._go_on)

    def _go_on(self) -> None:
        self._pausing = False
        self._provide()

    def _report_later(self) -> None:
        if not self._reporting:
            self._reporting = True
            self._call_later(REPORT_SECONDS, self._report)

    def _report(self) -> None:
        """Say what is waited for, again and again as long as it is."""
        assert self._listener is not None
        self._reporting = False
        waiting = {
            task_manager: since for task_manager, since in self._coming.items() if task_manager not in self._nodes
        }
        if waiting and self._missing:
            count, seconds = len(waiting), self._clock() - min(waiting.values())
            noun = "container" if count == 1 else "containers"
            self._listener.resources_unavailable(
                f"waiting for {count} {noun} of {self._worker.memory_mb} MB in queue {self._worker.queue},"
                f" {seconds:.0f} s.",
                final=False,
            )
        if self._coming:
            self._report_later()
