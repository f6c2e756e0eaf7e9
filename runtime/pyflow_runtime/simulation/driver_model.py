"""The resource driver of the simulation: a fixed cluster, or one that grows and shrinks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyflow_runtime.dispatcher import events
from pyflow_runtime.taskexecutor import events as task_executor_events

if TYPE_CHECKING:
    from pyflow_runtime.simulation.job_manager import SimulatedJobManager
    from pyflow_runtime.simulation.world import World

MOST_TASK_MANAGERS = 8


class SimulatedDriver:
    """Starts TaskManagers when slots are missing, if the cluster is elastic."""

    def __init__(self, world: World, elastic: bool, fixed_slots: int) -> None:
        self.world = world
        self.elastic = elastic
        self.fixed_slots = fixed_slots

    def wish(self, job_manager: SimulatedJobManager, missing_slots: int) -> None:
        """The JobManager wants that many more slots."""
        if missing_slots and job_manager is self.world.leader:
            self.world.clock.after(self.world.random.randint(50, 800), self._start, job_manager, missing_slots)

    def _start(self, job_manager: SimulatedJobManager, missing_slots: int) -> None:
        if not self.elastic:
            reason = f"this cluster has {self.fixed_slots} slots"
            job_manager.post(events.ResourcesUnavailable(reason=reason, final=True, slots=self.fixed_slots))
        elif self.world.task_manager_count < MOST_TASK_MANAGERS:
            self.world.start_task_manager(min(4, missing_slots))
            if missing_slots > 4:
                self.world.start_task_manager(missing_slots - 4)

    def release(self, job_manager: SimulatedJobManager, task_manager_id: str) -> None:
        """A TaskManager has been idle for long."""
        task_manager = self.world.task_managers.get(task_manager_id)
        if self.elastic and task_manager is not None and job_manager is self.world.leader:
            self.world.leaving.add(task_manager_id)
            task_manager.post(task_executor_events.ShutDown(reason="idle"))
