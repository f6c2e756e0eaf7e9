"""What the machines of one JobManager share while they handle an event: the time, the epoch, and where effects go."""

from __future__ import annotations

from pyflow_runtime.dispatcher.effects import CancelTimer, Effect, SendToTaskManager, SetTimer
from pyflow_runtime.taskexecutor.messages import ToTaskManagerMessage


class Outbox:
    """Collects the effects of one event."""

    __slots__ = ("effects", "epoch", "now")

    def __init__(self) -> None:
        self.effects: list[Effect] = []
        self.epoch = 0
        self.now = 0

    def emit(self, effect: Effect) -> None:
        """Have the shell do that."""
        self.effects.append(effect)

    def send(self, task_manager_id: str, incarnation: str, message: ToTaskManagerMessage) -> None:
        """A message to that incarnation of a TaskManager."""
        self.effects.append(
            SendToTaskManager(task_manager_id=task_manager_id, incarnation=incarnation, message=message)
        )

    def set_timer(self, key: str, at: int) -> None:
        """Be woken at that time."""
        self.effects.append(SetTimer(key=key, at=at))

    def cancel_timer(self, key: str) -> None:
        """Not be woken any more."""
        self.effects.append(CancelTimer(key=key))
