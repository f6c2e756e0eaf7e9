"""One execution attempt in a slot worker: a chain, where its records come from, and where they go.

A task is stepped by the worker's loop. A step handles about one batch: few enough records that it returns within about
``TARGET_SECONDS``, whatever the user's functions cost, so that cancels, timers and other tasks of the slot are prompt.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyflow_runtime.executiongraph.states import ExecutionState
from pyflow_runtime.network import ChannelBroken, EdgeCodec, Exchange, OutputChannel
from pyflow_runtime.network.batch import Batch
from pyflow_runtime.operators.chain import OperatorChain
from pyflow_runtime.operators.factory import load_edge, make_operators
from pyflow_runtime.operators.failures import ProgramSources, TaskCancelled, describe
from pyflow_runtime.operators.operator import MAX_WATERMARK, Operator, TaskContext
from pyflow_runtime.operators.partitioning import EdgeOutput, edge_output
from pyflow_runtime.taskexecutor.messages import Accumulator, ExecutionReport, IoMetrics, TaskDeployment
from pyflow_runtime.worker.messages import WorkerEnvironment
from pyflow_yarn.configuration import options
from pyflow_yarn.errors import FailureInfo

TARGET_SECONDS = 0.02
_FIRST_ROWS = 64
_GROWTH = 4
_IDLE_FLUSH_SECONDS = 0.005
_BROKEN_SECONDS = 0.5
_LINGER_SECONDS = 1.0
_E = ExecutionState


@dataclass
class TaskServices:
    """What tasks need of their worker; ``warn`` puts a line where the user sees it."""

    environment: WorkerEnvironment
    exchange: Exchange
    sources: ProgramSources
    task_manager: str
    endpoint: str
    wake: Callable[[], None]
    report: Callable[[ExecutionReport], None]
    send_event: Callable[[TaskDeployment, str, bytes], None]
    write_text: Callable[[list[str]], None]
    warn: Callable[[str], None]
    flush_console: Callable[[], None] = lambda: None
    clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    monotonic: Callable[[], float] = time.monotonic


@dataclass
class BatchSize:
    """How many records a step takes: as many as take about ``TARGET_SECONDS``."""

    most: int
    rows: int = field(default=_FIRST_ROWS)

    def took(self, rows: int, seconds: float) -> None:
        """A step of so many records took so long."""
        if seconds > 2 * TARGET_SECONDS:
            self.rows = max(1, min(self.rows, int(rows * TARGET_SECONDS / seconds)))
        elif rows >= self.rows and seconds < TARGET_SECONDS / 2:
            self.rows = min(self.most, self.rows * _GROWTH)


class Task(ABC):
    """Life of one attempt: INITIALIZING → RUNNING → FINISHED, CANCELED or FAILED.

    Between the end of its input and FINISHED a task waits until its counterparts in the coordinator (or the client)
    have what they need and its consumers' workers have all data.
    """

    def __init__(self, deployment: TaskDeployment, services: TaskServices) -> None:
        self.deployment = deployment
        self.attempt_id = deployment.attempt_id
        self.state = _E.INITIALIZING
        self.services = services
        self.chain: OperatorChain
        self.channels: list[OutputChannel] = []
        self.closed = False
        self.batch_rows = options.TASKMANAGER_NETWORK_BATCH_SIZE.default
        self.size = BatchSize(self.batch_rows)
        self._has_chain = False
        self._values: Sequence[Any] = ()
        self._times: list[int] | None = None
        self._position = 0
        self._tag = ""
        self._ended = False  # no more input
        self._passed_end = False  # the chain has seen the end, too
        self._flush_timeout = -1.0
        self._flush_at: float | None = None
        self._last_flush = 0.0
        self._broken: tuple[float, ChannelBroken] | None = None
        self._close_at: float | None = None
        self._started = services.monotonic()
        self._stopped: float | None = None
        self._busy = 0.0
        self._blocked = 0.0
        self._blocked_since: float | None = None

    # ---- what subclasses do ----

    @abstractmethod
    def open_input(self) -> None:
        """Open where records come from; the chain is open by then."""

    @abstractmethod
    def input_ready(self, now: float) -> bool:
        """Whether ``poll`` may get something."""

    @abstractmethod
    def poll(self, now: float) -> None:
        """Take one element of input: ``take`` a batch, advance the watermark, or ``end``."""

    def close_reader(self) -> None:
        """Close what the user's code may have to say about; called once, with the functions."""

    def close_gates(self) -> None:
        """Release channels from other tasks; called once."""

    def input_deadline(self) -> float | None:
        """When ``input_ready`` may become true by itself."""
        return None

    def read_records(self) -> tuple[int, int]:
        """Records and bytes read from other tasks."""
        return 0, 0

    def operator_event(self, operator_id: str, payload: bytes) -> None:
        """A message for one of the operators."""
        if self.active and self._has_chain:
            self._guarded(lambda: self.chain.handle_event(operator_id, payload))

    # ---- for subclasses ----

    def take(self, batch: Batch, tag: str = "") -> None:
        """Work on this batch, in slices, before anything else; ``tag``: it is of that side output of the source."""
        self._values, self._times, self._position, self._tag = batch.values, batch.timestamps, 0, tag

    def end(self) -> None:
        """No more input: event time ends, then the chain."""
        self._ended = True
        self.chain.advance_watermark(MAX_WATERMARK)

    # ---- the worker's side ----

    @property
    def active(self) -> bool:
        """Whether the attempt has not reached a terminal state."""
        return not self.state.terminal

    def runnable(self, now: float) -> bool:
        """Whether ``step`` has something to do now."""
        if self.state is _E.INITIALIZING:
            return True
        if self.state is not _E.RUNNING or self._broken is not None:
            return False
        if self._passed_end:
            return self._drained()
        if not self.chain.available:
            if self._blocked_since is None:
                self._blocked_since = now
            return False
        if self._blocked_since is not None:
            self._blocked += now - self._blocked_since
            self._blocked_since = None
        return self._has_work() or (not self._ended and self.input_ready(now)) or self._ended

    def step(self) -> None:
        """Do about one batch's work; failures of user code end the attempt, not the worker."""
        begin = self.services.monotonic()
        self._guarded(self._step)
        end = self.services.monotonic()
        self._busy += end - begin
        if self.state is _E.RUNNING and not self._passed_end:
            self._guarded(lambda: self._flush_after_step(end))

    def deadline(self) -> float | None:
        """When ``turn`` or ``step`` is to be tried again without any event."""
        times = [time for time in (self._flush_at, self._close_at) if time is not None]
        if self._broken is not None:
            times.append(self._broken[0])
        if self.state is _E.RUNNING and not self._passed_end:
            timer = self.chain.next_processing_time() if not self._ended else None
            if timer is not None:
                times.append(self.services.monotonic() + max(0, timer - self.services.clock()) / 1000)
            waiting = self.input_deadline()
            if waiting is not None:
                times.append(waiting)
        return min(times, default=None)

    def turn(self, now: float) -> None:
        """What is due by time alone."""
        if self._flush_at is not None and now >= self._flush_at:
            self._guarded(lambda: self._flush(now))
        if self._broken is not None and now >= self._broken[0]:
            broken, self._broken = self._broken[1], None
            self.fail(broken)
        if self._close_at is not None and now >= self._close_at:
            self.close()

    def tick(self) -> None:
        """Called about once a second: metrics, and operators that want it."""
        if not self.active:
            return
        if self._has_chain:
            self._guarded(self.chain.tick)
        if self.active:
            report = ExecutionReport(self.attempt_id, self.state, None, self.metrics(), self.accumulators())
            self.services.report(report)

    def cancel(self) -> None:
        """End the attempt: functions are closed, output that was not prepared is abandoned."""
        if not self.active:
            self.close()
            return
        self._close_functions()
        self._report(_E.CANCELED)
        self.close()

    def fail(self, error: BaseException) -> None:
        """End the attempt with a failure."""
        if not self.active:
            return
        failure = self._describe(error)
        self._close_functions()
        self._report(_E.FAILED, failure)
        # Peers would report the broken channels; the reason must arrive before the consequence.
        self._close_at = self.services.monotonic() + _LINGER_SECONDS

    def close(self) -> None:
        """Release channels."""
        self._close_at = None
        if self.closed:
            return
        self.closed = True
        self.close_gates()
        for channel in self.channels:
            channel.close()

    def accumulators(self) -> list[Accumulator]:
        """What the task has counted for the job's result."""
        return []

    def metrics(self) -> IoMetrics:
        """Counters since the start."""
        now = self._stopped or self.services.monotonic()
        blocked = self._blocked + (now - self._blocked_since if self._blocked_since is not None else 0.0)
        idle = max(0.0, now - self._started - self._busy - blocked)
        records, size = self.read_records()
        return IoMetrics(
            read_records=records,
            read_bytes=size,
            write_records=sum(channel.records for channel in self.channels),
            write_bytes=sum(channel.bytes for channel in self.channels),
            idle_time=int(idle * 1000),
            backpressured_time=int(blocked * 1000),
            busy_time=int(self._busy * 1000),
        )

    # ---- inside ----

    def _step(self) -> None:
        now = self.services.monotonic()
        if self.state is _E.INITIALIZING:
            self._initialize()
        elif self._passed_end:
            self._finish()
        elif not self.chain.resume() or self._fire_timers():
            pass
        elif self._position < len(self._values):
            self._slice(now)
        elif self._ended:
            self._pass_end()
        elif self.input_ready(now):
            self.poll(now)
            if self._position < len(self._values):
                self._slice(now)

    def _has_work(self) -> bool:
        if self._position < len(self._values) or self.chain.advancing:
            return True
        if self._ended:
            return False
        timer = self.chain.next_processing_time()
        return timer is not None and timer <= self.services.clock()

    def _fire_timers(self) -> bool:
        # Processing-time timers are not fired after the end of input.
        return not self._ended and self.chain.fire_processing_timers(self.services.clock())

    def _slice(self, now: float) -> None:
        begin, values, times = self._position, self._values, self._times
        rows = min(self.size.rows, len(values) - begin)
        end = begin + rows
        whole = rows == len(values)
        part = values if whole else values[begin:end]
        stamps = times if whole or times is None else times[begin:end]
        self._position = end
        if end == len(values):
            self._values, self._times, self._position = (), None, 0
        if self._tag:
            self.chain.process_side(self._tag, part)
        else:
            self.chain.process(Batch(part, self.stamp(part, stamps)))
        self.size.took(rows, self.services.monotonic() - now)

    def stamp(self, values: Sequence[Any], times: list[int] | None) -> list[int] | None:
        """The timestamps of records that enter the chain."""
        return times

    def _initialize(self) -> None:
        deployment, services = self.deployment, self.services
        job = services.environment.job
        self.batch_rows = self.size.most = options.TASKMANAGER_NETWORK_BATCH_SIZE.read(job.configuration)
        context = TaskContext(
            job_id=job.job_id,
            task_name=deployment.vertex.name,
            subtask=self.attempt_id.subtask,
            parallelism=deployment.vertex.parallelism,
            max_parallelism=deployment.vertex.max_parallelism,
            attempt=self.attempt_id.attempt,
            job_parameters=job.job_parameters,
            configuration=job.configuration,
            cached_files=services.environment.cached_files,
            clock=services.clock,
            send_event=lambda operator_id, payload: services.send_event(deployment, operator_id, payload),
            write_text=services.write_text,
            wake=services.wake,
        )
        operators = make_operators(deployment.vertex, context)
        outputs = [(edge.edge.source_operator, self._output(edge, operators)) for edge in deployment.outputs]
        timeouts = [edge.edge.buffer_timeout for edge in deployment.outputs if edge.edge.buffer_timeout >= 0]
        self._flush_timeout = min(timeouts) / 1000 if timeouts else -1.0
        self.chain = OperatorChain(deployment.vertex.name, operators, outputs)
        self._has_chain = True
        self.chain.open()
        self.open_input()
        if self.state is _E.INITIALIZING:
            self._report(_E.RUNNING)

    def _output(self, edge: Any, operators: list[Operator]) -> EdgeOutput:
        name = operators[edge.edge.source_operator].node.name
        definition = load_edge(edge.edge.partitioner, name)
        codec = EdgeCodec(definition.type_info, f"from {name}")
        channels = self.services.exchange.output(self.attempt_id, edge, codec)
        self.channels.extend(channels)
        return edge_output(f"e{edge.edge.id}", name, edge.edge, definition, channels, self.batch_rows)

    def _pass_end(self) -> None:
        self.chain.end_input()
        self._flush_at = None
        self._passed_end = True
        if self._drained():
            self._finish()

    def _drained(self) -> bool:
        return self.chain.done and all(channel.drained or channel.failure for channel in self.channels)

    def _finish(self) -> None:
        for channel in self.channels:
            if channel.failure is not None:
                raise channel.failure
        error = self._close_functions()
        if error is not None:
            raise error
        self._report(_E.FINISHED)
        self.close()

    def _flush_after_step(self, now: float) -> None:
        if not self.chain.pending or self._flush_timeout < 0:
            self._flush_at = None
            return
        latest = now + self._flush_timeout
        if not self.runnable(now):  # an idle moment
            latest = min(latest, self._last_flush + _IDLE_FLUSH_SECONDS)
        if latest <= now:
            self._flush(now)
        elif self._flush_at is None or latest < self._flush_at:
            self._flush_at = latest

    def _flush(self, now: float) -> None:
        self._flush_at = None
        self._last_flush = now
        if self.state is _E.RUNNING and not self._passed_end:
            self.chain.flush()

    def _guarded(self, call: Callable[[], object]) -> None:
        try:
            call()
        except TaskCancelled as interrupt:
            self._tell_where(interrupt)
            self.cancel()
            raise
        except ChannelBroken as broken:
            # The other task has most likely failed or been cancelled, and the JobManager will cancel this one, too.
            if self.active and self._broken is None:
                self._broken = (self.services.monotonic() + _BROKEN_SECONDS, broken)
        except BaseException as error:
            self.fail(error)

    def _tell_where(self, interrupt: TaskCancelled) -> None:
        frames = self._describe(interrupt).frames
        if frames:
            name, frame = self.deployment.vertex.name, frames[-1]
            self.services.warn(
                f"Task '{name}' did not return when it was cancelled; it was interrupted at"
                f' File "{frame.file}", line {frame.line}, in {frame.function}: {frame.code}'
            )

    def _close_functions(self) -> BaseException | None:
        if not self._has_chain:
            return None
        self._has_chain = False
        error = self.chain.close()
        try:
            self.close_reader()
        except (Exception, TaskCancelled) as raised:
            error = error or raised
        return error

    def _describe(self, error: BaseException) -> FailureInfo:
        services = self.services
        return describe(
            error,
            sources=services.sources,
            task=self.deployment.vertex.name,
            subtask=self.attempt_id.subtask,
            parallelism=self.deployment.vertex.parallelism,
            attempt=self.attempt_id.attempt,
            task_manager=services.task_manager,
            endpoint=services.endpoint,
        )

    def _report(self, state: ExecutionState, failure: FailureInfo | None = None) -> None:
        self.state = state
        metrics = None
        if state.terminal:
            self._stopped = self.services.monotonic()
            metrics = self.metrics()
            self.services.flush_console()
        self.services.report(ExecutionReport(self.attempt_id, state, failure, metrics, self.accumulators()))
