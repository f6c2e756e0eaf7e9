"""The control plane of a JobManager: Dispatcher, ResourceManager and JobMasters as one pure machine."""

from __future__ import annotations

from collections.abc import Mapping

from pyflow_runtime.dispatcher.effects import Effect
from pyflow_runtime.dispatcher.events import Event
from pyflow_runtime.dispatcher.views import ClusterView, JobView, TaskManagerView


class ControlPlane:
    """Pure machine of one JobManager process. The first event is ``LeadershipGranted``."""

    def __init__(self, configuration: Mapping[str, str]) -> None:
        self.configuration = configuration

    def handle(self, event: Event, now: int) -> list[Effect]:
        """What to do about ``event``; ``now`` is epoch milliseconds."""
        raise NotImplementedError

    def cluster(self) -> ClusterView:
        """Counts for the overview."""
        raise NotImplementedError

    def jobs(self) -> list[JobView]:
        """Running and ended jobs, by start."""
        raise NotImplementedError

    def job(self, job_id: str) -> JobView:
        """One job; ``JobNotFoundError`` if unknown."""
        raise NotImplementedError

    def task_managers(self) -> list[TaskManagerView]:
        """The registered TaskManagers."""
        raise NotImplementedError
