"""The process of a TaskManager: performs what the TaskExecutor wants, and tells it what happens."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import signal
import socket
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from pyflow_runtime.blob.cache import BlobCache
from pyflow_runtime.blob.messages import BlobChunk, FetchBlob
from pyflow_runtime.processes.children import Children
from pyflow_runtime.processes.control import describe_exit, signal_process
from pyflow_runtime.processes.files import remove_directory
from pyflow_runtime.processes.machine_runner import MachineRunner
from pyflow_runtime.processes.timers import Timers, now
from pyflow_runtime.processes.zygote import LAST_ERROR
from pyflow_runtime.rpc.errors import AuthenticationError, ConnectionLost, RemoteError, RpcError
from pyflow_runtime.rpc.handshake import JOB_MANAGER, ClientHandshake, Hello
from pyflow_runtime.rpc.session import Conversation, Session, connect, serve
from pyflow_runtime.rpc.tls import mutual_tls
from pyflow_runtime.security.join_tokens import JoinRefusedError
from pyflow_runtime.security.joining import join
from pyflow_runtime.taskexecutor import effects, events
from pyflow_runtime.taskexecutor.machine import TaskExecutor
from pyflow_runtime.taskexecutor.messages import JobEnvironment, RegisterTaskManager, ToTaskManagerMessage
from pyflow_runtime.taskexecutor.shell.environment import PreparedEnvironment, prepare_environment
from pyflow_runtime.taskexecutor.shell.interpreters import default_cache, interpreter_of
from pyflow_runtime.taskexecutor.shell.machine_facts import host_id
from pyflow_runtime.taskexecutor.shell.zygotes import Zygotes
from pyflow_runtime.worker.messages import FromWorkerMessage, WorkerSettings
from pyflow_yarn.configuration import options
from pyflow_yarn.errors import Domain, ExternalError, FailureInfo, PyflowError

logger = logging.getLogger(__name__)

REQUEST_TIMEOUT = 30.0
LAST_WORDS_SECONDS = 1.0


class TaskManagerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a TaskManager's process is told at its start. ``address`` gives the JobManager's address of the moment.

    ``certificates``: directory of its ``ca.pem``, ``cert.pem`` and ``key.pem``, for TLS; if it ``joins``, they come
    from the JobManager, who wants the ``join_token`` if there is one, and once. ``ends_with_supervisor``: somebody
    listens for the JobManager as long as there is a cluster.
    """

    registration: RegisterTaskManager
    configuration: Mapping[str, str]
    directory: Path
    log_directory: Path
    address: Callable[[], str]
    secret: str
    certificates: Path | None = None
    joins: bool = False
    join_token: str = ""
    bind_host: str = "127.0.0.1"
    memory_limit: int = 0
    zygote: tuple[socket.socket, int] | None = None
    ends_with_supervisor: bool = False
    own_log: Path | None = None

    @property
    def log_file(self) -> Path:
        """The TaskManager's log, to which its workers append."""
        return self.own_log or self.log_directory / f"{self.registration.task_manager_id}.log"


class _Worker:
    """A slot worker as this process knows it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.pid = 0
        self.session: Session | None = None
        self.disconnected = asyncio.Event()
        self.signal: signal.Signals | None = None

    def deliver(self, number: signal.Signals) -> None:
        """Send a signal now, or as soon as the pid is known; SIGKILL is not taken back."""
        if self.signal is not signal.SIGKILL:
            self.signal = number
        self.deliver_waiting()

    def deliver_waiting(self) -> None:
        """The pid may be known now."""
        if self.pid and self.signal is not None:
            signal_process(self.pid, self.signal)


class TaskManagerProcess:
    """See the module. ``run`` returns the exit code."""

    def __init__(self, settings: TaskManagerSettings) -> None:
        self._settings = settings
        self._registration = settings.registration
        self._machine = TaskExecutor(settings.registration, settings.configuration)
        self._loop = asyncio.get_running_loop()
        self._runner = MachineRunner[events.Event]("TaskManager", self._machine.handle)
        self._feed = self._runner.feed
        self._timers = Timers(lambda key: self._feed(events.TimerFired(key=key)))
        self._sessions: dict[int, Session] = {}
        self._joined = False
        self._workers: dict[str, _Worker] = {}
        self._environments: dict[str, asyncio.Task[PreparedEnvironment]] = {}
        self._prepared_count = 0
        self._children = Children()
        self._blobs = BlobCache(settings.directory / "cache", self._fetch_chunk)
        self._fetching = asyncio.Semaphore(options.BLOB_FETCH_NUM_CONCURRENT.read(settings.configuration))
        self._zygotes: Zygotes | None = None
        self._host_id = host_id()
        self._runner.performers = {
            effects.OpenSession: self._open_session,
            effects.CloseSession: self._close_session,
            effects.SendToJobManager: self._send_to_job_manager,
            effects.PrepareEnvironment: self._prepare_environment,
            effects.ReleaseEnvironment: self._release_environment,
            effects.StartWorker: self._start_worker,
            effects.SendToWorker: self._send_to_worker,
            effects.SignalWorker: self._signal_worker,
            effects.SetTimer: lambda effect: self._timers.set(effect.key, effect.at),
            effects.CancelTimer: lambda effect: self._timers.cancel(effect.key),
            effects.Terminate: self._terminate,
        }

    async def run(self) -> int:
        """Live until the machine terminates."""
        settings = self._settings
        self._children.start()
        level = options.ENV_LOG_LEVEL.read(settings.configuration)
        self._zygotes = Zygotes(
            self._children, self._registration.task_manager_id, settings.log_file, level, settings.zygote
        )
        self._loop.add_signal_handler(signal.SIGTERM, self._asked_to_end)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.bind(self._control_path)
        os.chmod(self._control_path, 0o600)
        listening.listen(128)
        server = await serve(listening, self._worker_conversation, admit=self._admit_worker)
        try:
            self._feed(events.Started())
            return await self._runner.done
        finally:
            server.close()
            await self._close_everything()

    def _asked_to_end(self) -> None:
        self._feed(events.ShutDown(reason="the TaskManager was asked to end"))

    def _terminate(self, effect: effects.Terminate) -> None:
        logger.info("the TaskManager ends: %s", effect.reason)
        self._runner.end(0 if effect.clean else 1)

    # ---- the JobManager ----

    def _open_session(self, effect: effects.OpenSession) -> None:
        self._runner.run(self._connect(effect.session))

    async def _connect(self, number: int) -> None:
        conversation = Conversation(
            incoming=ToTaskManagerMessage,
            message=lambda session, message: self._feed(events.JobManagerMessage(session=number, message=message)),
            closed=lambda session, reason: self._session_closed(number, reason),
        )
        try:
            address = self._settings.address()
            tls = await self._tls(address)
            handshake = ClientHandshake(
                "taskmanager",
                self._registration.task_manager_id,
                self._registration.incarnation,
                self._settings.secret,
                server_name=JOB_MANAGER if tls is not None and self._settings.joins else "",
            )
            session = await connect(address, handshake, conversation, tls=tls)
        except PyflowError as error:
            if isinstance(error, AuthenticationError):
                # Perhaps another cluster has taken the place of ours: the next attempt joins that one.
                self._joined = False
            if isinstance(error, JoinRefusedError) and self._settings.join_token:
                logger.error("the TaskManager ends: %s", error)
                self._runner.end(1)
                return
            logger.info("no session with the JobManager: %s", error)
            if self._settings.ends_with_supervisor and isinstance(error.__cause__, ConnectionRefusedError):
                logger.info("nobody listens at the JobManager's address any more: the application is over")
                self._runner.end(0)
                return
            self._feed(events.SessionClosed(session=number, reason=str(error)))
            return
        if session.open:  # else its end has been reported already
            self._sessions[number] = session
            self._feed(events.SessionOpened(session=number))

    async def _tls(self, address: str) -> ssl.SSLContext | None:
        certificates = self._settings.certificates
        encrypted = options.SECURITY_SSL_INTERNAL_ENABLED.read(self._settings.configuration)
        if certificates is None or not encrypted or address.startswith("unix:"):
            return None
        if self._settings.joins and not self._joined:
            settings = self._settings
            await join(address, self._registration.task_manager_id, settings.secret, settings.join_token, certificates)
            self._joined = True
        return mutual_tls(certificates, server=False)

    def _session_closed(self, number: int, reason: str) -> None:
        logger.info("the session with the JobManager is closed: %s", reason)
        self._sessions.pop(number, None)
        self._feed(events.SessionClosed(session=number, reason=reason))

    def _close_session(self, effect: effects.CloseSession) -> None:
        session = self._sessions.get(effect.session)
        if session is not None:
            session.close("the TaskManager closed the session")

    def _send_to_job_manager(self, effect: effects.SendToJobManager) -> None:
        session = self._sessions.get(effect.session)
        if session is not None:
            session.send(effect.message)

    # ---- environments ----

    async def _fetch_chunk(self, key: str, offset: int) -> BlobChunk:
        retries = options.BLOB_FETCH_RETRIES.read(self._settings.configuration)
        for attempt in range(retries + 1):
            session = next(reversed(self._sessions.values()), None)
            try:
                if session is None:
                    raise ConnectionLost("there is no session with the JobManager")
                async with self._fetching:
                    return await session.request(FetchBlob(key=key, offset=offset), BlobChunk, REQUEST_TIMEOUT)
            except RemoteError as error:
                raise ExternalError(f"A file of the job cannot be fetched from the JobManager: {error}") from error
            except RpcError as error:
                if attempt == retries:
                    raise ExternalError(f"A file of the job cannot be fetched from the JobManager: {error}.") from error
                await asyncio.sleep(0.2 * 2**attempt)
        raise AssertionError("unreachable")

    def _environment(self, job: JobEnvironment) -> asyncio.Task[PreparedEnvironment]:
        task = self._environments.get(job.job_id)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            self._prepared_count += 1
            directory = self._settings.directory / "jobs" / f"{job.job_id}.{self._prepared_count}"
            task = self._loop.create_task(prepare_environment(job, directory, self._blobs.get))
            # Several may wait for it, or none if the slot is freed meanwhile: a failure is always somebody's who asks.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._environments[job.job_id] = task
        return task

    def _prepare_environment(self, effect: effects.PrepareEnvironment) -> None:
        self._runner.run(self._announce_environment(effect.allocation_id, effect.environment))

    async def _announce_environment(self, allocation_id: str, job: JobEnvironment) -> None:
        try:
            prepared = await asyncio.shield(self._environment(job))
            self._feed(events.EnvironmentPrepared(allocation_id=allocation_id, environment=prepared.worker))
        except (PyflowError, OSError) as error:
            failure = self._failure(error, f"job '{job.job_name}'")
            self._feed(events.EnvironmentFailed(allocation_id=allocation_id, failure=failure))

    def _release_environment(self, effect: effects.ReleaseEnvironment) -> None:
        task = self._environments.pop(effect.job_id, None)
        if task is not None:
            self._runner.run(self._remove_environment(effect.job_id, task))

    async def _remove_environment(self, job_id: str, task: asyncio.Task[PreparedEnvironment]) -> None:
        with contextlib.suppress(PyflowError, OSError, asyncio.CancelledError):
            prepared = await task
            await asyncio.to_thread(remove_directory, Path(prepared.worker.working_directory).parent)
            keys = {artifact.blob for artifact in prepared.worker.job.artifacts}
            delay = options.BLOB_SERVICE_CLEANUP_INTERVAL.read(self._settings.configuration)
            self._loop.call_later(delay, self._forget_blobs, keys)

    def _forget_blobs(self, keys: set[str]) -> None:
        used: set[str] = set()
        for task in self._environments.values():
            if not task.done():
                return  # not known yet what it needs: the next job's end will clean up
            if not task.cancelled() and task.exception() is None:
                used.update(artifact.blob for artifact in task.result().worker.job.artifacts)
        self._blobs.delete(keys - used)

    # ---- workers ----

    @property
    def _control_path(self) -> str:
        return str(self._settings.directory / "ctl.sock")

    def _admit_worker(self, hello: Hello) -> str | None:
        if hello.role != "worker" or hello.identity not in self._workers:
            return f"there is no worker {hello.identity} here"
        return None

    def _worker_conversation(self, hello: Hello) -> Conversation:
        worker_id = hello.identity
        worker = self._workers[worker_id]

        def opened(session: Session) -> None:
            worker.session = session

        def closed(session: Session, reason: str) -> None:
            worker.disconnected.set()

        return Conversation(
            incoming=FromWorkerMessage,
            message=lambda session, message: self._feed(events.WorkerMessage(worker_id=worker_id, message=message)),
            opened=opened,
            closed=closed,
            keep_alive=False,  # it may be busy with user code for long; that its process has ended is seen otherwise
        )

    def _start_worker(self, effect: effects.StartWorker) -> None:
        worker = _Worker(self._settings.directory / f"w{effect.number}")
        self._workers[effect.worker_id] = worker
        self._runner.run(self._fork_worker(effect, worker))

    async def _fork_worker(self, effect: effects.StartWorker, worker: _Worker) -> None:
        try:
            executable = await self._executable(effect.environment)
            if worker.signal is not None:
                await self._worker_gone(effect.worker_id, worker, "The worker was stopped before it started.")
                return
            worker.directory.mkdir(mode=0o700)
            assert self._zygotes is not None
            worker.pid = await self._zygotes.fork(executable, self._worker_settings(effect, worker))
        except (PyflowError, OSError) as error:
            await self._worker_gone(effect.worker_id, worker, str(error), error)
            return
        logger.info("worker %s of slot %d is process %d", effect.worker_id, effect.slot, worker.pid)
        self._children.watch(worker.pid, functools.partial(self._worker_ended, effect.worker_id, effect.slot, worker))
        worker.deliver_waiting()

    async def _executable(self, job: JobEnvironment) -> str:
        prepared = await asyncio.shield(self._environment(job))
        return await interpreter_of(prepared, default_cache(), self._settings.log_directory, self._children.run)

    def _worker_settings(self, effect: effects.StartWorker, worker: _Worker) -> WorkerSettings:
        settings = self._settings
        return WorkerSettings(
            worker_id=effect.worker_id,
            task_manager_id=self._registration.task_manager_id,
            slot=effect.slot,
            directory=str(worker.directory),
            control_path=self._control_path,
            bind_host=settings.bind_host,
            host=self._registration.host,
            host_id=self._host_id,
            transport=options.TASKMANAGER_NETWORK_TRANSPORT.read(settings.configuration),
            secret=settings.secret,
            certificate_directory=str(settings.certificates or ""),
            managed_memory=effect.managed_memory,
            network_memory=effect.network_memory,
            memory_limit=settings.memory_limit,
            credits=options.TASKMANAGER_NETWORK_CREDITS_PER_CHANNEL.read(settings.configuration),
        )

    def _worker_ended(self, worker_id: str, slot: int, worker: _Worker, status: int) -> None:
        how = describe_exit(status)
        with contextlib.suppress(OSError):
            how += f" ({(worker.directory / LAST_ERROR).read_text()})"
        logger.info("worker %s (process %d) has ended: %s", worker_id, worker.pid, how)
        self._runner.run(
            self._worker_gone(worker_id, worker, f"The worker process {worker.pid} of slot {slot} ended: {how}.")
        )

    async def _worker_gone(
        self, worker_id: str, worker: _Worker, message: str, error: BaseException | None = None
    ) -> None:
        if worker.session is not None:
            # What it said before its end is still in the socket, and comes first.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS_SECONDS):
                    await worker.disconnected.wait()
            worker.session.close("the worker has ended")
        del self._workers[worker_id]
        failure = self._failure(error, message) if error is not None else self._cluster_failure(message)
        self._feed(events.WorkerExited(worker_id=worker_id, failure=failure))
        await asyncio.to_thread(remove_directory, worker.directory)

    def _send_to_worker(self, effect: effects.SendToWorker) -> None:
        worker = self._workers.get(effect.worker_id)
        if worker is not None and worker.session is not None:
            worker.session.send(effect.message)

    def _signal_worker(self, effect: effects.SignalWorker) -> None:
        worker = self._workers.get(effect.worker_id)
        if worker is None:
            return
        number = signal.SIGKILL if effect.kill else signal.SIGTERM
        logger.warning("%s to worker %s", number.name, effect.worker_id)
        worker.deliver(number)

    # ---- failures and the end ----

    def _failure(self, error: BaseException, subject: str) -> FailureInfo:
        domain = error.domain if isinstance(error, PyflowError) else Domain.EXTERNAL
        text = str(error) if isinstance(error, PyflowError) else f"{subject}: {error}"
        return self._cluster_failure(text, type(error).__name__, domain)

    def _cluster_failure(
        self, message: str, exception: str = "WorkerLostException", domain: Domain = Domain.CLUSTER
    ) -> FailureInfo:
        return FailureInfo(
            exception=exception,
            message=message,
            domain=domain,
            task_manager=self._registration.task_manager_id,
            endpoint=f"{self._registration.host}:{self._registration.data_port}",
            timestamp=now(),
        )

    async def _close_everything(self) -> None:
        self._timers.clear()
        self._runner.cancel_tasks()
        for task in self._environments.values():
            task.cancel()
        for session in list(self._sessions.values()):
            session.close("the TaskManager ends")
        assert self._zygotes is not None
        self._zygotes.close()
        for worker in self._workers.values():
            if worker.pid:
                signal_process(worker.pid, signal.SIGKILL)
        await asyncio.sleep(0)  # lets the transports write their last words
        self._children.stop()
