"""What the REST server asks of the JobManager, turned into events of the control plane and back."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from pyflow_runtime.dispatcher.control_plane import ControlPlane
from pyflow_runtime.dispatcher.effects import Reply
from pyflow_runtime.dispatcher.events import CancelJob, ClientHeartbeat, CollectRequest, Event, ShutDown, SubmitJob
from pyflow_runtime.dispatcher.shell.blobs import BlobServer
from pyflow_runtime.dispatcher.views import ClusterView, ExceptionEntry, JobView, TaskManagerView
from pyflow_runtime.highavailability.job_store import JobResult
from pyflow_runtime.rpc.frames import FRAME_LIMIT
from pyflow_yarn.errors import ClusterError, JobNotFoundError, UserError
from pyflow_yarn.graph.job_graph import JobGraph

REPLY_TIMEOUT = 60.0
MAX_FUNCTIONS = FRAME_LIMIT // 2


class Gateway:
    """A ``JobManagerGateway``."""

    def __init__(
        self,
        configuration: dict[str, str],
        control_plane: ControlPlane,
        blobs: BlobServer,
        feed: Callable[[Event], None],
    ) -> None:
        self.configuration = configuration
        self._control_plane = control_plane
        self._blobs = blobs
        self._feed = feed
        self._numbers = itertools.count(1)
        self._replies: dict[str, asyncio.Future[Any]] = {}
        self._waiters: dict[asyncio.Future[None], str] = {}
        self._results: dict[str, JobResult] = {}

    # ---- from the shell ----

    def remember(self, results: Iterable[JobResult]) -> None:
        """Jobs that ended under earlier leaders: their fate can still be asked for."""
        self._results.update((result.job_id, result) for result in results)

    def reply(self, effect: Reply) -> None:
        """The control plane answers."""
        future = self._replies.get(effect.request_id)
        if future is None or future.done():
            return
        if effect.error is not None:
            future.set_exception(effect.error)
        else:
            future.set_result(effect.result)

    def job_terminated(self, job_id: str) -> None:
        """Whoever waits for the end of that job may look."""
        for waiter, awaited in list(self._waiters.items()):
            if awaited == job_id and not waiter.done():
                waiter.set_result(None)

    def close(self) -> None:
        """Nobody will be answered any more."""
        for future in self._replies.values():
            if not future.done():
                future.set_exception(ClusterError("The JobManager ends."))
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    # ---- JobManagerGateway ----

    async def submit_job(self, graph: JobGraph, blobs: dict[str, bytes]) -> None:
        """See ``JobManagerGateway``."""
        size = sum(len(operator.definition) for vertex in graph.vertices for operator in vertex.operators)
        if size > MAX_FUNCTIONS:
            raise UserError(
                f"The functions and collections of job '{graph.name}' have {size // 1024**2} mb, and at most"
                f" {MAX_FUNCTIONS // 1024**2} mb can travel with a job: let it read its data from files."
            )
        await self._blobs.put(blobs)
        try:
            await self._blobs.keep(graph)
            await self._ask(lambda request_id: SubmitJob(request_id=request_id, graph=graph), REPLY_TIMEOUT)
        finally:
            if self._over(graph.job_id):
                self._blobs.release(graph.job_id)

    async def missing_blobs(self, keys: list[str]) -> list[str]:
        """See ``JobManagerGateway``."""
        return self._blobs.missing(keys)

    async def put_blob(self, key: str, content: AsyncIterator[bytes]) -> None:
        """See ``JobManagerGateway``."""
        await self._blobs.receive(key, content)

    async def cancel_job(self, job_id: str) -> None:
        """See ``JobManagerGateway``."""
        await self._ask(lambda request_id: CancelJob(request_id=request_id, job_id=job_id), REPLY_TIMEOUT)

    def client_heartbeat(self, job_id: str) -> None:
        """See ``JobManagerGateway``."""
        self.job(job_id)
        self._feed(ClientHeartbeat(job_id=job_id))

    def cluster(self) -> ClusterView:
        """See ``JobManagerGateway``."""
        return self._control_plane.cluster()

    def jobs(self) -> list[JobView]:
        """See ``JobManagerGateway``."""
        return self._control_plane.jobs()

    def job(self, job_id: str) -> JobView:
        """See ``JobManagerGateway``."""
        try:
            return self._control_plane.job(job_id)
        except JobNotFoundError:
            if job_id not in self._results:
                raise
            return _ended_view(self._results[job_id])

    async def wait_for_job(self, job_id: str, timeout: float) -> JobView:
        """See ``JobManagerGateway``."""
        view = self.job(job_id)
        if view.status.globally_terminal:
            return view
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = job_id
        try:
            await asyncio.wait([waiter], timeout=timeout)
        finally:
            del self._waiters[waiter]
        return self.job(job_id)

    def task_managers(self) -> list[TaskManagerView]:
        """See ``JobManagerGateway``."""
        return self._control_plane.task_managers()

    async def coordination_request(self, job_id: str, operator_id: str, payload: bytes, timeout: float) -> bytes:
        """See ``JobManagerGateway``."""
        answer = await self._ask(
            lambda request_id: CollectRequest(
                request_id=request_id, job_id=job_id, operator_id=operator_id, payload=payload
            ),
            timeout,
        )
        assert isinstance(answer, bytes)
        return answer

    async def shut_down_cluster(self) -> None:
        """See ``JobManagerGateway``."""
        await self._ask(lambda request_id: ShutDown(request_id=request_id), REPLY_TIMEOUT)

    # ---- inside ----

    async def _ask(self, event: Callable[[str], Event], timeout: float) -> Any:
        request_id = f"rest-{next(self._numbers)}"
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._replies[request_id] = future
        try:
            self._feed(event(request_id))
            async with asyncio.timeout(timeout):
                return await future
        except TimeoutError:
            raise ClusterError(f"The JobManager did not answer within {timeout:g} s; try again.") from None
        finally:
            del self._replies[request_id]

    def _over(self, job_id: str) -> bool:
        try:
            return self.job(job_id).status.globally_terminal
        except JobNotFoundError:
            return True


def _ended_view(result: JobResult) -> JobView:
    return JobView(
        job_id=result.job_id,
        name="",
        status=result.status,
        start_time=-1,
        end_time=-1,
        last_modification=-1,
        timestamps={},
        restarts=0,
        vertices=[],
        exceptions=[ExceptionEntry(failure=result.failure)] if result.failure is not None else [],
        accumulators=[],
        graph=JobGraph(job_id=result.job_id, name="", vertices=[], edges=[]),
    )
