"""Messages between the JobManager and a job's coordinator process, and between an operator and its counterpart there.

The JobManager passes ``payload`` bytes on and never reads them. ``OperatorPayload`` is what they are made of.
"""

from __future__ import annotations

import msgspec

from pyflow_runtime.executiongraph.ids import ExecutionAttemptId
from pyflow_yarn.errors import FailureInfo
from pyflow_yarn.graph.job_graph import JobVertex

# ---- JobManager -> coordinator ----


class ToCoordinator(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all messages to a coordinator."""


class StartCoordination(ToCoordinator, tag="start_coordination", frozen=True, kw_only=True):
    """First message: the vertices that have coordinated operators. ``host`` names the JobManager's machine."""

    job_id: str
    vertices: list[JobVertex]


class CoordinatorOperatorEvent(ToCoordinator, tag="operator_event", frozen=True, kw_only=True):
    """From a running attempt."""

    attempt_id: ExecutionAttemptId
    operator_id: str
    host: str
    payload: bytes


class SubtaskReset(ToCoordinator, tag="subtask_reset", frozen=True, kw_only=True):
    """That subtask restarts as ``attempt``: forget everything of its earlier attempts.

    Their splits go back, their committables are dropped.
    """

    vertex_id: str
    subtask: int
    attempt: int


class PrepareCommit(ToCoordinator, tag="prepare_commit", frozen=True, kw_only=True):
    """Every task has finished: tell what is to be committed. Answered by CommitPrepared or CoordinatorFailed."""


class CommitJob(ToCoordinator, tag="commit_job", frozen=True, kw_only=True):
    """Commit what ``payload`` (of an earlier CommitPrepared) lists; answered by JobCommitted or CoordinatorFailed.

    The JobStore holds the payload by now: after a crash of the JobManager or of the coordinator a new
    coordinator gets the same message right after StartCoordination, without any task having run. So committing is
    idempotent.
    """

    payload: bytes


class EndCoordination(ToCoordinator, tag="end_coordination", frozen=True, kw_only=True):
    """The job has ended, and that is durable: clean up, exit 0.

    If not ``committed`` (failed or cancelled), abort what is prepared. A coordinator that ends for any other reason
    (its JobManager is gone, SIGTERM) must neither abort nor clean up: the job may go on elsewhere.
    """

    committed: bool


ToCoordinatorMessage = (
    StartCoordination | CoordinatorOperatorEvent | SubtaskReset | PrepareCommit | CommitJob | EndCoordination
)


# ---- coordinator -> JobManager ----


class FromCoordinator(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all messages of a coordinator."""


class CoordinatorStarted(FromCoordinator, tag="coordinator_started", frozen=True, kw_only=True):
    """First frame: who it is; ``token`` authenticates it."""

    job_id: str
    pid: int
    token: str


class CoordinatorEvent(FromCoordinator, tag="coordinator_event", frozen=True, kw_only=True):
    """To one attempt's operator; dropped if that attempt is gone."""

    attempt_id: ExecutionAttemptId
    operator_id: str
    payload: bytes


class CommitPrepared(FromCoordinator, tag="commit_prepared", frozen=True, kw_only=True):
    """``payload``: all that a coordinator without a memory needs to commit; b"" if there is nothing to commit."""

    payload: bytes


class JobCommitted(FromCoordinator, tag="job_committed", frozen=True, kw_only=True):
    """What CommitJob asked for is visible."""


class CoordinatorFailed(FromCoordinator, tag="coordinator_failed", frozen=True, kw_only=True):
    """The user's enumerator or committer raised: fails the job."""

    failure: FailureInfo


FromCoordinatorMessage = CoordinatorStarted | CoordinatorEvent | CommitPrepared | JobCommitted | CoordinatorFailed


# ---- operator <-> counterpart: content of ``payload`` (msgpack); ``pickled`` fields are cloudpickle ----


class OperatorPayload(msgspec.Struct, frozen=True, tag_field="type"):
    """Base of what operators and their counterparts say to each other."""


class RequestSplit(OperatorPayload, tag="request_split", frozen=True):
    """Reader to enumerator."""


class AssignSplit(OperatorPayload, tag="assign_split", frozen=True):
    """Enumerator to reader."""

    pickled: bytes


class NoMoreSplits(OperatorPayload, tag="no_more_splits", frozen=True):
    """Enumerator to reader."""


class Committables(OperatorPayload, tag="committables", frozen=True):
    """Writer to committer at the end of input: ``pickled`` list. The task stays RUNNING until CommittablesReceived."""

    pickled: bytes


class CommittablesReceived(OperatorPayload, tag="committables_received", frozen=True):
    """Committer to writer."""


class FetchResults(OperatorPayload, tag="fetch_results", frozen=True):
    """Client to a collect operator: results from ``offset`` on, at most ``limit``; all before it may be forgotten.

    ``request_id`` comes back in the answer.
    """

    request_id: str
    offset: int
    limit: int = 1000


class Results(OperatorPayload, tag="results", frozen=True):
    """Collect operator to client: ``pickled`` list of records; ``last``: nothing follows."""

    request_id: str
    offset: int
    pickled: bytes
    last: bool


OperatorPayloadMessage = (
    RequestSplit | AssignSplit | NoMoreSplits | Committables | CommittablesReceived | FetchResults | Results
)
