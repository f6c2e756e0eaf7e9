"""The JobStore: the interface of everything that must survive a JobManager.

All stores pass one suite of tests. Calls block (they are made from a thread, never from an event loop) and are
durable when they return. Every write names the leader epoch it is made under: once a newer epoch is claimed, writes of
older ones are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import msgspec

from pyflow_runtime.executiongraph.states import JobStatus
from pyflow_yarn.errors import ClusterError, ExternalError, FailureInfo, RetryHint
from pyflow_yarn.graph.job_graph import JobGraph


class StaleEpochError(ClusterError):
    """Another JobManager has become leader: this one may not write any more."""

    retry_hint = RetryHint.NEVER


class UnreadableStoreError(ExternalError):
    """This version cannot read what is in the store, however long it waits."""

    retry_hint = RetryHint.NEVER


class DamagedEntryError(UnreadableStoreError):
    """An entry of the store is not what was written; its file is named."""


class JobResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a job ended."""

    job_id: str
    status: JobStatus
    failure: FailureInfo | None = None


class JobCommit(msgspec.Struct, frozen=True, kw_only=True):
    """What a job that has run is about to commit; ``payload`` is its coordinator's, and never read here."""

    job_id: str
    payload: bytes


class StoredJobs(msgspec.Struct, frozen=True, kw_only=True):
    """What the store holds: graphs of jobs that have not ended, commits of some of them, results of ended ones.

    ``blobs``: the keys of all blobs.
    """

    graphs: list[JobGraph]
    commits: list[JobCommit]
    results: list[JobResult]
    blobs: frozenset[str] = frozenset()


class JobStore(Protocol):
    """See the module. Errors are ``StaleEpochError``, ``DamagedEntryError`` and ``ExternalError``."""

    def claim_epoch(self) -> int:
        """A leader epoch greater than every one before it; from now on older ones cannot write."""

    def recover(self) -> StoredJobs:
        """Everything in the store."""

    def put_job(self, graph: JobGraph, epoch: int) -> None:
        """Keep the graph of a job that has not ended; the same again changes nothing."""

    def put_commit(self, commit: JobCommit, epoch: int) -> None:
        """Keep what a job is about to commit; the same again changes nothing."""

    def put_result(self, result: JobResult, epoch: int) -> None:
        """Keep a job's result and forget its graph and commit; the same again changes nothing."""

    def put_blob(self, key: str, content: Iterable[bytes], epoch: int) -> None:
        """Keep a blob, named by the sha256 of its content; the same again changes nothing."""

    def read_blob(self, key: str, epoch: int) -> Iterator[bytes]:
        """A blob in pieces, for the leader of that epoch."""

    def delete_blobs(self, keys: Iterable[str], epoch: int) -> None:
        """Forget blobs that no job in the store names; an older epoch deletes nothing.

        A deletion that is under way while a newer epoch is claimed may still happen.
        """
