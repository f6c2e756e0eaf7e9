"""The TaskExecutor: what a TaskManager does about its JobManager, its slots, its workers and their tasks."""

from __future__ import annotations

from collections.abc import Mapping

from pyflow_runtime.taskexecutor.effects import Effect
from pyflow_runtime.taskexecutor.events import Event
from pyflow_runtime.taskexecutor.messages import ExecutionReport, RegisterTaskManager, SlotReport


class TaskExecutor:
    """Pure machine of one TaskManager process. ``registration`` says what it is and has."""

    def __init__(self, registration: RegisterTaskManager, configuration: Mapping[str, str]) -> None:
        self.registration = registration
        self.configuration = configuration

    def handle(self, event: Event, now: int) -> list[Effect]:
        """What to do about ``event``; ``now`` is epoch milliseconds."""
        raise NotImplementedError

    def slots(self) -> list[SlotReport]:
        """The slot table."""
        raise NotImplementedError

    def executions(self) -> list[ExecutionReport]:
        """Every attempt it knows: live, or ended and not yet acknowledged."""
        raise NotImplementedError
