"""The driver of the embedded cluster: asks the supervisor, over a socket pair, to fork TaskManagers.

With ``taskmanager.numberOfTaskSlots`` set the cluster has that many slots for good, and a lost TaskManager is
replaced. Without, it grows: another TaskManager brings the slots that are missing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pyflow_runtime.processes.supervision import (
    AboutTaskManager,
    StartTaskManager,
    StopTaskManager,
    TaskManagerPlaced,
    TaskManagerStarted,
    ToSupervisorMessage,
)
from pyflow_runtime.resourcemanager.driver import DriverListener

MAX_FAILED_STARTS = 3


class Link(Protocol):
    """Carries messages between the driver and the supervisor."""

    def start(self, handle: Callable[[AboutTaskManager], None]) -> None:
        """Hand over what the supervisor says about TaskManagers from now on."""

    def send(self, message: ToSupervisorMessage) -> None:
        """Send without waiting."""


class EmbeddedDriver:
    """See the module. ``fixed_slots`` is None for a cluster that grows, up to ``max_slots``."""

    def __init__(self, link: Link, fixed_slots: int | None, max_slots: int) -> None:
        self._link = link
        self._fixed_slots = fixed_slots
        self._max_slots = max_slots
        self._listener: DriverListener | None = None
        self._running: dict[str, int] = {}
        self._registered: set[str] = set()
        self._stopping: set[str] = set()
        self._asked_for: list[int] = []
        self._missing = 0
        self._failed_starts = 0

    def start(self, listener: DriverListener) -> None:
        """See ``ResourceDriver``."""
        self._listener = listener
        self._link.start(self.handle)

    def request(self, missing_slots: int) -> None:
        """See ``ResourceDriver``."""
        self._missing = missing_slots
        self._provide()

    def registered(self, task_manager_id: str, slots: int) -> None:
        """See ``ResourceDriver``."""
        self._running.setdefault(task_manager_id, slots)
        self._registered.add(task_manager_id)
        self._failed_starts = 0

    def release(self, task_manager_id: str) -> None:
        """See ``ResourceDriver``: the slots of a fixed cluster stay, and of a growing one the last TaskManager."""
        left = len(self._running) - len(self._stopping)
        if self._fixed_slots is None and task_manager_id in self._running.keys() - self._stopping and left > 1:
            self._stopping.add(task_manager_id)
            self._link.send(StopTaskManager(task_manager_id=task_manager_id))

    def lost(self, task_manager_id: str) -> None:
        """See ``ResourceDriver``: it may be stopped or stuck, and its slots are wanted."""
        if task_manager_id in self._running and task_manager_id not in self._stopping:
            self._stopping.add(task_manager_id)
            self._link.send(StopTaskManager(task_manager_id=task_manager_id, kill=True))

    def handle(self, message: AboutTaskManager) -> None:
        """What the supervisor says; on one machine there is nothing to learn from where something is."""
        if isinstance(message, TaskManagerPlaced):
            return
        if isinstance(message, TaskManagerStarted):
            if message.slots in self._asked_for:
                self._asked_for.remove(message.slots)
            self._running[message.task_manager_id] = message.slots
            return
        slots = self._running.pop(message.task_manager_id, 0)
        if message.task_manager_id not in self._registered:
            self._failed_starts += 1
        self._registered.discard(message.task_manager_id)
        self._stopping.discard(message.task_manager_id)
        assert self._listener is not None
        self._listener.task_manager_ended(message.task_manager_id, message.reason)
        if message.wanted:
            return
        if self._failed_starts >= MAX_FAILED_STARTS:
            self._listener.resources_unavailable(
                f"TaskManagers end before they are ready ({message.task_manager_id}: {message.reason}).", final=True
            )
        elif self._fixed_slots is not None and slots:
            self._start(slots)
        else:
            self._provide()

    def _provide(self) -> None:
        assert self._listener is not None
        here = self._registered | self._stopping
        coming = sum(slots for task_manager, slots in self._running.items() if task_manager not in here)
        coming += sum(self._asked_for)
        wanted = self._missing - coming
        if wanted <= 0:
            return
        total = sum(self._running.values()) + sum(self._asked_for)
        noun = "slot is" if wanted == 1 else "slots are"
        if self._fixed_slots is not None:
            self._listener.resources_unavailable(
                f"{wanted} more {noun} wanted than the {self._fixed_slots} that taskmanager.numberOfTaskSlots gives:"
                " lower the parallelism, or raise or remove that option.",
                final=True,
                slots=self._fixed_slots,
            )
        elif total + wanted > self._max_slots:
            self._listener.resources_unavailable(
                f"{wanted} more {noun} wanted, but {total} of at most {self._max_slots} slots"
                " (slotmanager.number-of-slots.max) exist already: lower the parallelism, or raise that option.",
                final=True,
                slots=self._max_slots,
            )
        else:
            self._start(wanted)

    def _start(self, slots: int) -> None:
        self._asked_for.append(slots)
        self._link.send(StartTaskManager(slots=slots))
