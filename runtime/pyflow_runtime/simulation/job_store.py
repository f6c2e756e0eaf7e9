"""The JobStore of the simulation: slow, failing, and fenced by leader epochs."""

from __future__ import annotations

from pyflow_runtime.dispatcher.effects import PersistCommit, PersistJob, PersistResult
from pyflow_runtime.executiongraph.states import JobStatus
from pyflow_runtime.simulation.violation import InvariantViolated
from pyflow_yarn.graph.job_graph import JobGraph


class StaleEpochError(Exception):
    """A deposed leader tried to write."""


class SimulatedJobStore:
    """What is durable."""

    def __init__(self) -> None:
        self.epoch = 0
        self.graphs: dict[str, JobGraph] = {}
        self.commits: dict[str, bytes] = {}
        self.results: dict[str, JobStatus] = {}
        self.ended_under: dict[str, int] = {}

    def grant(self) -> int:
        """A new leader epoch."""
        self.epoch += 1
        return self.epoch

    def write(self, record: PersistJob | PersistCommit | PersistResult) -> None:
        """One durable step, refused to deposed leaders."""
        if record.epoch < self.epoch:
            raise StaleEpochError
        if isinstance(record, PersistJob):
            job_id = record.graph.job_id
            self._check_not_ended(job_id, "its graph was stored")
            self.graphs[job_id] = record.graph
        elif isinstance(record, PersistCommit):
            self._check_not_ended(record.job_id, "a commit was stored")
            if self.commits.setdefault(record.job_id, record.payload) != record.payload:
                raise InvariantViolated(
                    "one outcome", f"{record.job_id[-4:]} is to commit something else than was recorded before"
                )
        else:
            former = self.results.setdefault(record.job_id, record.status)
            if former is not record.status:
                raise InvariantViolated(
                    "terminal jobs stay terminal", f"{record.job_id[-4:]} was {former} and is now {record.status}"
                )
            self.ended_under.setdefault(record.job_id, record.epoch)
            self.graphs.pop(record.job_id, None)
            self.commits.pop(record.job_id, None)

    def _check_not_ended(self, job_id: str, what: str) -> None:
        if job_id in self.results:
            raise InvariantViolated(
                "terminal jobs stay terminal", f"{job_id[-4:]} is {self.results[job_id]}, but {what} again"
            )
