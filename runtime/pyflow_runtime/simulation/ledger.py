"""What has been committed: the output that the outside world sees."""

from __future__ import annotations

from collections import Counter

from pyflow_runtime.simulation.job_shapes import SimulatedJob
from pyflow_runtime.simulation.violation import InvariantViolated


class Ledger:
    """Committed portions by sink and writer. Committing one again changes nothing, like renaming a file."""

    def __init__(self) -> None:
        self._jobs: dict[str, SimulatedJob] = {}
        self._committed: dict[tuple[str, str], dict[tuple[int, int], list[int]]] = {}
        self._counts: dict[tuple[str, str], Counter[int]] = {}

    def add_job(self, job: SimulatedJob) -> None:
        """A job that may commit."""
        self._jobs[job.job_id] = job

    def commit(self, job_id: str, sink: str, subtask: int, attempt: int, elements: list[int]) -> None:
        """Make a portion visible. No element may ever be visible more often than it should."""
        portions = self._committed.setdefault((job_id, sink), {})
        if (subtask, attempt) in portions:
            return
        portions[(subtask, attempt)] = elements
        counts = self._counts.setdefault((job_id, sink), Counter())
        counts.update(elements)
        expected = self._jobs[job_id].expected[sink]
        for element in elements:
            if counts[element] > expected.get(element, 0):
                raise InvariantViolated(
                    "exactly once",
                    f"element {element} was committed {counts[element]} times by sink {sink[-4:]} of {job_id[-4:]},"
                    f" at last by subtask {subtask} attempt {attempt}; once is right {expected.get(element, 0)} times",
                )

    def check_nothing(self, job: SimulatedJob) -> None:
        """The job says CANCELED: nothing of it may be visible."""
        if any(job_id == job.job_id for job_id, _ in self._committed):
            raise InvariantViolated("exactly once", f"{job.job_id[-4:]} is CANCELED, but has committed output")

    def check_complete(self, job: SimulatedJob) -> None:
        """The job says FINISHED: everything must be there."""
        for sink in job.sinks:
            if not job.coordinated(sink):
                continue
            counts = self._counts.get((job.job_id, sink.id), Counter())
            missing = [element for element, count in job.expected[sink.id].items() if counts[element] < count]
            if missing:
                raise InvariantViolated(
                    "exactly once",
                    f"{job.job_id[-4:]} is FINISHED, but {missing[:5]} of {len(missing)} were not committed",
                )
