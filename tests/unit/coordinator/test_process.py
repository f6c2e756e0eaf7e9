"""Split assignment, committables and fencing in the job coordinator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cloudpickle
import msgspec
import pytest

from pyflow_runtime.coordinator.messages import (
    AssignSplit,
    CommitJob,
    CommitPrepared,
    Committables,
    CommittablesReceived,
    CoordinatorEvent,
    CoordinatorFailed,
    CoordinatorOperatorEvent,
    EndCoordination,
    JobCommitted,
    NoMoreSplits,
    OperatorPayload,
    OperatorPayloadMessage,
    PrepareCommit,
    RequestSplit,
    StartCoordination,
    SubtaskReset,
)
from pyflow_runtime.coordinator.process import JobCoordinator
from pyflow_runtime.executiongraph.ids import ExecutionAttemptId
from pyflow_yarn.datastream.sink import Committer, Sink, SinkWriter, WriterContext
from pyflow_yarn.datastream.source import ReaderContext, Source, SourceReader, SplitEnumerator
from pyflow_yarn.errors import ExternalError
from pyflow_yarn.graph.job_graph import JobVertex, OperatorNode
from pyflow_yarn.graph.operators import SinkOperator, SourceOperator

LOG: list[Any] = []


class Enumerator(SplitEnumerator):
    def __init__(self, splits: list[str]) -> None:
        self.splits = splits

    def open(self) -> None:
        LOG.append("open")
        if self.splits == ["missing"]:
            raise ExternalError("The input file /data/missing does not exist.")

    def next_split(self, subtask: int, host: str) -> str | None:
        return self.splits.pop(0) if self.splits else None

    def add_splits_back(self, splits: Sequence[str], subtask: int) -> None:
        LOG.append(("back", list(splits), subtask))
        self.splits = [*splits, *self.splits]

    def close(self) -> None:
        LOG.append("close")


class Splits(Source[str]):
    coordinated = True

    def __init__(self, *splits: str) -> None:
        self.splits = splits

    def create_reader(self, context: ReaderContext) -> SourceReader[str]:
        raise NotImplementedError

    def create_enumerator(self, parallelism: int) -> SplitEnumerator:
        return Enumerator(list(self.splits))


class Recorder(Committer):
    def commit(self, committables: Sequence[Any]) -> None:
        LOG.append(("commit", list(committables)))
        if "poison" in committables:
            raise OSError("cannot rename")

    def abort(self, committables: Sequence[Any]) -> None:
        LOG.append(("abort", list(committables)))

    def cleanup(self, job_id: str) -> None:
        LOG.append(("cleanup", job_id))


class Files(Sink[Any]):
    coordinated = True

    def create_writer(self, context: WriterContext) -> SinkWriter[Any]:
        raise NotImplementedError

    def create_committer(self) -> Committer:
        return Recorder()


@pytest.fixture(autouse=True)
def fresh_log() -> None:
    LOG.clear()


def vertex(vertex_id: str, kind: str, definition: Any) -> JobVertex:
    pickled = definition if isinstance(definition, bytes) else cloudpickle.dumps(definition)
    node = OperatorNode(
        id=vertex_id, name=kind.title(), kind=kind, definition=pickled, declared_at="job.py:3", coordinated=True
    )
    return JobVertex(id=vertex_id, name=kind, parallelism=2, max_parallelism=128, operators=[node])


def coordinator(*splits: str) -> JobCoordinator:
    started = JobCoordinator()
    vertices = [
        vertex("s", "source", SourceOperator(Splits(*splits))),
        vertex("k", "sink", SinkOperator(Files())),
    ]
    assert started.handle(StartCoordination(job_id="j", vertices=vertices)) == []
    return started


def event(operator: str, subtask: int, attempt: int, payload: OperatorPayload) -> CoordinatorOperatorEvent:
    return CoordinatorOperatorEvent(
        attempt_id=ExecutionAttemptId("j", operator, subtask, attempt),
        operator_id=operator,
        host="h",
        payload=msgspec.msgpack.encode(payload),
    )


def ask(job: JobCoordinator, subtask: int = 0, attempt: int = 0) -> Any:
    answers = job.handle(event("s", subtask, attempt, RequestSplit()))
    if not answers:
        return "ignored"
    (answer,) = answers
    assert isinstance(answer, CoordinatorEvent)
    assert answer.attempt_id == ExecutionAttemptId("j", "s", subtask, attempt)
    payload = msgspec.msgpack.decode(answer.payload, type=OperatorPayloadMessage)
    if isinstance(payload, AssignSplit):
        return cloudpickle.loads(payload.pickled)
    assert isinstance(payload, NoMoreSplits)
    return None


def prepare(job: JobCoordinator, subtask: int, attempt: int, *committables: str) -> list[Any]:
    return job.handle(event("k", subtask, attempt, Committables(cloudpickle.dumps(list(committables)))))


def test_splits_are_handed_out_once() -> None:
    job = coordinator("a", "b", "c")
    assert LOG == []  # the outside is not touched before it is needed
    assert [ask(job, 0), ask(job, 1), ask(job, 0), ask(job, 1), ask(job, 0)] == ["a", "b", "c", None, None]
    assert LOG == ["open"]


def test_a_reset_takes_back_what_the_earlier_attempts_had() -> None:
    job = coordinator("a", "b", "c")
    ask(job, 0), ask(job, 0), ask(job, 1)
    assert job.handle(SubtaskReset(vertex_id="s", subtask=0, attempt=1)) == []
    assert ask(job, 0, attempt=0) == "ignored"
    assert [ask(job, 0, 1), ask(job, 0, 1), ask(job, 0, 1)] == ["a", "b", None]
    job.handle(SubtaskReset(vertex_id="s", subtask=0, attempt=1))
    assert ask(job, 0, 1) is None
    assert LOG == ["open", ("back", ["a", "b"], 0)]


def test_a_missing_file_fails_the_job_with_the_operator() -> None:
    job = coordinator("missing")
    (answer,) = job.handle(event("s", 0, 0, RequestSplit()))
    assert isinstance(answer, CoordinatorFailed)
    failure = answer.failure
    assert (failure.exception, failure.operator, failure.declared_at) == ("ExternalError", "Source", "job.py:3")
    assert failure.message == "The input file /data/missing does not exist."
    assert job.handle(event("s", 1, 0, RequestSplit())) == []
    assert job.handle(EndCoordination(committed=False)) == []


def test_what_cannot_be_loaded_fails_the_job() -> None:
    broken = vertex("s", "source", b"\x80\x05cno_such_module\nX\n.")
    (answer,) = JobCoordinator().handle(StartCoordination(job_id="j", vertices=[broken]))
    assert isinstance(answer, CoordinatorFailed)
    assert "needs the module 'no_such_module'" in answer.failure.message


def test_commit() -> None:
    job = coordinator()
    (answer,) = prepare(job, 1, 0, "p1")
    assert isinstance(answer, CoordinatorEvent)
    assert msgspec.msgpack.decode(answer.payload, type=OperatorPayloadMessage) == CommittablesReceived()
    prepare(job, 0, 0, "p0", "p00")
    prepare(job, 0, 0, "p0", "p00")
    (prepared,) = job.handle(PrepareCommit())
    assert isinstance(prepared, CommitPrepared)
    assert job.handle(CommitJob(payload=prepared.payload)) == [JobCommitted()]
    assert job.handle(EndCoordination(committed=True)) == []
    assert LOG == [("commit", ["p0", "p00", "p1"]), ("cleanup", "j")]


def test_a_new_coordinator_commits_what_the_old_one_prepared() -> None:
    job = coordinator()
    prepare(job, 0, 0, "p")
    (prepared,) = job.handle(PrepareCommit())
    assert isinstance(prepared, CommitPrepared)
    successor = coordinator()
    assert successor.handle(CommitJob(payload=prepared.payload)) == [JobCommitted()]
    assert LOG == [("commit", ["p"])]


def test_nothing_to_commit() -> None:
    job = coordinator()
    assert job.handle(PrepareCommit()) == [CommitPrepared(payload=b"")]
    assert job.handle(CommitJob(payload=b"")) == [JobCommitted()]
    assert LOG == []


def test_stale_committables_are_aborted_and_refused() -> None:
    job = coordinator()
    prepare(job, 0, 0, "old")
    job.handle(SubtaskReset(vertex_id="k", subtask=0, attempt=1))
    assert prepare(job, 0, 0, "late") == []
    prepare(job, 0, 1, "new")
    (prepared,) = job.handle(PrepareCommit())
    assert isinstance(prepared, CommitPrepared)
    assert cloudpickle.loads(prepared.payload) == {"k": ["new"]}
    assert LOG == [("abort", ["old"])]


def test_a_job_without_success_leaves_nothing() -> None:
    job = coordinator("a")
    ask(job)
    prepare(job, 0, 0, "p")
    assert job.handle(EndCoordination(committed=False)) == []
    assert LOG == ["open", ("abort", ["p"]), ("cleanup", "j"), "close"]


def test_a_failing_committer_fails_the_job() -> None:
    job = coordinator()
    prepare(job, 0, 0, "poison")
    (prepared,) = job.handle(PrepareCommit())
    assert isinstance(prepared, CommitPrepared)
    (answer,) = job.handle(CommitJob(payload=prepared.payload))
    assert isinstance(answer, CoordinatorFailed)
    assert (answer.failure.operator, answer.failure.message) == ("Sink", "cannot rename")
