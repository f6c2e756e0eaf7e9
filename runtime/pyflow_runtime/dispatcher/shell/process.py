"""The process of a JobManager: performs what the control plane wants, and tells it what happens."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import os
import signal
import socket
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from pyflow_runtime.blob.messages import FetchBlob
from pyflow_runtime.dispatcher import effects, events
from pyflow_runtime.dispatcher.control_plane import ControlPlane
from pyflow_runtime.dispatcher.shell.blobs import BlobServer, StoredBlobs
from pyflow_runtime.dispatcher.shell.coordinators import Coordinators, ForkCoordinator
from pyflow_runtime.dispatcher.shell.gateway import Gateway
from pyflow_runtime.highavailability.job_store import JobCommit, JobResult, JobStore, StaleEpochError, StoredJobs
from pyflow_runtime.jobmaster.storage_backoff import StorageBackoff
from pyflow_runtime.processes.children import Children
from pyflow_runtime.processes.layout import Endpoint, Layout, write_atomically
from pyflow_runtime.processes.machine_runner import MachineRunner
from pyflow_runtime.processes.timers import Timers, now
from pyflow_runtime.resourcemanager.driver import ResourceDriver
from pyflow_runtime.rpc.handshake import JOINING, Hello
from pyflow_runtime.rpc.session import Conversation, Session, serve
from pyflow_runtime.rpc.tls import ServerTls
from pyflow_runtime.security.admission import Admission, AdmissionBySecret
from pyflow_runtime.security.authority import CertificateAuthority
from pyflow_runtime.security.joining import joining_conversation
from pyflow_runtime.taskexecutor.messages import FromTaskManagerMessage, RegisterTaskManager
from pyflow_yarn.configuration import options
from pyflow_yarn.errors import Domain, ExternalError, FailureInfo, PyflowError, RetryHint

if TYPE_CHECKING:
    from pyflow_runtime.rest.server import RestServer

logger = logging.getLogger(__name__)

REST_END_SECONDS = 2.0
CLAIM_TIMEOUT = 180_000


class Deployment(NamedTuple):
    """What differs between a JobManager's surroundings: where TaskManagers and coordinators come from, who may join."""

    driver: ResourceDriver
    fork_coordinator: ForkCoordinator | None = None
    admission: Admission = AdmissionBySecret()


class JobManagerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a JobManager's process is told at its start. The sockets listen already.

    ``remote_store``: the JobStore outlives this machine, and so is to hold the jobs' blobs, too; it may not answer now.
    ``rpc_address`` is where TaskManagers find it; ``token`` is None if everybody may use the REST interface;
    ``authority`` signs the keys of TaskManagers that join, if there is one. ``deployment`` is called in the event loop.
    """

    configuration: Mapping[str, str]
    layout: Layout
    rest: socket.socket
    rest_address: str
    rpc: list[socket.socket]
    rpc_address: str
    token: str | None
    secret: str
    store: Callable[[], JobStore]
    remote_store: bool = False
    deployment: Callable[[], Deployment]
    tls: ServerTls | None = None
    authority: CertificateAuthority | None = None
    pages: str = ""


class JobManagerProcess:
    """See the module. ``run`` returns the exit code."""

    def __init__(self, settings: JobManagerSettings) -> None:
        self._settings = settings
        self._layout = settings.layout
        self._loop = asyncio.get_running_loop()
        self._control_plane = ControlPlane(settings.configuration)
        self._runner = MachineRunner[events.Event]("JobManager", self._control_plane.handle)
        self._feed = self._runner.feed
        self._timers = Timers(lambda key: self._feed(events.TimerFired(key=key)))
        self._terminated = False
        self._task_managers: dict[tuple[str, str], Session] = {}
        self._incarnations: dict[str, str] = {}
        # One thread: what the control plane wants stored is stored in the order in which it said so.
        self._storage = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="job-store")
        self._store: JobStore | None = None
        self._children = Children()
        self._blobs = BlobServer(self._layout.blobs)
        self._driver, fork_coordinator, self._admission = settings.deployment()
        self._coordinators = Coordinators(
            children=self._children,
            directory=self._layout.directory,
            log_directory=self._layout.logs,
            rpc_socket=self._layout.rpc_socket,
            log_level=options.ENV_LOG_LEVEL.read(settings.configuration),
            fetch=self._blobs.path,
            feed=self._feed,
            run=self._runner.run,
            fork=fork_coordinator,
        )
        self._gateway = Gateway(dict(settings.configuration), self._control_plane, self._blobs, self._feed)
        self._runner.performers = {
            effects.SendToTaskManager: self._send_to_task_manager,
            effects.CloseTaskManager: self._close_task_manager,
            effects.RequestTaskManagers: lambda effect: self._driver.request(effect.missing_slots),
            effects.ReleaseTaskManager: lambda effect: self._driver.release(effect.task_manager_id),
            effects.SetTimer: lambda effect: self._timers.set(effect.key, effect.at),
            effects.CancelTimer: lambda effect: self._timers.cancel(effect.key),
            effects.PersistJob: self._persist_job,
            effects.PersistCommit: self._persist_commit,
            effects.PersistResult: self._persist_result,
            effects.StartCoordinator: self._coordinators.start,
            effects.SendToCoordinator: self._coordinators.send,
            effects.StopCoordinator: self._coordinators.stop,
            effects.Reply: self._gateway.reply,
            effects.JobTerminated: self._job_terminated,
            effects.TerminateCluster: lambda effect: self._terminate(),
        }

    async def run(self) -> int:
        """Lead until the cluster terminates; raises if this process cannot go on."""
        settings = self._settings
        self._children.start()
        self._loop.add_signal_handler(signal.SIGTERM, self._runner.end, 0)
        rest: asyncio.Task[None] | None = None
        server: RestServer | None = None
        servers: list[asyncio.Server] = []
        try:
            claiming = self._loop.create_task(self._claim())
            server = self._rest_server()
            either: list[asyncio.Future[Any]] = [claiming, self._runner.done]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if self._runner.done.done():
                claiming.cancel()
                return self._runner.done.result()
            epoch = self._lead(*claiming.result())
            self._driver.start(self)
            for listening in settings.rpc:
                servers.append(
                    await serve(
                        listening,
                        self._conversation,
                        secret=settings.secret,
                        tls=settings.tls,
                        admit=self._admit,
                        token=self._token,
                    )
                )
            rest = self._loop.create_task(server.run_on(settings.rest))
            rest.add_done_callback(self._rest_ended)
            self._write_endpoint(epoch)
            return await self._runner.done
        finally:
            if server is not None and rest is not None:
                if self._terminated:
                    # Whoever asked for the end over REST still gets the answer.
                    server.stop()
                    await asyncio.wait([rest], timeout=REST_END_SECONDS)
                rest.cancel()
                await asyncio.wait([rest])
            for accepting in servers:
                accepting.close()
            await self._close_everything()

    def _rest_server(self) -> RestServer:
        # Imported here: the TaskManager, forked from the same process, has no use for a web server.
        from pyflow_runtime.rest.application import create_application
        from pyflow_runtime.rest.server import RestServer

        application = create_application(self._gateway, self._settings.token, self._settings.pages)
        return RestServer(application, self._settings.configuration)

    # ---- beginning and end ----

    def _rest_ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        self._runner.fail(error or RuntimeError("the REST server has ended"))

    def _terminate(self) -> None:
        self._terminated = True
        self._runner.end(0)

    # ---- leadership and storage ----

    async def _claim(self) -> tuple[JobStore, int, StoredJobs]:
        backoff, deadline = StorageBackoff(), now() + CLAIM_TIMEOUT
        while True:
            try:
                return await self._loop.run_in_executor(self._storage, self._open_store)
            except ExternalError as error:
                final = error.retry_hint is RetryHint.NEVER or not self._settings.remote_store
                if final or now() > deadline:
                    raise
                logger.warning("%s Trying again.", error)
            await asyncio.sleep(backoff.next(0) / 1000)

    def _open_store(self) -> tuple[JobStore, int, StoredJobs]:
        store = self._settings.store()
        epoch = store.claim_epoch()
        return store, epoch, store.recover()

    def _lead(self, store: JobStore, epoch: int, stored: StoredJobs) -> int:
        self._store = store
        in_store = StoredBlobs(store, epoch, stored.blobs) if self._settings.remote_store else None
        self._blobs.recover(stored.graphs, in_store)
        self._gateway.remember(stored.results)
        logger.info("leader epoch %d, %d jobs to go on with", epoch, len(stored.graphs))
        self._feed(
            events.LeadershipGranted(
                epoch=epoch,
                jobs=stored.graphs,
                ended=[result.job_id for result in stored.results],
                committing={commit.job_id: commit.payload for commit in stored.commits},
            )
        )
        return epoch

    def _write_endpoint(self, epoch: int) -> None:
        endpoint = Endpoint(
            epoch=epoch,
            rest_address=self._settings.rest_address,
            rpc_address=self._settings.rpc_address,
            pid=os.getpid(),
        )
        write_atomically(self._layout.endpoint, msgspec.json.encode(endpoint))

    def _persist_job(self, effect: effects.PersistJob) -> None:
        assert self._store is not None
        store, graph = self._store, effect.graph
        done = events.JobPersisted(job_id=graph.job_id)
        self._runner.run(self._persist(lambda: store.put_job(graph, effect.epoch), graph.job_id, done))

    def _persist_commit(self, effect: effects.PersistCommit) -> None:
        assert self._store is not None
        store, commit = self._store, JobCommit(job_id=effect.job_id, payload=effect.payload)
        done = events.CommitPersisted(job_id=effect.job_id)
        self._runner.run(self._persist(lambda: store.put_commit(commit, effect.epoch), effect.job_id, done))

    def _persist_result(self, effect: effects.PersistResult) -> None:
        assert self._store is not None
        store, result = self._store, JobResult(job_id=effect.job_id, status=effect.status, failure=effect.failure)
        done = events.ResultPersisted(job_id=effect.job_id)
        self._runner.run(self._persist(lambda: store.put_result(result, effect.epoch), effect.job_id, done))

    async def _persist(self, write: Callable[[], None], job_id: str, done: events.Event) -> None:
        try:
            await self._loop.run_in_executor(self._storage, write)
        except StaleEpochError as error:
            logger.error("%s", error)
            self._feed(events.LeadershipRevoked())
            self._runner.end(1)
            return
        except PyflowError as error:
            logger.error("%s", error)
            failure = FailureInfo(
                exception=type(error).__name__, message=str(error), domain=Domain.EXTERNAL, timestamp=now()
            )
            self._feed(events.StorageFailed(job_id=job_id, failure=failure))
            return
        self._feed(done)

    def _job_terminated(self, effect: effects.JobTerminated) -> None:
        self._blobs.release(effect.job_id)
        self._gateway.job_terminated(effect.job_id)

    # ---- sessions ----

    def _admit(self, hello: Hello) -> str | None:
        if hello.role == "coordinator":
            return self._coordinators.admit(hello)
        if hello.role == JOINING:
            return None if self._settings.authority else "this cluster signs no keys"
        return None if hello.role == "taskmanager" else f"a {hello.role} has no business here"

    def _token(self, hello: Hello) -> str:
        return self._admission.token(hello.identity) if hello.role == JOINING else ""

    def _conversation(self, hello: Hello) -> Conversation:
        if hello.role == "coordinator":
            return self._coordinators.conversation(hello)
        if hello.role == JOINING:
            assert self._settings.authority is not None
            return joining_conversation(self._settings.authority, self._admission)
        key = (hello.identity, hello.incarnation)

        def opened(session: Session) -> None:
            older = self._task_managers.get(key)
            self._task_managers[key] = session
            if older is not None:
                older.close("a newer session of the same TaskManager has been opened")

        def message(session: Session, message: FromTaskManagerMessage) -> None:
            self._task_manager_message(session, key, message)

        def closed(session: Session, reason: str) -> None:
            self._task_manager_closed(session, key, reason)

        async def request(session: Session, request: FetchBlob) -> Any:
            return await self._blobs.serve(request)

        return Conversation(FromTaskManagerMessage, message, FetchBlob, request, closed, opened)

    def _task_manager_message(self, session: Session, key: tuple[str, str], message: FromTaskManagerMessage) -> None:
        if self._task_managers.get(key) is not session:
            return
        if isinstance(message, RegisterTaskManager):
            if (message.task_manager_id, message.incarnation) != key:
                session.close("it registers under another name than it said hello with")
                return
            self._incarnations[message.task_manager_id] = message.incarnation
            self._driver.registered(message.task_manager_id, message.slots)
        self._feed(events.TaskManagerMessage(task_manager_id=key[0], incarnation=key[1], message=message))

    def _task_manager_closed(self, session: Session, key: tuple[str, str], reason: str) -> None:
        if self._task_managers.get(key) is session:
            del self._task_managers[key]
            logger.info("the session of %s is closed: %s", key[0], reason)
            self._feed(
                events.TaskManagerDisconnected(task_manager_id=key[0], incarnation=key[1], dead=False, reason=reason)
            )

    def _send_to_task_manager(self, effect: effects.SendToTaskManager) -> None:
        session = self._task_managers.get((effect.task_manager_id, effect.incarnation))
        if session is not None:
            session.send(effect.message)

    def _close_task_manager(self, effect: effects.CloseTaskManager) -> None:
        session = self._task_managers.pop((effect.task_manager_id, effect.incarnation), None)
        if session is not None:
            session.close(effect.reason)
        if self._incarnations.get(effect.task_manager_id) == effect.incarnation:
            del self._incarnations[effect.task_manager_id]
            self._driver.lost(effect.task_manager_id)

    # ---- the driver's listener ----

    def task_manager_ended(self, task_manager_id: str, reason: str) -> None:
        """See ``DriverListener``."""
        incarnation = self._incarnations.pop(task_manager_id, None)
        if incarnation is None:
            return
        # Its session may have been closed before; only now it is known that it will not come back.
        session = self._task_managers.pop((task_manager_id, incarnation), None)
        if session is not None:
            session.close("the process of this TaskManager has ended")
        self._feed(
            events.TaskManagerDisconnected(
                task_manager_id=task_manager_id, incarnation=incarnation, dead=True, reason=reason
            )
        )

    def resources_unavailable(self, reason: str, final: bool, slots: int = -1) -> None:
        """See ``DriverListener``."""
        logger.warning("%s", reason)
        self._feed(events.ResourcesUnavailable(reason=reason, final=final, slots=slots))

    # ---- the end ----

    async def _close_everything(self) -> None:
        self._timers.clear()
        for session in list(self._task_managers.values()):
            session.close("the JobManager ends")
        self._coordinators.kill_all()
        self._gateway.close()
        self._runner.cancel_tasks()
        await asyncio.to_thread(self._storage.shutdown)
        await asyncio.to_thread(self._blobs.close)
        await asyncio.sleep(0)
        self._children.stop()
