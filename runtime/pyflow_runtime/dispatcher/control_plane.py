"""The control plane of a JobManager: Dispatcher, ResourceManager and JobMasters as one pure machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pyflow_runtime.dispatcher import events
from pyflow_runtime.dispatcher.effects import Effect, Reply, TerminateCluster
from pyflow_runtime.dispatcher.outbox import Outbox
from pyflow_runtime.dispatcher.views import ClusterView, JobView, TaskManagerView
from pyflow_runtime.executiongraph.states import JobStatus
from pyflow_runtime.jobmaster.job_master import JobMaster
from pyflow_runtime.resourcemanager.resource_manager import ResourceManager
from pyflow_runtime.resourcemanager.slot_manager import SlotOwner
from pyflow_runtime.taskexecutor.messages import (
    AcknowledgeTerminal,
    CancelTasks,
    ExecutionReport,
    HeartbeatReport,
    OperatorEvent,
    OperatorEventsReceived,
    RegisterTaskManager,
    SlotFailed,
    SlotReady,
    TaskManagerLeaving,
    TaskStateChanged,
)
from pyflow_yarn.configuration import options
from pyflow_yarn.errors import (
    ClusterError,
    JobNotFoundError,
    NotYetSupportedError,
    PyflowError,
    UserError,
)
from pyflow_yarn.graph.job_graph import FORMAT_VERSION, JobGraph


class ControlPlane:
    """Pure machine of one JobManager process. The first event is ``LeadershipGranted``."""

    def __init__(self, configuration: Mapping[str, str]) -> None:
        self.configuration = configuration
        self._outbox = Outbox()
        self._jobs: dict[str, JobMaster] = {}
        self._resources = ResourceManager(configuration, self._outbox, self._jobs)
        self._ended: set[str] = set()
        self._remember_for = options.COMPLETED_APPLICATION_STORE_EXPIRATION_TIME.read(configuration)
        self._remember_at_most = options.COMPLETED_APPLICATION_STORE_MAX_CAPACITY.read(configuration)
        self._leading = False
        self._shut_down_request: str | None = None
        self._terminated = False
        self._handlers: dict[type[Any], Callable[[Any], None]] = {
            events.LeadershipGranted: self._leadership_granted,
            events.LeadershipRevoked: self._leadership_revoked,
            events.SubmitJob: self._submit_job,
            events.CancelJob: self._cancel_job,
            events.CollectRequest: self._collect,
            events.ClientHeartbeat: lambda event: self._with_job(event, self._await_client),
            events.JobPersisted: lambda event: self._with_job(event, lambda job: job.state.graph_persisted()),
            events.CommitPersisted: lambda event: self._with_job(event, lambda job: job.state.commit_persisted()),
            events.ResultPersisted: lambda event: self._with_job(event, lambda job: job.state.result_persisted()),
            events.StorageFailed: lambda event: self._with_job(
                event, lambda job: job.state.storage_failed(event.failure)
            ),
            events.TaskManagerMessage: self._task_manager_message,
            events.TaskManagerDisconnected: lambda event: self._resources.disconnected(
                event.task_manager_id, event.incarnation, event.dead, event.reason
            ),
            events.CoordinatorMessage: lambda event: self._with_job(
                event, lambda job: job.coordinator_message(event.incarnation, event.message)
            ),
            events.CoordinatorExited: lambda event: self._with_job(
                event, lambda job: job.coordinator_exited(event.incarnation, event.failure)
            ),
            events.TimerFired: self._timer_fired,
            events.ResourcesUnavailable: lambda event: self._resources.unavailable(
                event.reason, event.final, event.slots
            ),
            events.ShutDown: self._shut_down,
        }

    def handle(self, event: events.Event, now: int) -> list[Effect]:
        """What to do about ``event``; ``now`` is epoch milliseconds."""
        outbox = self._outbox
        effects: list[Effect] = []
        outbox.effects = effects
        outbox.now = now
        if self._leading or isinstance(event, events.LeadershipGranted):
            self._handlers[type(event)](event)
            if self._leading:
                self._resources.settle()
                self._terminate_if_done()
        else:
            self._refuse(event)
        return effects

    # ---- leadership ----

    def _leadership_granted(self, event: events.LeadershipGranted) -> None:
        self._leading = True
        self._outbox.epoch = event.epoch
        self._ended.update(event.ended)
        self._resources.start(recovering=bool(event.jobs))
        for graph in event.jobs:
            if graph.job_id not in self._ended:
                job = self._jobs[graph.job_id] = JobMaster(graph, self.configuration, self._outbox, self._resources)
                job.recovered(event.committing.get(graph.job_id))
                self._await_client(job)

    def _leadership_revoked(self, event: events.LeadershipRevoked) -> None:
        self._leading = False
        for job in self._jobs.values():
            job.suspend()

    def _refuse(self, event: events.Event) -> None:
        if isinstance(event, events.SubmitJob | events.CancelJob | events.CollectRequest | events.ShutDown):
            self._reply(event.request_id, ClusterError("This JobManager is not the leader: ask the one that is."))

    def _reply(self, request_id: str, error: Exception | None, result: object = None) -> None:
        self._outbox.emit(Reply(request_id=request_id, result=result, error=error))

    # ---- clients ----

    def _submit_job(self, event: events.SubmitJob) -> None:
        job_id = event.graph.job_id
        job = self._jobs.get(job_id)
        if job is not None:
            job.submitted_again(event.request_id)
        elif job_id in self._ended:
            self._reply(event.request_id, None, job_id)
        elif self._shut_down_request is not None:
            self._reply(event.request_id, ClusterError("The cluster is shutting down and takes no more jobs."))
        else:
            try:
                _check(event.graph)
                job = JobMaster(event.graph, self.configuration, self._outbox, self._resources)
            except PyflowError as error:
                self._reply(event.request_id, error)
                return
            self._jobs[job_id] = job
            job.submitted(event.request_id)
            self._await_client(job)

    def _await_client(self, job: JobMaster) -> None:
        """The client of a job that is cancelled with it has lived just now: wait for its next heartbeat."""
        if job.client_timeout is not None and not job.is_terminated:
            self._outbox.set_timer(f"client/{job.job_id}", self._outbox.now + job.client_timeout)

    def _cancel_job(self, event: events.CancelJob) -> None:
        job = self._jobs.get(event.job_id)
        if job is None:
            error: PyflowError = JobNotFoundError(f"Job {event.job_id} not found.")
            if event.job_id in self._ended:
                error = ClusterError(f"Job {event.job_id} cannot be cancelled: it has already ended.")
            self._reply(event.request_id, error)
            return
        obstacle = job.state.cancel()
        if obstacle is None:
            self._reply(event.request_id, None)
        else:
            self._reply(event.request_id, ClusterError(f"Job {event.job_id} cannot be cancelled: {obstacle}."))

    def _collect(self, event: events.CollectRequest) -> None:
        job = self._jobs.get(event.job_id)
        if job is None:
            self._reply(event.request_id, JobNotFoundError(f"Job {event.job_id} not found."))
        else:
            job.collect(event.request_id, event.operator_id, event.payload)

    def _shut_down(self, event: events.ShutDown) -> None:
        if self._shut_down_request is not None:
            self._reply(event.request_id, None)
            return
        self._shut_down_request = event.request_id
        for job in list(self._jobs.values()):
            if not job.status.globally_terminal:
                job.state.cancel()

    def _terminate_if_done(self) -> None:
        if self._shut_down_request is None or self._terminated:
            return
        if all(job.is_terminated for job in self._jobs.values()):
            self._terminated = True
            self._reply(self._shut_down_request, None)
            self._outbox.emit(TerminateCluster())

    # ---- jobs ----

    def _with_job(self, event: Any, action: Callable[[JobMaster], None]) -> None:
        job = self._jobs.get(event.job_id)
        if job is not None:
            action(job)
            self._note_end(job)

    def _note_end(self, job: JobMaster) -> None:
        if job.is_terminated and job.job_id not in self._ended:
            self._ended.add(job.job_id)
            self._outbox.set_timer(f"forget/{job.job_id}", self._outbox.now + self._remember_for)
            ended = [other.job_id for other in self._jobs.values() if other.is_terminated]
            for job_id in ended[: max(0, len(ended) - self._remember_at_most)]:
                del self._jobs[job_id]

    def _timer_fired(self, event: events.TimerFired) -> None:
        area, _, rest = event.key.partition("/")
        if area == "resources":
            self._resources.timer_fired(event.key)
        elif area == "forget":
            self._jobs.pop(rest, None)
        elif area == "client":
            if rest in self._jobs:
                self._jobs[rest].state.cancel()
        elif area == "job":
            job_id, _, name = rest.partition("/")
            job = self._jobs.get(job_id)
            if job is not None:
                job.state.timer_fired(name)
                self._note_end(job)

    # ---- TaskManagers ----

    def _task_manager_message(self, event: events.TaskManagerMessage) -> None:
        message = event.message
        if isinstance(message, RegisterTaskManager):
            self._resources.register(message)
            return
        owner = self._resources.owner(event.task_manager_id, event.incarnation)
        if owner is None:
            return
        owner.last_heartbeat = self._outbox.now
        if isinstance(message, HeartbeatReport):
            self._heartbeat_report(owner, message)
        elif isinstance(message, TaskStateChanged):
            self._task_state(owner, message.report)
        elif isinstance(message, SlotReady):
            self._resources.slot_ready(owner, message)
        elif isinstance(message, SlotFailed):
            self._resources.slot_failed(owner, message.allocation_id, message.failure)
        elif isinstance(message, OperatorEvent):
            job = self._jobs.get(message.attempt_id.job_id)
            if job is not None:
                job.operator_event(owner, message)
        elif isinstance(message, OperatorEventsReceived):
            job = self._jobs.get(message.attempt_id.job_id)
            if job is not None:
                job.operator_events_received(owner, message.attempt_id, message.received)
        elif isinstance(message, TaskManagerLeaving):
            self._resources.leaving(owner, message.reason)

    def _task_state(self, owner: SlotOwner, report: ExecutionReport) -> None:
        job = self._jobs.get(report.attempt_id.job_id)
        if job is not None:
            job.task_state(owner, report)
            return
        attempt_ids = [report.attempt_id]
        answer = (
            AcknowledgeTerminal(epoch=self._outbox.epoch, attempt_ids=attempt_ids)
            if report.state.terminal
            else CancelTasks(epoch=self._outbox.epoch, attempt_ids=attempt_ids)
        )
        self._outbox.send(owner.task_manager_id, owner.incarnation, answer)

    def _heartbeat_report(self, owner: SlotOwner, report: HeartbeatReport) -> None:
        if not self._resources.reconcile(owner, report):
            return
        by_job: dict[str, list[ExecutionReport]] = {}
        for execution in report.executions:
            by_job.setdefault(execution.attempt_id.job_id, []).append(execution)
        for job_id, reports in by_job.items():
            if job_id not in self._jobs:
                for execution in reports:
                    self._task_state(owner, execution)
        for job in list(self._jobs.values()):
            job.reconcile(owner, by_job.get(job.job_id, []), report.sequence)

    # ---- views ----

    def cluster(self) -> ClusterView:
        """Counts for the overview."""
        statuses = [job.status for job in self._jobs.values()]
        return ClusterView(
            task_managers=len(self._resources.slots.owners),
            slots_total=self._resources.slots.slots_total,
            slots_available=self._resources.slots.slots_free,
            jobs_running=sum(not status.globally_terminal for status in statuses),
            jobs_finished=statuses.count(JobStatus.FINISHED),
            jobs_cancelled=statuses.count(JobStatus.CANCELED),
            jobs_failed=statuses.count(JobStatus.FAILED),
        )

    def jobs(self) -> list[JobView]:
        """Running and ended jobs, by start."""
        views = [job.view() for job in self._jobs.values()]
        return sorted(views, key=lambda view: view.start_time)

    def job(self, job_id: str) -> JobView:
        """One job; ``JobNotFoundError`` if unknown."""
        job = self._jobs.get(job_id)
        if job is None:
            raise JobNotFoundError(f"Job {job_id} not found.")
        return job.view()

    def job_status(self, job_id: str) -> JobStatus:
        """The status of one job; ``KeyError`` if unknown."""
        return self._jobs[job_id].status

    def task_managers(self) -> list[TaskManagerView]:
        """The registered TaskManagers."""
        return self._resources.task_manager_views()


def _check(graph: JobGraph) -> None:
    if graph.format_version != FORMAT_VERSION:
        raise ClusterError(
            f"The job was made by another version of pyflow-yarn (graph format {graph.format_version}, this cluster"
            f" reads {FORMAT_VERSION}): submit it with the client of this version."
        )
    if not graph.vertices:
        raise UserError(f"Job {graph.name} has no operators: add at least a source and a sink.")
    if any(edge.blocking for edge in graph.edges):
        raise NotYetSupportedError("Blocking exchanges are not supported yet: run the job in STREAMING mode.")
