"""RUNNING and RESTARTING: slots are had, tasks deployed, and regions restarted after failures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pyflow_runtime.coordinator.messages import SubtaskReset
from pyflow_runtime.executiongraph.execution import Execution
from pyflow_runtime.executiongraph.states import ExecutionState, JobStatus
from pyflow_runtime.jobmaster.states.job_state import JobState
from pyflow_runtime.resourcemanager.slot_manager import Allocation
from pyflow_runtime.scheduler.pipelined_region import PipelinedRegion, RegionPhase
from pyflow_runtime.scheduler.slot_sharing import SlotKey
from pyflow_yarn.errors import Domain, FailureInfo

if TYPE_CHECKING:
    from pyflow_runtime.jobmaster.job_master import JobMaster

SLOTS_TIMER = "slots"
MAX_SLOT_RETRIES = 3
_AT_WORK = (RegionPhase.DEPLOYED, RegionPhase.CANCELLING)


class Executing(JobState):
    """Each pipelined region goes its way: waiting for slots, deployed, cancelling, waiting for its restart."""

    def __init__(self, job: JobMaster) -> None:
        super().__init__(job)
        self.pending: set[SlotKey] = set()
        self._lacking: dict[int, set[SlotKey]] = {}
        self._slot_retries: dict[SlotKey, int] = {}

    # ---- scheduling ----

    def enter(self) -> None:
        """Schedule every region."""
        if self.job.graph.coordinated:
            self.job.coordinator.start()
        for region in self.job.regions:
            self._schedule(region)
        self._request_slots()

    def _schedule(self, region: PipelinedRegion) -> None:
        job = self.job
        region.phase = RegionPhase.WAITING_FOR_SLOTS
        for subtask in region.subtasks:
            subtask.current.move(ExecutionState.SCHEDULED, job.outbox.now, job.story)
        self._lacking[region.index] = {key for key in region.slot_keys if key not in job.slots}
        if not self._lacking[region.index]:
            self._deploy(region)

    def _request_slots(self) -> None:
        wanted = {key for lacking in self._lacking.values() for key in lacking} - self.pending
        if not wanted:
            return
        if not self.pending:
            self.job.set_timer(SLOTS_TIMER, self.job.outbox.now + self.job.slot_request_timeout)
        self.pending |= wanted
        self.job.resources.request_slots(
            self.job.job_id, {key: self.job.shared_slots[key] for key in wanted}, self.job.environment
        )

    def slot_ready(self, allocation: Allocation) -> None:
        """Deploy every region that waited for just this slot."""
        job, key = self.job, allocation.key
        self.pending.discard(key)
        self._slot_retries.pop(key, None)
        job.slots[key] = allocation
        if not self.pending:
            job.cancel_timer(SLOTS_TIMER)
        for region in job.regions_of_slot[key]:
            lacking = self._lacking.get(region.index)
            if lacking is not None:
                lacking.discard(key)
                if not lacking:
                    self._deploy(region)

    def _deploy(self, region: PipelinedRegion) -> None:
        del self._lacking[region.index]
        region.phase = RegionPhase.DEPLOYED
        for subtask in region.subtasks:
            self.job.place(subtask, self.job.slots[subtask.slot_key])
        self.job.send_deployments(region.subtasks)

    def resources_denied(self, reason: str, slots: int) -> None:
        """Too big for this cluster, now and later."""
        needed = len(self.job.shared_slots)
        if self.pending and needed > slots:
            self.job.fail(
                self._no_resource(
                    f"the job needs {needed} slots, the cluster has {slots}:"
                    " lower the parallelism or raise taskmanager.numberOfTaskSlots"
                    if slots
                    else reason.rstrip(".")
                )
            )

    def _no_resource(self, message: str) -> FailureInfo:
        return FailureInfo(
            exception="NoResourceAvailableException",
            message=message,
            domain=Domain.CLUSTER,
            timestamp=self.job.outbox.now,
        )

    # ---- failover ----

    def attempts_failed(self, executions: Sequence[Execution], failure: FailureInfo) -> None:
        """Restart their regions, unless that is under way already."""
        # In order, each once: a set of regions is ordered by their addresses, and a schedule could not be replayed.
        regions = list(dict.fromkeys(self.job.region_of(execution) for execution in executions))
        fresh = [region for region in regions if not region.restarting]
        if fresh:
            self._restart(self.job.regions if self.job.full_failover else fresh, failure)
        else:
            self.job.history.record_concurrent(failure)
        self._continue_restarts(regions)

    def attempt_ended(self, execution: Execution) -> None:
        """A region may be completely cancelled now, or the job completely finished."""
        region = self.job.region_of(execution)
        if region.restarting:
            self._continue_restarts([region])
        elif self.job.execution_graph.all_finished:
            self.job.finish()
        elif region.finished:
            self._free_finished_slots(region)

    def _free_finished_slots(self, region: PipelinedRegion) -> None:
        """Give back slots in which everything has finished: others may wait for them."""
        job = self.job
        for key in [key for key in region.slot_keys if key in job.slots]:
            if all(other.finished for other in job.regions_of_slot[key]):
                job.resources.free_slot(job.slots.pop(key).allocation_id)

    def coordinator_failed(self, failure: FailureInfo) -> None:
        """What it knew is lost: everything restarts with a new one."""
        self.job.coordinator.drop()
        self._restart(self.job.regions, failure)

    def coordinator_exited(self, failure: FailureInfo) -> None:
        """As if it had failed."""
        self._restart(self.job.regions, failure)

    def _restart(self, regions: Iterable[PipelinedRegion], failure: FailureInfo) -> None:
        job = self.job
        restart = job.restart_strategy.failed(job.outbox.now)
        if restart is None:
            job.fail(failure, suppressed=True)
            return
        if restart.new_attempt:
            job.history.record(failure)
            job.restarts += 1
        else:
            job.history.record_concurrent(failure)
        if job.status is not JobStatus.RESTARTING:
            job.move(JobStatus.RESTARTING)
        for region in regions:
            region.restart_at = max(region.restart_at, job.outbox.now + restart.delay)
            region.phase = RegionPhase.CANCELLING
            self._lacking.pop(region.index, None)
        job.cancel_executions(subtask.current for region in regions for subtask in region.subtasks)
        self._continue_restarts(regions)

    def _continue_restarts(self, regions: Iterable[PipelinedRegion]) -> None:
        if self.job.state is not self:
            return
        for region in regions:
            if region.phase is RegionPhase.CANCELLING and region.all_terminal:
                region.phase = RegionPhase.WAITING_FOR_RESTART
                self.job.set_timer(f"restart/{region.index}", region.restart_at)

    def _begin_restart(self, region: PipelinedRegion) -> None:
        job = self.job
        if job.graph.coordinated and not job.coordinator.alive:
            job.coordinator.start()
        region.ended = 0
        for subtask in region.subtasks:
            execution = job.execution_graph.reset(subtask, job.outbox.now)
            if subtask.coordinated:
                vertex_id, number = subtask.key
                job.coordinator.send(
                    SubtaskReset(vertex_id=vertex_id, subtask=number, attempt=execution.attempt_id.attempt)
                )
        self._schedule(region)
        self._request_slots()
        if not any(other.restarting for other in job.regions):
            job.move(JobStatus.RUNNING)

    def slot_failed(self, allocation: Allocation, failure: FailureInfo, was_ready: bool) -> None:
        """Get another one if a region waits for it; a worker that never starts is a failure of those who wait."""
        key = allocation.key
        self.pending.discard(key)
        waiting = [region for region in self.job.regions_of_slot[key] if region.index in self._lacking]
        for region in waiting:
            self._lacking[region.index].add(key)
        if not waiting:
            return
        if not was_ready:
            retries = self._slot_retries[key] = self._slot_retries.get(key, 0) + 1
            if retries > MAX_SLOT_RETRIES or failure.domain in (Domain.USER, Domain.CONFIGURATION):
                self._slot_retries.pop(key)
                self._fail_waiting(waiting, failure)
                return
        self._request_slots()

    def _fail_waiting(self, regions: Sequence[PipelinedRegion], failure: FailureInfo) -> None:
        executions = [subtask.current for region in regions for subtask in region.subtasks]
        self.job.fail_executions([execution for execution in executions if execution.live], failure)

    # ---- timers, end ----

    def timer_fired(self, name: str) -> None:
        """Slots that did not come, or a restart that is due."""
        if name == SLOTS_TIMER:
            self._slots_timed_out()
        elif name.startswith("restart/"):
            region = self.job.regions[int(name.removeprefix("restart/"))]
            if region.phase is RegionPhase.WAITING_FOR_RESTART:
                self._begin_restart(region)

    def _slots_timed_out(self) -> None:
        if not self.pending:
            return
        waiting_for = self.job.resources.waiting_for(self.job.job_id) or "workers did not start"
        self.job.give_up_pending_slots(self.pending)
        self.pending.clear()
        self._free_idle_slots()
        regions = [region for region in self.job.regions if region.index in self._lacking]
        self._fail_waiting(
            regions,
            self._no_resource(
                f"Could not acquire the minimum required resources within {self.job.slot_request_timeout} ms"
                f" (slot.request.timeout): {waiting_for}."
            ),
        )

    def _free_idle_slots(self) -> None:
        """Give back slots whose tasks have ended or wait for other slots."""
        # Jobs that hold some slots and want more would else wait for each other for ever.
        job = self.job
        for key, allocation in list(job.slots.items()):
            regions = job.regions_of_slot[key]
            if not any(region.phase in _AT_WORK and not region.all_terminal for region in regions):
                del job.slots[key]
                job.resources.free_slot(allocation.allocation_id)

    def cancel(self) -> str | None:
        """Stop everything."""
        self.job.stop(JobStatus.CANCELLING)
        return None
