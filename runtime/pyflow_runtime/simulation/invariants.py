"""What must hold at every moment, and at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyflow_runtime.dispatcher.effects import PersistCommit, PersistJob, PersistResult
from pyflow_runtime.executiongraph.states import ExecutionState, JobStatus
from pyflow_runtime.simulation.violation import InvariantViolated
from pyflow_runtime.taskexecutor.messages import DeployTasks, ToTaskManagerMessage

if TYPE_CHECKING:
    from pyflow_runtime.simulation.job_manager import SimulatedJobManager
    from pyflow_runtime.simulation.job_shapes import SimulatedJob
    from pyflow_runtime.simulation.task_manager import SimulatedTaskManager
    from pyflow_runtime.simulation.world import World

EPOCH_DIGITS = 12


class Invariants:
    """Called by the shells of the simulation after everything that happens."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.terminated: set[str] = set()
        self._stored_epoch = 0
        self._acknowledged: set[str] = set()
        self._terminal: dict[tuple[int, str], JobStatus] = {}
        # Regions that restart because the whole job does, by leader and job.
        self._with_the_job: dict[tuple[int, str], set[int]] = {}

    # ---- at every moment ----

    def job_manager(self, job_manager: SimulatedJobManager) -> None:
        """After each event of a JobManager."""
        for job in self.world.jobs.values():
            try:
                status = job_manager.machine.job_status(job.job_id)
            except KeyError:
                continue
            former = self._terminal.get((job_manager.epoch, job.job_id))
            if former is not None and status is not former:
                raise InvariantViolated("terminal jobs stay terminal", f"{job.job_id[-4:]}: {former} → {status}")
            if status.globally_terminal and former is None:
                self._terminal[(job_manager.epoch, job.job_id)] = status
                if self.world.store.results.get(job.job_id) is not status:
                    raise InvariantViolated(
                        "durable before announced", f"{job.job_id[-4:]} is {status}, but not in the store"
                    )

            if status is JobStatus.RESTARTING:
                self._restarting(job_manager, job.job_id)

    def _restarting(self, job_manager: SimulatedJobManager, job_id: str) -> None:
        """A region restarts because one of its attempts failed, or together with the job's coordinator."""
        job_master = job_manager.machine._jobs[job_id]
        if job_master.full_failover:
            return
        restarting = {region.index for region in job_master.regions if region.restarting}
        key = (job_manager.epoch, job_id)
        together = self._with_the_job.setdefault(key, set())
        together &= restarting
        if job_master.graph.coordinated and not job_master.coordinator.alive:
            together |= restarting
        for index in restarting - together:
            subtasks = job_master.regions[index].subtasks
            if not any(subtask.current.state is ExecutionState.FAILED for subtask in subtasks):
                raise InvariantViolated(
                    "only what failed restarts", f"region {index} of {job_id[-4:]} restarts, and nothing of it failed"
                )

    def sent(self, job_manager: SimulatedJobManager, message: ToTaskManagerMessage) -> None:
        """A JobManager sends something to a TaskManager."""
        if not isinstance(message, DeployTasks):
            return
        for task in message.tasks:
            job_id = task.attempt_id.job_id
            ended_under = self.world.store.ended_under.get(job_id)
            if job_id in job_manager.results or (ended_under is not None and ended_under < job_manager.epoch):
                raise InvariantViolated("terminal jobs never run again", f"{task.attempt_id} is deployed")

    def task_manager(self, task_manager: SimulatedTaskManager) -> None:
        """After each event of a TaskManager."""
        machine = task_manager.machine
        epoch = machine.connection.epoch
        for slot in machine.slots():
            if slot.allocation_id and int(slot.allocation_id[:EPOCH_DIGITS], 16) != epoch:
                raise InvariantViolated(
                    "fencing", f"{task_manager.task_manager_id} works under epoch {epoch} on {slot.allocation_id}"
                )
        live = set()
        for task in machine.tasks():
            if task.live and task.state is not ExecutionState.CANCELING:
                # Another slot may hold one of the time before this TaskManager was taken for dead: it counts no more.
                key = (task.allocation_id, task.attempt_id.vertex_id, task.attempt_id.subtask)
                if key in live:
                    raise InvariantViolated("one live attempt", f"{task.attempt_id} runs beside another attempt")
                live.add(key)

    def stored(self, job_manager: SimulatedJobManager, record: PersistJob | PersistCommit | PersistResult) -> None:
        """The store has taken a record."""
        if job_manager.epoch < self._stored_epoch:
            raise InvariantViolated("one leader", f"epoch {job_manager.epoch} wrote after {self._stored_epoch}")
        self._stored_epoch = job_manager.epoch
        if isinstance(record, PersistResult) and record.status is JobStatus.FINISHED:
            job = self.world.jobs[record.job_id]
            self.world.ledger.check_complete(job)
            self._check_uncommitted_sinks(job_manager, job)
        elif isinstance(record, PersistResult) and record.status is JobStatus.CANCELED:
            self.world.ledger.check_nothing(self.world.jobs[record.job_id])

    def _check_uncommitted_sinks(self, job_manager: SimulatedJobManager, job: SimulatedJob) -> None:
        """Sinks without a committer: the attempts that finished the job must together have got everything once."""
        if job.job_id in self.world.recommitted:
            return
        view = job_manager.machine.job(job.job_id)
        for sink in job.sinks:
            if job.coordinated(sink):
                continue
            expected = dict(job.expected[sink.id])
            vertex = next(vertex for vertex in view.vertices if vertex.id == sink.id)
            for subtask in vertex.subtasks:
                for element in self.world.collected_by(job.job_id, sink.id, subtask.subtask, subtask.attempt) or ():
                    expected[element] = expected.get(element, 0) - 1
            wrong = [element for element, count in expected.items() if count]
            if wrong:
                raise InvariantViolated(
                    "every element once",
                    f"{job.job_id[-4:]} finished with {wrong[:5]} of {len(wrong)} wrong in {sink.name}",
                )

    def acknowledged(self, job_id: str) -> None:
        """A client was told that its job is safe: it is in the store, or has ended."""
        self._acknowledged.add(job_id)
        if job_id not in self.world.store.graphs and job_id not in self.world.store.results:
            raise InvariantViolated("durable before announced", f"{job_id[-4:]} was acknowledged and is not stored")

    def job_terminated(self, job_manager: SimulatedJobManager, job_id: str) -> None:
        """A JobManager announces the end of a job."""
        if job_id not in self.world.store.results:
            raise InvariantViolated("durable before announced", f"the end of {job_id[-4:]} is not in the store")
        self.terminated.add(job_id)

    def views(self) -> None:
        """What REST would show can be made at any time."""
        machine = self.world.leader.machine
        machine.cluster()
        machine.jobs()
        machine.task_managers()

    # ---- at the end ----

    def leftovers(self) -> list[str]:
        """What is still there although no job runs any more."""
        left = []
        for task_manager in self.world.task_managers.values():
            name = task_manager.task_manager_id
            left += [f"slot {slot.slot} of {name}" for slot in task_manager.machine.slots() if slot.allocation_id]
            left += [f"attempt {execution.attempt_id} on {name}" for execution in task_manager.machine.executions()]
            left += [f"worker {worker_id}" for worker_id in task_manager.workers]
        left += [
            f"coordinator of {coordinator.job.job_id[-4:]}"
            for coordinator in self.world.coordinators
            if coordinator.alive
        ]
        machine = self.world.leader.machine
        for view in machine.task_managers():
            left += [
                f"slot {slot.slot} of {view.registration.task_manager_id} for the JobManager"
                for slot in view.slots
                if slot.allocation_id
            ]
        return left

    def outcome(self, job: SimulatedJob) -> None:
        """The job must have come to the end that was to be expected."""
        status = self.world.store.results.get(job.job_id)
        if status is None and job.job_id in self.world.client.refused:
            return
        if status is None:
            raise InvariantViolated("liveness", f"{job.job_id[-4:]} has not ended: {self._state_of(job)}")
        if (
            job.collects
            and status is JobStatus.FINISHED
            and job.job_id not in self.world.client.collected_all
            and self.world.store.ended_under[job.job_id] == self.world.leader.epoch
        ):
            raise InvariantViolated("every element once", f"{job.job_id[-4:]} finished with results unfetched")
        allowed = {JobStatus.FINISHED}
        if job.job_id in self.world.cancel_requested or self.world.shutting_down:
            allowed.add(JobStatus.CANCELED)
        if not self.world.must_finish or job.commit_fails:
            allowed.add(JobStatus.FAILED)
        if status not in allowed:
            raise InvariantViolated("liveness", f"{job.job_id[-4:]} ended as {status}: {self._state_of(job)}")

    def _state_of(self, job: SimulatedJob) -> str:
        machine = self.world.leader.machine
        try:
            view = machine.job(job.job_id)
        except LookupError:
            return "the leader does not know it"
        subtasks = [
            f"{vertex.name}/{subtask.subtask}#{subtask.attempt} {subtask.state}@{subtask.task_manager_id}"
            for vertex in view.vertices
            for subtask in vertex.subtasks
        ]
        failures = [entry.failure.headline() for entry in view.exceptions[:2]]
        return f"{view.status} {view.waiting_for} {subtasks} {failures}"
