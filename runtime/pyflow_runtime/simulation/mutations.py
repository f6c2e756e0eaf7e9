"""Planted bugs: the protocol with one rule taken out. The simulation must notice each of them.

Production code knows nothing of this: a mutation replaces methods while it is applied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pyflow_runtime.coordinator.messages import SubtaskReset, ToCoordinatorMessage
from pyflow_runtime.executiongraph.execution import Execution, OperatorEventChannel
from pyflow_runtime.executiongraph.execution_graph import ExecutionGraph
from pyflow_runtime.executiongraph.ids import ExecutionAttemptId
from pyflow_runtime.executiongraph.states import ExecutionState, JobStatus
from pyflow_runtime.highavailability.epochs import Epochs
from pyflow_runtime.jobmaster.coordinator import Coordinator
from pyflow_runtime.jobmaster.job_master import JobMaster
from pyflow_runtime.jobmaster.states.committing import Committing
from pyflow_runtime.jobmaster.states.ending import Ending
from pyflow_runtime.jobmaster.states.executing import Executing
from pyflow_runtime.resourcemanager.resource_manager import ResourceManager
from pyflow_runtime.scheduler.pipelined_region import PipelinedRegion
from pyflow_runtime.simulation.job_store import SimulatedJobStore
from pyflow_runtime.taskexecutor.machine import TaskExecutor
from pyflow_runtime.taskexecutor.messages import ExecutionReport, RegistrationAccepted
from pyflow_runtime.taskexecutor.task_attempt import TaskAttempt
from pyflow_runtime.taskexecutor.task_slot import TaskSlot
from pyflow_yarn.errors import FailureInfo

Patch = tuple[type[Any], str, Any]

_restart_send = Coordinator.send
_store_write = SimulatedJobStore.write


class Mutation:
    """A rule taken out of the protocol."""

    def __init__(self, name: str, rule: str, *patches: Patch) -> None:
        self.name = name
        self.rule = rule
        self._patches = patches

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The protocol without that rule, for a while."""
        originals = [(owner, attribute, owner.__dict__[attribute]) for owner, attribute, _ in self._patches]
        for owner, attribute, replacement in self._patches:
            setattr(owner, attribute, replacement)
        try:
            yield
        finally:
            for owner, attribute, original in originals:
                setattr(owner, attribute, original)


def _always(value: object) -> Callable[..., object]:
    return lambda *_: value


def _any_finished(graph: ExecutionGraph) -> bool:
    return any(execution.state is ExecutionState.FINISHED for execution in graph.executions())


def _current_whatever_the_attempt(graph: ExecutionGraph, attempt_id: ExecutionAttemptId) -> Execution | None:
    subtask = graph.subtasks.get((attempt_id.vertex_id, attempt_id.subtask))
    return None if subtask is None else subtask.current


def _send_without_resets(coordinator: Coordinator, message: ToCoordinatorMessage) -> None:
    if not isinstance(message, SubtaskReset):
        _restart_send(coordinator, message)


def _accept_and_keep(task_executor: TaskExecutor, message: RegistrationAccepted) -> None:
    task_executor.connection.accepted(message, task_executor._now, task_executor._out)


def _recover_from_the_graph_alone(job: JobMaster, commit_payload: bytes | None) -> None:
    job.execute()


def _cancel_at_any_time(committing: Committing) -> str | None:
    committing.job.stop(JobStatus.CANCELLING)
    return None


def _report_without_events(task: TaskAttempt) -> ExecutionReport:
    return ExecutionReport(task.attempt_id, task.state, task.failure, task.metrics, task.accumulators)


def _announce_at_once(ending: Ending) -> None:
    ending.job.resources.free_all(ending.job.job_id)
    ending.job.slots.clear()
    ending._persist()
    ending.result_persisted()


def _commit_at_once(committing: Committing, payload: bytes) -> None:
    if not payload:
        committing.job.end(JobStatus.FINISHED, None)
    elif committing.payload is None:
        committing.payload = payload
        committing.durable = True
        committing._commit()


def _take_any(channel: OperatorEventChannel, sequence: int) -> bool:
    channel.received = max(channel.received, sequence)
    return True


def _write_unfenced(store: SimulatedJobStore, record: Any) -> None:
    epoch, store.epoch = store.epoch, 0
    try:
        _store_write(store, record)
    finally:
        store.epoch = epoch


def _restart_every_region(executing: Executing, executions: Sequence[Execution], failure: FailureInfo) -> None:
    fresh = [region for region in executing.job.regions if not region.restarting]
    if fresh:
        executing._restart(fresh, failure)
    executing._continue_restarts(executing.job.regions)


MUTATIONS: dict[str, Mutation] = {
    mutation.name: mutation
    for mutation in (
        Mutation(
            "accept-stale-epoch",
            "a TaskManager that has seen a newer leader ignores older ones",
            (Epochs, "is_stale", _always(False)),
            (Epochs, "is_current", _always(True)),
        ),
        Mutation(
            "keep-work-of-the-old-leader",
            "a TaskManager that accepts a newer leader drops what older ones ordered",
            (TaskExecutor, "_registration_accepted", _accept_and_keep),
        ),
        Mutation(
            "commit-before-all-finished",
            "a job is finished when all of its tasks are",
            (ExecutionGraph, "all_finished", property(_any_finished)),
        ),
        Mutation(
            "run-again-after-the-commit-record",
            "a job whose commit is recorded is committed by the next leader, not run again",
            (JobMaster, "recovered", _recover_from_the_graph_alone),
        ),
        Mutation(
            "cancel-while-committing",
            "a job whose commit may be recorded cannot be cancelled any more",
            (Committing, "cancel", _cancel_at_any_time),
        ),
        Mutation(
            "no-deduplication-of-deployments",
            "an attempt runs at most once, however often its deployment arrives",
            (TaskSlot, "is_newer", _always(True)),
        ),
        Mutation(
            "announce-before-durable",
            "the end of a job is announced once it is durable, so that it never runs again",
            (Ending, "enter", _announce_at_once),
        ),
        Mutation(
            "ignore-attempt-numbers",
            "what an earlier attempt says is not taken for the current one's word",
            (ExecutionGraph, "current", _current_whatever_the_attempt),
        ),
        Mutation(
            "keep-splits-of-dead-readers",
            "a restarted subtask's splits go back, and its committables are dropped",
            (Coordinator, "send", _send_without_resets),
        ),
        Mutation(
            "commit-without-record",
            "what is to be committed is durable before anything is committed",
            (Committing, "commit_prepared", _commit_at_once),
        ),
        Mutation(
            "take-operator-events-twice",
            "operator events are taken once and in order",
            (OperatorEventChannel, "take", _take_any),
        ),
        Mutation(
            "forget-last-words",
            "an attempt is finished once all of its operator events have arrived",
            (TaskAttempt, "report", _report_without_events),
        ),
        Mutation(
            "never-repeat",
            "what a TaskManager's full report contradicts is repeated",
            (JobMaster, "reconcile", _always(None)),
        ),
        Mutation(
            "never-free-slots",
            "slots of ended jobs are freed, also those that only a report tells about",
            (ResourceManager, "_send_free", _always(None)),
        ),
        Mutation(
            "restart-beside-the-old",
            "a region restarts when all of its former attempts have ended",
            (PipelinedRegion, "all_terminal", property(_always(True))),
        ),
        Mutation(
            "restart-every-region",
            "a failure restarts its region, and leaves the others alone",
            (Executing, "attempts_failed", _restart_every_region),
        ),
        Mutation(
            "unfenced-store",
            "the JobStore refuses deposed leaders",
            (SimulatedJobStore, "write", _write_unfenced),
        ),
    )
}
