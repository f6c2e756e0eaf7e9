"""The handle on a job of a cluster: ``JobClient`` over REST."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from pyflow_yarn.client.progress import ProgressLine
from pyflow_yarn.client.rest import ANSWER_TIMEOUT, Conflict, RestClient
from pyflow_yarn.common.completable_future import CompletableFuture
from pyflow_yarn.common.job_client import JobClient
from pyflow_yarn.common.job_execution_result import JobExecutionResult
from pyflow_yarn.common.job_id import JobID
from pyflow_yarn.common.job_status import JobStatus
from pyflow_yarn.errors import ClusterError, Domain, FailureInfo, PyflowError, UserFunctionError

T = TypeVar("T")

ENDED = frozenset(status.name for status in JobStatus if status.is_globally_terminal_state())
"""The names of the states in which a job has ended for ever."""

LONGEST_POLL = 10.0
FIRST_PAUSE = 0.01
LONGEST_PAUSE = 2.0
_WHOLE_NUMBERS = ("IntCounter", "LongCounter", "IntMaximum", "IntMinimum", "int")


class JobFailedError(ClusterError):
    """A job failed for a reason that is not in the user's functions; ``failure`` has the details."""

    def __init__(self, failure: FailureInfo) -> None:
        super().__init__(failure.headline())
        self.failure = failure


class JobCancelledError(ClusterError):
    """A job was cancelled while somebody waited for its result."""


class _Id(msgspec.Struct):
    id: str


class _FailureCause(msgspec.Struct, rename="kebab"):
    class_: str = msgspec.field(default="", name="class")
    stack_trace: str = ""
    failure_info: FailureInfo | None = None


class _Execution(msgspec.Struct, rename="kebab"):
    application_status: str = "UNKNOWN"
    net_runtime: int = 0
    failure_cause: _FailureCause | None = None


class _ExecutionResult(msgspec.Struct, rename="kebab"):
    status: _Id
    job_execution_result: _Execution | None = None


class _Accumulator(msgspec.Struct):
    name: str
    type: str
    value: str


class _Accumulators(msgspec.Struct, rename="kebab"):
    user_task_accumulators: list[_Accumulator] = []


class _Status(msgspec.Struct):
    status: str


class RestJobClient(JobClient):
    """One job of a cluster. ``attached``: its result is printed, and ``progress`` while somebody waits for it.

    ``when_ended`` is called when all that the cluster has to say of the job has been asked for.
    """

    def __init__(
        self, rest: RestClient, job_id: str, attached: bool = False, progress: ProgressLine | None = None
    ) -> None:
        self.job_id = job_id
        self.ended = False
        self.cancellation_wanted = False
        self.when_ended: Callable[[], None] = lambda: None
        self._rest = rest
        self._result = ResultFuture(self, attached)
        self._progress = progress

    def get_job_id(self) -> JobID:
        """The id of the job."""
        return JobID(self.job_id)

    def get_job_status(self) -> CompletableFuture[JobStatus]:
        """The job's present state."""
        return self._in_background(self.status)

    def status(self) -> JobStatus:
        """The job's present state, asked for at once."""
        return JobStatus.of(msgspec.convert(self._rest.get(f"/jobs/{self.job_id}/status"), _Status).status)

    def cancel(self) -> CompletableFuture[None]:
        """Asks for the job's cancellation; done when that is accepted."""
        return self._in_background(self.request_cancellation)

    def request_cancellation(self) -> None:
        """Ask for the job's cancellation; one that has ended is left as it is."""
        self.cancellation_wanted = True
        try:
            self._rest.send("PATCH", f"/jobs/{self.job_id}?mode=cancel")
        except Conflict:
            self.ended = True

    def get_accumulators(self) -> CompletableFuture[dict[str, Any]]:
        """The job's accumulators by name, also while it runs."""
        return self._in_background(self.accumulators)

    def accumulators(self) -> dict[str, Any]:
        """The job's accumulators by name, asked for at once; counters are numbers, anything else is text."""
        answer = msgspec.convert(self._rest.get(f"/jobs/{self.job_id}/accumulators"), _Accumulators)
        return {entry.name: _accumulator_value(entry) for entry in answer.user_task_accumulators}

    def _in_background(self, ask: Callable[[], T]) -> CompletableFuture[T]:
        def ask_and_close() -> T:
            try:
                return ask()
            finally:
                self._rest.close()  # the connection of a thread that ends now

        return CompletableFuture.supply(ask_and_close)

    def get_job_execution_result(self) -> CompletableFuture[JobExecutionResult]:
        """The job's result, once it has ended; whoever asks for it waits in its own thread."""
        return self._result

    def wait(self, timeout: float | None) -> JobExecutionResult | None:
        """The result, or None if the job has not ended after ``timeout`` seconds; raises what made the job fail."""
        try:
            execution = self._poll(None if timeout is None else time.monotonic() + timeout)
        finally:
            if self._progress is not None:
                self._progress.erase()
        if execution is None:
            return None
        try:
            return self._outcome(execution)
        finally:
            self.when_ended()

    def _poll(self, deadline: float | None) -> _Execution | None:
        pause = FIRST_PAUSE
        while True:
            longest = LONGEST_POLL if self._progress is None else self._progress.refresh()
            asked = time.monotonic()
            patience = max(0.0, longest if deadline is None else min(longest, deadline - asked))
            path = f"/jobs/{self.job_id}/execution-result?wait={round(patience * 1000)}"
            answer = msgspec.convert(self._rest.get(path, timeout=patience + ANSWER_TIMEOUT), _ExecutionResult)
            if answer.job_execution_result is not None:
                self.ended = True
                return answer.job_execution_result
            now = time.monotonic()
            if deadline is not None and now >= deadline:
                return None
            if now - asked < patience / 2:
                # A server that does not know how to wait: ask more and more seldom.
                time.sleep(pause if deadline is None else min(pause, deadline - now))
                pause = min(pause * 2, LONGEST_PAUSE)

    def _outcome(self, execution: _Execution) -> JobExecutionResult:
        if execution.application_status == "SUCCEEDED":
            return JobExecutionResult(self.get_job_id(), execution.net_runtime, self.accumulators())
        if execution.application_status == "CANCELED":
            raise JobCancelledError(f"Job {self.job_id} was cancelled.")
        raise _failure(execution.failure_cause, self.job_id)


def _failure(cause: _FailureCause | None, job_id: str) -> PyflowError:
    if cause is None:
        return ClusterError(f"Job {job_id} failed, and the cluster does not say why.")
    if cause.failure_info is None:
        return ClusterError(cause.stack_trace or cause.class_)
    if cause.failure_info.domain is Domain.USER:
        return UserFunctionError(cause.failure_info)
    return JobFailedError(cause.failure_info)


def _accumulator_value(entry: _Accumulator) -> Any:
    if entry.type in _WHOLE_NUMBERS:
        try:
            return int(entry.value)
        except ValueError:
            return entry.value
    return entry.value


class ResultFuture(CompletableFuture[JobExecutionResult]):
    """The result of a job: who asks for it waits himself, so that Ctrl-C reaches him."""

    def __init__(self, job: RestJobClient, attached: bool) -> None:
        super().__init__()
        self._job = job
        self._attached = attached

    def done(self) -> bool:
        """Whether the job has ended."""
        if not super().done():
            self._poll(0.0)
        return super().done()

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What made the job fail, or None; waits until the job has ended."""
        if not super().done():
            self._poll(timeout)
        return super().exception(0.0 if timeout is None and super().done() else timeout)

    def _poll(self, timeout: float | None) -> None:
        try:
            result = self._job.wait(timeout)
        except PyflowError as error:
            self.set_exception(error)
            return
        if result is not None and self.set_result(result) and self._attached:
            sys.stdout.write(f"{result}\n")
            sys.stdout.flush()
