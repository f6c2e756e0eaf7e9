"""What a JobManager and the supervisor that forked it say to each other, over a socket pair."""

from __future__ import annotations

import msgspec


class ToSupervisor(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all messages to the supervisor."""


class StartTaskManager(ToSupervisor, tag="start_task_manager", frozen=True, kw_only=True):
    """Fork another TaskManager."""

    slots: int


class StopTaskManager(ToSupervisor, tag="stop_task_manager", frozen=True, kw_only=True):
    """End that TaskManager; ``kill``: it may not be able to do so itself."""

    task_manager_id: str
    kill: bool = False


class TaskManagerJoined(ToSupervisor, tag="task_manager_joined", frozen=True, kw_only=True):
    """Its join token has been used: said before it gets its certificate, so that no other JobManager signs again."""

    task_manager_id: str


class ForkCoordinator(ToSupervisor, tag="fork_coordinator", frozen=True, kw_only=True):
    """Fork a coordinator process of the supervisor's own interpreter. ``file`` holds its settings.

    Answered by ``CoordinatorForked``, and ``CoordinatorEnded`` when it has ended.
    """

    file: str


class FromSupervisor(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all messages of the supervisor."""


class TaskManagerStarted(FromSupervisor, tag="task_manager_started", frozen=True, kw_only=True):
    """It runs, or is about to, and will register. Repeated for each when a JobManager starts.

    ``join_token``: what it knows beside the cluster's secret; "" if it has joined already, or needs none.
    """

    task_manager_id: str
    slots: int
    join_token: str = ""


class TaskManagerPlaced(FromSupervisor, tag="task_manager_placed", frozen=True, kw_only=True):
    """Its container has been started on that node. Repeated like ``TaskManagerStarted``."""

    task_manager_id: str
    node: str


class TaskManagerEnded(FromSupervisor, tag="task_manager_ended", frozen=True, kw_only=True):
    """``reason`` is a clause; ``wanted`` if ``StopTaskManager`` without ``kill`` asked for it."""

    task_manager_id: str
    reason: str
    wanted: bool


class CoordinatorForked(FromSupervisor, tag="coordinator_forked", frozen=True, kw_only=True):
    """It runs."""

    file: str
    pid: int


class CoordinatorEnded(FromSupervisor, tag="coordinator_ended", frozen=True, kw_only=True):
    """``status`` as of ``os.waitstatus_to_exitcode``."""

    file: str
    status: int


ToSupervisorMessage = StartTaskManager | StopTaskManager | TaskManagerJoined | ForkCoordinator
AboutTaskManager = TaskManagerStarted | TaskManagerPlaced | TaskManagerEnded
FromSupervisorMessage = AboutTaskManager | CoordinatorForked | CoordinatorEnded
