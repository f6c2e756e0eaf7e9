"""The slot worker: one process per slot, in which one loop runs all tasks of the slot in turn."""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import logging
import os
import selectors
import signal
import sys
import threading
import time
from types import FrameType

from pyflow_runtime.executiongraph.ids import ExecutionAttemptId
from pyflow_runtime.executiongraph.states import ExecutionState
from pyflow_runtime.network import Exchange
from pyflow_runtime.operators.failures import GENERATED_PREFIX, ProgramSources, TaskCancelled, is_ours
from pyflow_runtime.processes.control import set_title
from pyflow_runtime.rpc.errors import ConnectionLost
from pyflow_runtime.rpc.frames import MessageSocket
from pyflow_runtime.rpc.handshake import connect_unix
from pyflow_runtime.taskexecutor.messages import ExecutionReport, OperatorEvent, TaskDeployment
from pyflow_runtime.worker.console import flush_console, prepare_console, warn, write_lines
from pyflow_runtime.worker.garbage import GarbageCollector
from pyflow_runtime.worker.mailbox import Mailbox
from pyflow_runtime.worker.memory import over_limit
from pyflow_runtime.worker.messages import (
    CancelWorkerTasks,
    PrepareWorker,
    StartTasks,
    StopWorker,
    TaskReport,
    ToWorkerMessage,
    WorkerEnvironment,
    WorkerEvent,
    WorkerOperatorEvent,
    WorkerSettings,
    WorkerStarted,
)
from pyflow_runtime.worker.source_task import SourceTask
from pyflow_runtime.worker.stream_task import StreamTask
from pyflow_runtime.worker.task import Task, TaskServices
from pyflow_yarn.errors import ClusterError, UserError
from pyflow_yarn.graph.operators import OperatorKind

logger = logging.getLogger(__name__)
_TICK_SECONDS = 1.0
_INTERRUPT_AGAIN_SECONDS = 0.01
_CANCEL_SECONDS = 60.0
_LAST_WORDS_SECONDS = 5.0
_TERMINATED = 128 + signal.SIGTERM
_SHARED_PARTS = tuple(
    os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), part, "") for part in ("network", "rpc")
)


class SlotMemoryExceeded(UserError):
    """The slot's process uses more memory than its share."""


def run_worker(settings: WorkerSettings) -> None:
    """Live as the worker of one slot until the supervisor says stop or is gone; called in a process of its own.

    Leaves by ``SystemExit`` if a signal ended it.
    """
    control = connect_unix(settings.control_path, "worker", settings.worker_id)
    worker = Worker(settings, MessageSocket(control, ToWorkerMessage))  # type: ignore[arg-type]  # a union of structs
    try:
        code = worker.run()
    finally:
        worker.close()
    if code:
        sys.exit(code)


class Worker:
    """Tasks, mailbox and exchange of one slot."""

    def __init__(self, settings: WorkerSettings, control: MessageSocket[ToWorkerMessage]) -> None:
        self._settings = settings
        self._control = control
        self._mailbox = Mailbox()
        self._exchange = Exchange(
            settings, self._mailbox.selector, network_memory=settings.network_memory, credits=settings.credits
        )
        self._mailbox.foreign = self._exchange.on_ready
        self._garbage = GarbageCollector()
        self._services: TaskServices | None = None
        self._tasks: dict[ExecutionAttemptId, Task] = {}
        self._known: set[ExecutionAttemptId] = set()
        self._last_cancel = float("-inf")
        self._current: Task | None = None
        self._signalled = False
        self._stopping = False
        self._terminated = False
        self._watching_writes = False
        self._next_tick = 0.0

    # ---- life ----

    def run(self) -> int:
        """The loop; returns the exit code."""
        prepare_console()
        with contextlib.suppress(AttributeError, OSError, ValueError):
            faulthandler.enable()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._on_signal)
            signal.signal(signal.SIGALRM, self._on_signal)
        self._garbage.start()
        self._mailbox.register(self._control, selectors.EVENT_READ, self._on_control)
        self._send(WorkerStarted(worker_id=self._settings.worker_id, pid=os.getpid(), address=self._exchange.address))
        try:
            while not self._stopping:
                self._turn()
        except ConnectionLost:
            logger.info("the supervisor is gone")
        for task in list(self._tasks.values()):
            self._end(task)
        with contextlib.suppress(ConnectionLost):
            self._control.drain(_LAST_WORDS_SECONDS)
        return _TERMINATED if self._terminated else 0

    def close(self) -> None:
        """Release everything."""
        self._exchange.close()
        self._mailbox.close()
        self._control.close()
        flush_console()
        self._garbage.stop()

    def _turn(self) -> None:
        now = time.monotonic()
        ran = False
        for task in list(self._tasks.values()):
            task.turn(now)
            if task.runnable(now):
                self._step(task)
                ran = True
                now = time.monotonic()
        self._exchange.flush()
        if now >= self._next_tick and self._tasks:
            self._next_tick = now + _TICK_SECONDS
            self._tick()
        self._mailbox.wait(0 if ran or self._stopping else self._timeout(now))
        if self._signalled:
            self._after_signal()
        for attempt_id, task in list(self._tasks.items()):
            if task.closed:
                del self._tasks[attempt_id]

    def _timeout(self, now: float) -> float | None:
        if not self._tasks:
            return None
        deadlines = [deadline for task in self._tasks.values() if (deadline := task.deadline()) is not None]
        # Tasks that became runnable while others were stepped are not kept waiting.
        if any(task.runnable(now) for task in self._tasks.values()):
            return 0
        return max(0.0, min([*deadlines, self._next_tick]) - time.monotonic())

    def _tick(self) -> None:
        for task in list(self._tasks.values()):
            task.tick()
        problem = over_limit(self._settings.memory_limit)
        if problem:
            active = [task for task in self._tasks.values() if task.active]
            for task in active:
                task.fail(SlotMemoryExceeded(problem))

    # ---- steps and signals ----

    def _step(self, task: Task) -> None:
        self._current = task
        try:
            task.step()
        except TaskCancelled:
            logger.info("task %s was interrupted", task.attempt_id)
        finally:
            self._current = None
        self._garbage.between_batches()

    def _end(self, task: Task) -> None:
        self._current = task
        try:
            task.cancel()
        except TaskCancelled:
            logger.info("task %s was interrupted", task.attempt_id)
        finally:
            self._current = None

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """SIGTERM, or SIGALRM after it: raise ``TaskCancelled`` inside the user's code if that is at work.

        Never inside the exchange or another shared part: its state would be left half changed. If such a part is at
        work now, the user's code will be caught a moment later.
        """
        if number == signal.SIGTERM:
            self._signalled = True
            self._mailbox.wake()
        if self._current is None:
            return
        if _in_user_code(frame):
            raise TaskCancelled
        signal.setitimer(signal.ITIMER_REAL, _INTERRUPT_AGAIN_SECONDS)

    def _after_signal(self) -> None:
        """A signal that follows a cancel gives weight to it; without one it is meant for the whole worker."""
        self._signalled = False
        self._mailbox.wait(0)
        if time.monotonic() - self._last_cancel > _CANCEL_SECONDS:
            self._terminated = self._stopping = True

    # ---- control connection ----

    def _on_control(self, mask: int) -> None:
        if mask & selectors.EVENT_WRITE and self._control.flush():
            self._watch_writes(False)
        if mask & selectors.EVENT_READ:
            for message in self._control.receive():
                self._handle(message)

    def _watch_writes(self, watch: bool) -> None:
        if watch != self._watching_writes:
            self._watching_writes = watch
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if watch else 0)
            self._mailbox.modify(self._control, events)

    def _send(self, message: WorkerStarted | TaskReport | WorkerEvent) -> None:
        try:
            self._control.send(message)
        except ConnectionLost:  # nobody is left to tell
            self._stopping = True
            return
        if self._control.pending:
            self._watch_writes(True)

    def _handle(self, message: ToWorkerMessage) -> None:
        if isinstance(message, PrepareWorker):
            self._prepare(message.environment)
        elif isinstance(message, StartTasks):
            for deployment in message.tasks:
                self._start(deployment)
        elif isinstance(message, CancelWorkerTasks):
            for attempt_id in message.attempt_ids:
                self._cancel(attempt_id)
        elif isinstance(message, WorkerOperatorEvent):
            task = self._tasks.get(message.attempt_id)
            if task is not None:
                task.operator_event(message.operator_id, message.payload)
        elif isinstance(message, StopWorker):
            self._stopping = True

    def _prepare(self, environment: WorkerEnvironment) -> None:
        if self._services is not None:
            return
        job = environment.job
        settings = self._settings
        set_title(f"pyflow worker {settings.task_manager_id}/{settings.slot} {job.job_name}")
        sys.path[:0] = environment.python_path
        importlib.invalidate_caches()
        if environment.working_directory:
            os.chdir(environment.working_directory)
        try:
            sources = ProgramSources.load(environment.sources, environment.python_path)
        except (OSError, ValueError) as error:
            logger.warning("the program's sources could not be read: %s", error)
            sources = ProgramSources(python_path=environment.python_path)
        sources.install()
        self._services = TaskServices(
            environment=environment,
            exchange=self._exchange,
            sources=sources,
            task_manager=settings.task_manager_id,
            endpoint=settings.host,
            wake=self._mailbox.wake,
            report=self._report,
            send_event=self._send_event,
            write_text=write_lines,
            warn=warn,
            flush_console=flush_console,
        )

    def _start(self, deployment: TaskDeployment) -> None:
        attempt_id = deployment.attempt_id
        if attempt_id in self._known:
            return
        self._known.add(attempt_id)
        if self._services is None:
            raise ClusterError(f"worker {self._settings.worker_id} was given a task before its job")
        kind = SourceTask if deployment.vertex.operators[0].kind == OperatorKind.SOURCE else StreamTask
        task = self._tasks[attempt_id] = kind(deployment, self._services)
        self._report(ExecutionReport(attempt_id, task.state))

    def _cancel(self, attempt_id: ExecutionAttemptId) -> None:
        self._last_cancel = time.monotonic()
        task = self._tasks.get(attempt_id)
        if task is not None:
            self._end(task)
        elif attempt_id not in self._known:
            self._known.add(attempt_id)  # its start, should it come late, is not wanted any more
            self._report(ExecutionReport(attempt_id, ExecutionState.CANCELED))

    def _report(self, report: ExecutionReport) -> None:
        self._send(TaskReport(report=report))

    def _send_event(self, deployment: TaskDeployment, operator_id: str, payload: bytes) -> None:
        self._send(
            WorkerEvent(event=OperatorEvent(attempt_id=deployment.attempt_id, operator_id=operator_id, payload=payload))
        )


def _in_user_code(frame: FrameType | None) -> bool:
    """Whether the user's code, or something that it or a generated loop called, is at work."""
    stack: list[FrameType] = []
    while frame is not None and frame.f_code.co_filename != __file__:
        stack.append(frame)
        frame = frame.f_back
    for inner in reversed(stack):
        file = inner.f_code.co_filename
        if file.startswith(GENERATED_PREFIX):
            return True
        if not is_ours(file):
            caller = inner.f_back
            return caller is None or not caller.f_code.co_filename.startswith(_SHARED_PARTS)
    return False
