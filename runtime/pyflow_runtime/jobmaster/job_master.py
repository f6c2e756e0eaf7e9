"""The JobMaster: runs one job. What it does about an event is decided by its state (``jobmaster.states``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pyflow_runtime.coordinator.messages import (
    CommitPrepared,
    CoordinatorEvent,
    CoordinatorFailed,
    FromCoordinatorMessage,
    JobCommitted,
)
from pyflow_runtime.dispatcher.effects import JobTerminated, Reply
from pyflow_runtime.dispatcher.outbox import Outbox
from pyflow_runtime.dispatcher.views import JobView
from pyflow_runtime.executiongraph.exception_history import ExceptionHistory, is_consequence
from pyflow_runtime.executiongraph.execution import Execution
from pyflow_runtime.executiongraph.execution_graph import ExecutionGraph, ExecutionVertex
from pyflow_runtime.executiongraph.ids import ExecutionAttemptId
from pyflow_runtime.executiongraph.states import JOB_TRANSITIONS, ExecutionState, JobStatus
from pyflow_runtime.executiongraph.story import Story
from pyflow_runtime.highavailability.epochs import first_attempt
from pyflow_runtime.jobmaster.coordinator import Coordinator
from pyflow_runtime.jobmaster.operator_traffic import OperatorTraffic
from pyflow_runtime.jobmaster.states.committing import Committing
from pyflow_runtime.jobmaster.states.ended import Ended
from pyflow_runtime.jobmaster.states.ending import Ending
from pyflow_runtime.jobmaster.states.executing import Executing
from pyflow_runtime.jobmaster.states.initializing import Initializing
from pyflow_runtime.jobmaster.states.job_state import JobState
from pyflow_runtime.jobmaster.states.stopping import Stopping
from pyflow_runtime.resourcemanager.resource_manager import ResourceManager
from pyflow_runtime.resourcemanager.slot_manager import Allocation, SlotOwner
from pyflow_runtime.scheduler.pipelined_region import PipelinedRegion, pipelined_regions
from pyflow_runtime.scheduler.restart_strategy import restart_strategy
from pyflow_runtime.scheduler.slot_sharing import SlotKey, shared_slots
from pyflow_runtime.taskexecutor.messages import (
    AcknowledgeTerminal,
    CancelTasks,
    DeployTasks,
    ExecutionReport,
    JobEnvironment,
    OperatorEvent,
    TaskDeployment,
)
from pyflow_yarn.configuration import options
from pyflow_yarn.configuration.attachment import client_timeout
from pyflow_yarn.errors import ClusterError, Domain, FailureInfo
from pyflow_yarn.graph.job_graph import JobGraph

_State = ExecutionState


class JobMaster:
    """Pure machine of one job under one leader epoch."""

    def __init__(
        self, graph: JobGraph, configuration: Mapping[str, str], outbox: Outbox, resources: ResourceManager
    ) -> None:
        settings = {**configuration, **graph.configuration}
        self.graph = graph
        self.job_id = graph.job_id
        self.outbox = outbox
        self.resources = resources
        self.story = Story(f"job {graph.job_id}")
        self.environment = JobEnvironment(
            job_id=graph.job_id,
            job_name=graph.name,
            python_executable=graph.python_executable,
            artifacts=graph.artifacts,
            configuration=graph.configuration,
            job_parameters=graph.job_parameters,
        )
        self.execution_graph = ExecutionGraph(graph, first_attempt(outbox.epoch), outbox.now)
        self.regions = pipelined_regions(self.execution_graph)
        self.shared_slots = shared_slots(graph)
        self.regions_of_slot: dict[SlotKey, list[PipelinedRegion]] = {key: [] for key in self.shared_slots}
        self._region_of: dict[tuple[str, int], PipelinedRegion] = {}
        for region in self.regions:
            for key in region.slot_keys:
                self.regions_of_slot[key].append(region)
            for subtask in region.subtasks:
                self._region_of[subtask.key] = region
        self.slots: dict[SlotKey, Allocation] = {}
        self.restart_strategy = restart_strategy(settings, f"{graph.job_id}/{outbox.epoch}")
        self.full_failover = options.JOBMANAGER_EXECUTION_FAILOVER_STRATEGY.read(settings) == "full"
        self.slot_request_timeout = options.SLOT_REQUEST_TIMEOUT.read(settings)
        self.client_timeout = client_timeout(graph.configuration)
        self.history = ExceptionHistory(options.WEB_EXCEPTION_HISTORY_SIZE.read(settings))
        self.coordinator = Coordinator(graph, self.environment, outbox)
        self.traffic = OperatorTraffic(self.execution_graph, self.coordinator, outbox)
        self.restarts = 0
        self.storage_problem = ""
        self.submitters: list[str] = []
        self.status = JobStatus.INITIALIZING
        self.timestamps: dict[str, int] = {JobStatus.INITIALIZING: outbox.now}
        self.is_terminated = False
        self._executing = Executing(self)
        self.state: JobState = Initializing(self)

    # ---- life ----

    def submitted(self, request_id: str) -> None:
        """First event of a new job."""
        self.submitters.append(request_id)
        self.state.enter()

    def recovered(self, commit_payload: bytes | None) -> None:
        """First event of a job that another JobManager left behind."""
        if commit_payload is None:
            self.execute()
            return
        self.move(JobStatus.CREATED)
        self.move(JobStatus.RUNNING)
        for execution in self.execution_graph.executions():
            for state in (_State.SCHEDULED, _State.DEPLOYING, _State.FINISHED):
                self._move(execution, state)
        self._enter(Committing(self, commit_payload))

    def submitted_again(self, request_id: str) -> None:
        """The same job once more: answered like the first time."""
        if isinstance(self.state, Initializing):
            self.submitters.append(request_id)
        else:
            self.outbox.emit(Reply(request_id=request_id, result=self.job_id))

    def answer_submitters(self, error: Exception | None) -> None:
        """Everybody who submitted it."""
        for request_id in self.submitters:
            self.outbox.emit(Reply(request_id=request_id, result=None if error else self.job_id, error=error))
        self.submitters.clear()

    def move(self, status: JobStatus) -> None:
        """Change the job's status; ``IllegalTransitionError`` with the story if there is no such move."""
        if status not in JOB_TRANSITIONS[self.status]:
            raise self.story.illegal("it", self.status, status)
        self.story.add(self.outbox.now, "is now", status)
        self.status = status
        self.timestamps[status] = self.outbox.now

    def _enter(self, state: JobState) -> None:
        self.state = state
        state.enter()

    def execute(self) -> None:
        """Schedule all tasks."""
        self.move(JobStatus.CREATED)
        self.move(JobStatus.RUNNING)
        self._enter(self._executing)

    def run_again(self, failure: FailureInfo) -> None:
        """Every task has finished, but for nothing: restart all of them, if the strategy permits."""
        self.state = self._executing
        self._executing.coordinator_exited(failure)

    def finish(self) -> None:
        """Every task has finished."""
        self.slots.clear()
        self.resources.free_all(self.job_id)
        if self.graph.coordinated:
            self._enter(Committing(self))
        else:
            self.end(JobStatus.FINISHED, None)

    def fail(self, failure: FailureInfo, suppressed: bool = False) -> None:
        """The job fails for this reason; ``suppressed``: because the restart strategy permits no more restarts."""
        note = f"Recovery is suppressed by {self.restart_strategy.description}" if suppressed else ""
        self.history.record(failure, note)
        self.stop(JobStatus.FAILING)

    def stop(self, status: JobStatus) -> None:
        """End every attempt: FAILING or CANCELLING."""
        self._enter(Stopping(self, status))

    def end(self, outcome: JobStatus, failure: FailureInfo | None) -> None:
        """Every attempt has ended: record the outcome."""
        self._enter(Ending(self, outcome, failure))

    def ended(self, outcome: JobStatus) -> None:
        """The outcome is durable."""
        self.move(outcome)
        self.traffic.close(f"has ended as {outcome}")
        self._enter(Ended(self))

    def terminated(self) -> None:
        """Nothing is left to do for this job."""
        if not self.is_terminated:
            self.is_terminated = True
            self.outbox.emit(JobTerminated(job_id=self.job_id))

    def suspend(self) -> None:
        """Leadership is lost: another JobManager may run the job. Nothing is written, sent or cleaned up any more."""
        error = ClusterError("This JobManager is no longer the leader: ask the new one.")
        self.answer_submitters(error)
        self.traffic.close("has another leader now")
        if not self.status.globally_terminal:
            self.move(JobStatus.SUSPENDED)
        self.coordinator.drop()
        self.state = JobState(self)

    # ---- timers ----

    def set_timer(self, name: str, at: int) -> None:
        """A timer of this job."""
        self.outbox.set_timer(f"job/{self.job_id}/{name}", at)

    def cancel_timer(self, name: str) -> None:
        """No longer."""
        self.outbox.cancel_timer(f"job/{self.job_id}/{name}")

    # ---- slots ----

    def slot_ready(self, allocation: Allocation) -> None:
        """A slot takes tasks."""
        self.story.add(self.outbox.now, "slot ready", allocation.key)
        self.state.slot_ready(allocation)

    def slot_failed(self, allocation: Allocation, failure: FailureInfo) -> None:
        """A slot is gone, with the attempts in it."""
        self.story.add(self.outbox.now, "slot failed", allocation.key)
        was_ready = self._take_away(allocation)
        deployed = self.execution_graph.deployed_to(allocation.task_manager_id)
        self.fail_executions(
            [execution for execution in deployed if execution.allocation_id == allocation.allocation_id], failure
        )
        self.state.slot_failed(allocation, failure, was_ready)

    def task_manager_lost(self, owner: SlotOwner, allocations: list[Allocation], failure: FailureInfo) -> None:
        """A TaskManager is gone, with all slots and attempts there; nobody will report about them."""
        self.story.add(self.outbox.now, "lost", owner.task_manager_id)
        for allocation in allocations:
            self._take_away(allocation)
        self.fail_executions(self.execution_graph.deployed_to(owner.task_manager_id), failure)
        for allocation in allocations:
            self.state.slot_failed(allocation, failure, True)

    def _take_away(self, allocation: Allocation) -> bool:
        present = self.slots.get(allocation.key)
        if present is None or present.allocation_id != allocation.allocation_id:
            return False
        del self.slots[allocation.key]
        return True

    def give_up_pending_slots(self, keys: set[SlotKey]) -> None:
        """These slots took too long."""
        self.resources.withdraw(self.job_id)
        for allocation in self.resources.allocations_of(self.job_id):
            if allocation.key in keys and not allocation.ready:
                self.resources.free_slot(allocation.allocation_id)

    def resources_denied(self, reason: str, slots: int) -> None:
        """There will never be more slots than that."""
        self.state.resources_denied(reason, slots)

    # ---- executions ----

    def region_of(self, execution: Execution) -> PipelinedRegion:
        """The region that fails and restarts with it."""
        return self._region_of[(execution.attempt_id.vertex_id, execution.attempt_id.subtask)]

    def place(self, subtask: ExecutionVertex, allocation: Allocation) -> None:
        """Give an attempt its slot."""
        execution = subtask.current
        execution.move(_State.DEPLOYING, self.outbox.now, self.story)
        execution.task_manager_id = allocation.task_manager_id
        execution.incarnation = allocation.incarnation
        execution.allocation_id = allocation.allocation_id
        execution.address = allocation.address
        owner = self.resources.owner(allocation.task_manager_id, allocation.incarnation)
        if owner is not None:
            execution.host = owner.registration.host
            execution.endpoint = f"{owner.registration.host}:{owner.registration.data_port}"
        self.execution_graph.place(execution)

    def send_deployments(self, subtasks: Iterable[ExecutionVertex]) -> None:
        """One message for each slot."""
        deployments: dict[tuple[str, str, str], list[TaskDeployment]] = {}
        subtasks = list(subtasks)
        for subtask, deployment in zip(subtasks, self.execution_graph.deployments(subtasks), strict=True):
            execution = subtask.current
            slot = (execution.task_manager_id, execution.incarnation, execution.allocation_id)
            deployments.setdefault(slot, []).append(deployment)
        for (task_manager_id, incarnation, allocation_id), tasks in deployments.items():
            self.outbox.send(
                task_manager_id,
                incarnation,
                DeployTasks(epoch=self.outbox.epoch, allocation_id=allocation_id, tasks=tasks),
            )

    def cancel_executions(self, executions: Iterable[Execution]) -> None:
        """Attempts that run are asked to end; those that nobody runs have ended at once."""
        running: list[Execution] = []
        for execution in executions:
            if execution.state in (_State.CREATED, _State.SCHEDULED):
                self._move(execution, _State.CANCELED)
            elif execution.can_move(_State.CANCELING):
                self._move(execution, _State.CANCELING)
                running.append(execution)
        self._send_cancel(running)

    def _send_cancel(self, executions: Iterable[Execution]) -> None:
        by_task_manager: dict[tuple[str, str], list[ExecutionAttemptId]] = {}
        for execution in executions:
            place = (execution.task_manager_id, execution.incarnation)
            by_task_manager.setdefault(place, []).append(execution.attempt_id)
        for (task_manager_id, incarnation), attempt_ids in by_task_manager.items():
            message = CancelTasks(epoch=self.outbox.epoch, attempt_ids=attempt_ids)
            self.outbox.send(task_manager_id, incarnation, message)

    def fail_executions(self, executions: Sequence[Execution], failure: FailureInfo) -> None:
        """These attempts are dead, all for this reason."""
        asked: list[Execution] = []
        unasked: list[Execution] = []
        for execution in executions:
            (asked if execution.state is _State.CANCELING else unasked).append(execution)
            execution.failure = failure
            self._move(execution, _State.FAILED)
        if unasked:
            self.state.attempts_failed(unasked, failure)
        for execution in asked:
            if is_consequence(self.history.root_cause() or failure):
                self.history.record_concurrent(failure)
            self.state.attempt_ended(execution)

    def _move(self, execution: Execution, state: ExecutionState) -> None:
        self.story.add(self.outbox.now, str(execution.state), execution.attempt_id)
        execution.move(state, self.outbox.now, self.story)
        if state.terminal:
            self.execution_graph.ended(execution)
            self.region_of(execution).ended += 1

    # ---- reports ----

    def task_state(self, owner: SlotOwner, report: ExecutionReport) -> None:
        """What a TaskManager says about an attempt, perhaps late, perhaps again."""
        execution = self._execution_at(owner, report.attempt_id)
        if execution is None or not execution.live:
            self._answer_outdated(owner, report)
            return
        if execution.seen < 0:
            execution.seen = owner.sequence
        execution.update(report)
        if report.state is _State.FINISHED and report.events_sent > execution.events.received:
            # Its last words are still on the way; it is not over before they have been heard.
            execution.held_report = report
            return
        if report.state.terminal:
            self._attempt_over(execution, report)
            self._acknowledge(owner, report.attempt_id)
        elif execution.state is not _State.CANCELING and execution.can_move(report.state):
            self._move(execution, report.state)
            self.traffic.runs(execution)

    def _execution_at(self, owner: SlotOwner, attempt_id: ExecutionAttemptId) -> Execution | None:
        execution = self.execution_graph.current(attempt_id)
        if (
            execution is None
            or execution.task_manager_id != owner.task_manager_id
            or execution.incarnation != owner.incarnation
        ):
            return None
        return execution

    def _answer_outdated(self, owner: SlotOwner, report: ExecutionReport) -> None:
        if report.state.terminal:
            self._acknowledge(owner, report.attempt_id)
        else:
            message = CancelTasks(epoch=self.outbox.epoch, attempt_ids=[report.attempt_id])
            self.outbox.send(owner.task_manager_id, owner.incarnation, message)

    def _acknowledge(self, owner: SlotOwner, attempt_id: ExecutionAttemptId) -> None:
        message = AcknowledgeTerminal(epoch=self.outbox.epoch, attempt_ids=[attempt_id])
        self.outbox.send(owner.task_manager_id, owner.incarnation, message)

    def _attempt_over(self, execution: Execution, report: ExecutionReport) -> None:
        if report.state is _State.FAILED:
            self.fail_executions([execution], report.failure or self._unexplained(execution, "failed"))
        elif report.state is _State.CANCELED and execution.state is not _State.CANCELING:
            self.fail_executions([execution], self._unexplained(execution, "was cancelled"))
        else:
            self._move(execution, report.state)
            self.traffic.ended(execution)
            self.state.attempt_ended(execution)

    def _unexplained(self, execution: Execution, what: str) -> FailureInfo:
        vertex = self.execution_graph.vertices[execution.attempt_id.vertex_id]
        return FailureInfo(
            exception="TaskFailedException",
            message=f"{vertex.name} {what} on TaskManager {execution.task_manager_id} without a reason given.",
            domain=Domain.CLUSTER,
            task=vertex.name,
            subtask=execution.attempt_id.subtask,
            parallelism=vertex.parallelism,
            attempt=execution.attempt_id.attempt,
            task_manager=execution.task_manager_id,
            endpoint=execution.endpoint,
            timestamp=self.outbox.now,
        )

    def reconcile(self, owner: SlotOwner, reports: Sequence[ExecutionReport], sequence: int) -> None:
        """Compare a TaskManager's full report with what it should be doing, and repeat what it missed."""
        for report in reports:
            self.task_state(owner, report)
        reported = {report.attempt_id: report for report in reports}
        to_deploy: list[ExecutionVertex] = []
        to_cancel: list[Execution] = []
        lost: list[Execution] = []
        for execution in self.execution_graph.deployed_to(owner.task_manager_id):
            attempt_id = execution.attempt_id
            if execution.state is _State.CANCELING:
                to_cancel.append(execution)
            elif attempt_id in reported:
                self.traffic.repeat(execution)
            elif execution.seen < 0:
                to_deploy.append(self.execution_graph.subtasks[(attempt_id.vertex_id, attempt_id.subtask)])
            elif sequence > execution.seen:
                lost.append(execution)
        self.send_deployments(to_deploy)
        self._send_cancel(to_cancel)
        if lost:
            self.fail_executions(lost, self._unexplained(lost[0], "vanished"))

    # ---- operator events ----

    def operator_event(self, owner: SlotOwner, event: OperatorEvent) -> None:
        """From an attempt's operator: to its counterpart in the coordinator, or the answer to a client."""
        execution = self._execution_at(owner, event.attempt_id)
        if execution is None or not execution.live:
            return
        self.traffic.heard(owner, execution, event)
        if execution.held_report is not None:
            self.task_state(owner, execution.held_report)

    def operator_events_received(self, owner: SlotOwner, attempt_id: ExecutionAttemptId, received: int) -> None:
        """The TaskManager took events for that attempt."""
        execution = self._execution_at(owner, attempt_id)
        if execution is not None:
            execution.events.acknowledged(received)

    def collect(self, request_id: str, operator_id: str, payload: bytes) -> None:
        """A client wants results of a collect operator."""
        obstacle = self.traffic.fetch(request_id, operator_id, payload)
        if obstacle:
            error = ClusterError(f"The results cannot be fetched: the job {obstacle}.")
            self.outbox.emit(Reply(request_id=request_id, error=error))

    # ---- coordinator ----

    def coordinator_message(self, incarnation: int, message: FromCoordinatorMessage) -> None:
        """From the coordinator process, if it is the present one."""
        if incarnation != self.coordinator.incarnation or not self.coordinator.alive:
            return
        if isinstance(message, CoordinatorEvent):
            execution = self.execution_graph.current(message.attempt_id)
            if execution is not None:
                self.traffic.tell(execution, message.operator_id, message.payload)
        elif isinstance(message, CommitPrepared):
            self.state.commit_prepared(message.payload)
        elif isinstance(message, JobCommitted):
            self.state.job_committed()
        elif isinstance(message, CoordinatorFailed):
            self.story.add(self.outbox.now, "coordinator failed", message.failure.exception)
            self.state.coordinator_failed(message.failure)

    def coordinator_exited(self, incarnation: int, failure: FailureInfo) -> None:
        """The process has ended."""
        if self.coordinator.exited(incarnation):
            self.story.add(self.outbox.now, "coordinator exited", failure.exception)
            self.state.coordinator_exited(failure)

    # ---- views ----

    def view(self) -> JobView:
        """What the REST interface shows."""
        terminal = self.status.globally_terminal
        return JobView(
            job_id=self.job_id,
            name=self.graph.name,
            status=self.status,
            start_time=self.timestamps[JobStatus.INITIALIZING],
            end_time=self.timestamps[self.status] if terminal else -1,
            last_modification=max(self.timestamps.values()),
            timestamps=dict(self.timestamps),
            restarts=self.restarts,
            vertices=self.execution_graph.vertex_views(),
            exceptions=self.history.entries(),
            accumulators=self.execution_graph.accumulators(),
            waiting_for=self.storage_problem or self.resources.waiting_for(self.job_id),
            graph=self.graph,
        )
