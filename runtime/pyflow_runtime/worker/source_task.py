"""A task whose records come from the outside: a source reader, in the loop or in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cloudpickle
import msgspec

from pyflow_runtime.coordinator.messages import AssignSplit, NoMoreSplits, OperatorPayloadMessage, RequestSplit
from pyflow_runtime.network.batch import Batch
from pyflow_runtime.operators.failures import failing_at
from pyflow_runtime.operators.source import SourceHead
from pyflow_runtime.operators.watermarks import WatermarkGenerator
from pyflow_runtime.taskexecutor.messages import Accumulator, TaskDeployment
from pyflow_runtime.worker.reader_thread import ReaderThread
from pyflow_runtime.worker.task import Task, TaskServices
from pyflow_yarn.configuration import options
from pyflow_yarn.datastream.source import EndOfInput, ReaderContext, SideRecords, SourceReader

_decode = msgspec.msgpack.Decoder(OperatorPayloadMessage).decode
_REQUEST = msgspec.msgpack.encode(RequestSplit())


class SourceTask(Task):
    """Reads batches, gives them timestamps, and makes watermarks."""

    def __init__(self, deployment: TaskDeployment, services: TaskServices) -> None:
        super().__init__(deployment, services)
        self._reader: SourceReader[Any]
        self._counters: Callable[[], Mapping[str, int]] = dict
        self._thread: ReaderThread | None = None
        self._opened = False
        self._at_end = False
        self._retry_at: float | None = None
        self._requested = False
        self._no_more_splits = False
        self._watermarks: WatermarkGenerator | None = None

    @property
    def _head(self) -> SourceHead:
        head = self.chain.operators[0]
        assert isinstance(head, SourceHead)
        return head

    def open_input(self) -> None:
        """As the base class says."""
        attempt, definition = self.attempt_id, self._head.definition
        context = ReaderContext(attempt.subtask, self.deployment.vertex.parallelism, attempt.attempt)
        with failing_at(self._head.place):
            interval = options.PIPELINE_AUTO_WATERMARK_INTERVAL.read(self.services.environment.job.configuration)
            now = self.services.clock()
            self._watermarks = WatermarkGenerator.for_strategy(definition.watermark_strategy, interval, now)
            self._reader = definition.source.create_reader(context)
            self._counters = self._reader.counters
            if self._reader.blocking:
                self._thread = ReaderThread(self._reader, self.batch_rows, self.services.wake)
                self._thread.start()
            else:
                self._opened = True
                self._reader.open()

    def input_ready(self, now: float) -> bool:
        """As the base class says."""
        if self._watermarks is not None and self._watermarks.next_time <= self.services.clock():
            return True
        if self._thread is not None:
            return self._thread.ready
        return self._retry_at is None or now >= self._retry_at

    def input_deadline(self) -> float | None:
        """As the base class says."""
        deadline = self._retry_at if self._thread is None else None
        if self._watermarks is not None:
            wait = max(0, self._watermarks.next_time - self.services.clock()) / 1000
            due = self.services.monotonic() + wait
            deadline = due if deadline is None else min(deadline, due)
        return deadline

    def poll(self, now: float) -> None:
        """As the base class says."""
        if self._make_watermark():
            return
        if self._thread is None and self._retry_at is not None and now < self._retry_at:
            return
        with failing_at(self._head.place):
            values = self._read()
        if self._at_end:
            self.end()
        elif values is None:
            self._starve(now)
        elif isinstance(values, SideRecords):
            self._retry_at = None
            self.take(Batch(values), values.tag_id)
        elif len(values):
            self._retry_at = None
            self.take(Batch(values))

    def _read(self) -> Sequence[Any] | None:
        if self._thread is not None:
            values = self._thread.take()
            self._at_end = values is None and self._thread.ended
            return values
        try:
            return self._reader.read_batch(self.size.rows)
        except EndOfInput:
            self._at_end = True
            return None

    def _starve(self, now: float) -> None:
        if self._reader.needs_splits and not self._no_more_splits and not self._requested:
            self._requested = True
            self.services.send_event(self.deployment, self._head.node.id, _REQUEST)
        if self._thread is None:
            self._retry_at = now + max(1, self._reader.wait_milliseconds()) / 1000

    def operator_event(self, operator_id: str, payload: bytes) -> None:
        """Splits are for the reader, everything else for the chain."""
        if not self.active or not self._has_chain:
            return
        if operator_id != self._head.node.id:
            super().operator_event(operator_id, payload)
            return
        self._guarded(lambda: self._split_event(payload))

    def _split_event(self, payload: bytes) -> None:
        message = _decode(payload)
        with failing_at(self._head.place):
            if isinstance(message, AssignSplit):
                self._requested = False
                split = cloudpickle.loads(message.pickled)
                if self._thread is not None:
                    self._thread.call(lambda: self._reader.add_split(split))
                else:
                    self._reader.add_split(split)
            elif isinstance(message, NoMoreSplits):
                self._requested = False
                self._no_more_splits = True
                if self._thread is not None:
                    self._thread.call(self._reader.no_more_splits)
                else:
                    self._reader.no_more_splits()
        self._retry_at = None

    def stamp(self, values: Sequence[Any], times: list[int] | None) -> list[int] | None:
        """As the base class says."""
        if self._watermarks is None:
            return times
        now = self.services.clock()
        with failing_at(self._head.place):
            times = self._watermarks.stamp(values, now)
        if self._watermarks.idleness_changed(now):
            self.chain.set_idle(self._watermarks.idle)
        return times

    def _make_watermark(self) -> bool:
        """Send the watermark that is due; True if there was one."""
        generator = self._watermarks
        if generator is None:
            return False
        now = self.services.clock()
        watermark = generator.due(now)
        if generator.idleness_changed(now):
            self.chain.set_idle(generator.idle)
        if watermark is None:
            return False
        self.chain.advance_watermark(watermark)
        return True

    def accumulators(self) -> list[Accumulator]:
        """As the base class says."""
        counters = self._counters().items()
        return [Accumulator(name=name, type="LongCounter", value=str(count)) for name, count in counters]

    def close_reader(self) -> None:
        """As the base class says; a reader that blocks in its thread is left to it."""
        if self._thread is not None:
            self._thread.stop()
        elif self._opened:
            self._opened = False
            with failing_at(self._head.place):
                self._reader.close()
