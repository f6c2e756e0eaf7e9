"""Messages between the JobManager and a job's coordinator process, and between an operator and its counterpart there.

The JobManager passes ``payload`` bytes on and never reads them. ``OperatorPayload`` is what they are made of.
"""

from __future__ import annotations

import msgspec
from pyflow_yarn.errors import FailureInfo
from pyflow_yarn.graph.job_graph import JobVertex

from pyflow_runtime.executiongraph.ids import ExecutionAttemptId

# ---- JobManager -> coordinator ----


class ToCoordinator(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all messages to a coordinator."""


class StartCoordination(ToCoordinator, tag="start_coordination"):
    """First message: the vertices that have coordinated operators. ``host`` names the JobManager's machine."""

    job_id: str
    vertices: list[JobVertex]


class CoordinatorOperatorEvent(ToCoordinator, tag="operator_event"):
    """From a running attempt."""

    attempt_id: ExecutionAttemptId
    operator_id: str
    host: str
    payload: bytes


class SubtaskReset(ToCoordinator, tag="subtask_reset"):
    """That subtask restarts as ``attempt``: forget everything of earlier attempts (splits go back, committables are dropped)."""

    vertex_id: str
    subtask: int
    attempt: int


class CommitJob(ToCoordinator, tag="commit_job"):
    """Every task has finished: commit all prepared output. Answered by JobCommitted or CoordinatorFailed. Idempotent."""


class EndCoordination(ToCoordinator, tag="end_coordination"):
    """The job has ended; ``committed`` is False when it failed or was cancelled: abort what is prepared, clean up, exit 0."""

    committed: bool


ToCoordinatorMessage = StartCoordination | CoordinatorOperatorEvent | SubtaskReset | CommitJob | EndCoordination


# ---- coordinator -> JobManager ----


class FromCoordinator(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all messages of a coordinator."""


class CoordinatorStarted(FromCoordinator, tag="coordinator_started"):
    """First frame: who it is; ``token`` authenticates it."""

    job_id: str
    pid: int
    token: str


class CoordinatorEvent(FromCoordinator, tag="coordinator_event"):
    """To one attempt's operator; dropped if that attempt is gone."""

    attempt_id: ExecutionAttemptId
    operator_id: str
    payload: bytes


class JobCommitted(FromCoordinator, tag="job_committed"):
    pass


class CoordinatorFailed(FromCoordinator, tag="coordinator_failed"):
    """The user's enumerator or committer raised: fails the job."""

    failure: FailureInfo


FromCoordinatorMessage = CoordinatorStarted | CoordinatorEvent | JobCommitted | CoordinatorFailed


# ---- operator <-> counterpart: content of ``payload`` (msgpack); ``pickled`` fields are cloudpickle ----


class OperatorPayload(msgspec.Struct, frozen=True, tag_field="type"):
    """Base of what operators and their counterparts say to each other."""


class RequestSplit(OperatorPayload, tag="request_split"):
    """Reader to enumerator."""


class AssignSplit(OperatorPayload, tag="assign_split"):
    """Enumerator to reader."""

    pickled: bytes


class NoMoreSplits(OperatorPayload, tag="no_more_splits"):
    """Enumerator to reader."""


class Committables(OperatorPayload, tag="committables"):
    """Writer to committer at the end of input: ``pickled`` list. The task stays RUNNING until CommittablesReceived."""

    pickled: bytes


class CommittablesReceived(OperatorPayload, tag="committables_received"):
    """Committer to writer."""


class FetchResults(OperatorPayload, tag="fetch_results"):
    """Client to a collect operator: results from ``offset`` on, at most ``limit``; all before it may be forgotten.

    ``request_id`` comes back in the answer.
    """

    request_id: str
    offset: int
    limit: int = 1000


class Results(OperatorPayload, tag="results"):
    """Collect operator to client: ``pickled`` list of records; ``last``: nothing follows."""

    request_id: str
    offset: int
    pickled: bytes
    last: bool


OperatorPayloadMessage = (
    RequestSplit | AssignSplit | NoMoreSplits | Committables | CommittablesReceived | FetchResults | Results
)
