"""The ends of chains: sinks, print and collect. They take whole batches, after the loop."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Any

import cloudpickle
import msgspec

from pyflow_runtime.coordinator.messages import (
    Committables,
    CommittablesReceived,
    FetchResults,
    OperatorPayloadMessage,
    Results,
)
from pyflow_runtime.operators.codegen import LoopWriter, Origin
from pyflow_runtime.operators.failures import OperatorFailure, TaskCancelled, with_record
from pyflow_runtime.operators.operator import Operator, TaskContext
from pyflow_yarn.common.type_text import text_function
from pyflow_yarn.datastream.sink import SinkWriter, WriterContext
from pyflow_yarn.graph.job_graph import OperatorNode
from pyflow_yarn.graph.operators import CollectOperator, PrintOperator, SinkOperator

_decode = msgspec.msgpack.Decoder(OperatorPayloadMessage).decode
_encode = msgspec.msgpack.encode
COLLECT_BUFFER = 16 * 1024
_ANSWER_SIZE = 4 * 1024 * 1024


class BatchOperator(Operator):
    """An operator without outputs that gets its records by the batch."""

    inline = True

    def take(self, values: Sequence[Any], times: Sequence[int] | None) -> None:
        """The records of one batch, in order."""
        raise NotImplementedError

    def write(self, writer: LoopWriter, value: str, origin: Origin | None) -> None:
        """As the base class says."""
        self._declare(writer)
        writer.line(f"append_{self.index}({value})", origin)
        if writer.timed:
            writer.line(f"append_time_{self.index}(t)")

    def write_bulk(self, writer: LoopWriter, values: str, origin: Origin | None) -> bool:
        """As the base class says."""
        if values != "values":
            if writer.timed:
                return False
            self._declare(writer)
            writer.line(f"batch_{self.index}.extend({values})", origin)
            return True
        writer.bind(f"take_{self.index}", self.take)
        writer.after(f"take_{self.index}(values, {'times' if writer.timed else None})", self.origin())
        return True

    def _declare(self, writer: LoopWriter) -> None:
        index = self.index
        times = "None"
        writer.bind(f"take_{index}", self.take)
        writer.before(f"batch_{index} = []")
        writer.before(f"append_{index} = batch_{index}.append")
        if writer.timed:
            times = f"times_{index}"
            writer.before(f"{times} = []")
            writer.before(f"append_time_{index} = {times}.append")
        writer.after(f"if batch_{index}:")
        writer.after(f"    take_{index}(batch_{index}, {times})", self.origin())


class Sink(BatchOperator):
    """A user's or a connector's sink: one writer, whose output the committer makes visible."""

    def __init__(self, index: int, node: OperatorNode, definition: SinkOperator, task: TaskContext) -> None:
        super().__init__(index, node, task)
        self._definition = definition
        self._writer: SinkWriter[Any] | None = None
        self._waiting = False

    def open(self) -> None:
        """As the base class says."""
        task = self.task
        self._writer = self._definition.sink.create_writer(
            WriterContext(task.job_id, task.subtask, task.parallelism, task.attempt)
        )
        self._writer.open()
        self.take = self._writer.write_batch  # type: ignore[method-assign,assignment]  # no call in between

    def end_input(self) -> None:
        """Flush, and hand over what is to be committed; the task waits until the committer has it."""
        assert self._writer is not None
        self._writer.flush()
        committables = self._writer.prepare_commit()
        if committables and self.node.coordinated:
            self._waiting = True
            self.task.send_event(self.node.id, _encode(Committables(cloudpickle.dumps(committables))))

    @property
    def done(self) -> bool:
        """As the base class says."""
        return not self._waiting

    def handle_event(self, payload: bytes) -> None:
        """As the base class says."""
        if isinstance(_decode(payload), CommittablesReceived):
            self._waiting = False

    def close(self) -> None:
        """As the base class says."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()


class Print(BatchOperator):
    """``print()``: the reference system's text of each record, one write per batch."""

    def __init__(self, index: int, node: OperatorNode, definition: PrintOperator, task: TaskContext) -> None:
        super().__init__(index, node, task)
        self._text = text_function(definition.type_info)
        self._prefix = print_prefix(definition.identifier, task.subtask, task.parallelism)

    def take(self, values: Sequence[Any], times: Sequence[int] | None) -> None:
        """As the base class says."""
        prefix, text = self._prefix, self._text
        lines: list[str] = []
        append = lines.append
        value: Any = None
        try:
            for value in values:
                append(f"{prefix}{text(value)}\n")
        except TaskCancelled:
            raise
        except BaseException as error:
            self.task.write_text(lines)
            raise OperatorFailure(with_record(self.place, value), error) from error
        self.task.write_text(lines)


def print_prefix(identifier: str, subtask: int, parallelism: int) -> str:
    """What the reference system puts in front of a printed record."""
    if parallelism > 1:
        return f"{identifier}:{subtask + 1}> " if identifier else f"{subtask + 1}> "
    return f"{identifier}> " if identifier else ""


class Collect(BatchOperator):
    """Keeps records until the client has fetched them; a full buffer stops the task.

    Beyond the limit records are dropped. The last answer is that at the end of input: a client that has enough before
    cancels the job.
    """

    def __init__(self, index: int, node: OperatorNode, definition: CollectOperator, task: TaskContext) -> None:
        super().__init__(index, node, task)
        self._limit = definition.limit
        self._buffer: deque[Any] = deque()
        self._offset = 0  # of the first record in the buffer
        self._ended = False
        self._answered_last = False
        self._request: FetchResults | None = None

    @property
    def available(self) -> bool:
        """Whether the buffer takes more."""
        return len(self._buffer) < COLLECT_BUFFER

    def take(self, values: Sequence[Any], times: Sequence[int] | None) -> None:
        """As the base class says."""
        if self._limit is not None:
            room = self._limit - self._offset - len(self._buffer)
            if room <= 0:
                return
            values = values[:room]
        self._buffer.extend(values)
        self._answer(hold=True)

    def end_input(self) -> None:
        """As the base class says."""
        self._ended = True
        self._answer(hold=True)

    def tick(self) -> None:
        """Answer a request that has waited, with nothing if there is nothing."""
        self._answer(hold=False)

    @property
    def done(self) -> bool:
        """As the base class says."""
        return self._answered_last

    def handle_event(self, payload: bytes) -> None:
        """As the base class says."""
        message = _decode(payload)
        if not isinstance(message, FetchResults):
            return
        if self._request is not None:
            self._answer(hold=False)
        while self._offset < message.offset and self._buffer:
            self._buffer.popleft()
            self._offset += 1
        self._request = message
        self._answer(hold=True)
        self.task.wake()

    def _answer(self, hold: bool) -> None:
        request = self._request
        if request is None:
            return
        skipped = max(0, request.offset - self._offset)
        records = list(islice(self._buffer, skipped, skipped + max(1, request.limit)))
        pickled = cloudpickle.dumps(records)
        while len(pickled) > _ANSWER_SIZE and len(records) > 1:
            records = records[: len(records) // 2]
            pickled = cloudpickle.dumps(records)
        last = self._ended and skipped + len(records) >= len(self._buffer)
        if not records and not last and hold:
            return
        self._request = None
        self._answered_last = self._answered_last or last
        results = Results(request.request_id, self._offset + skipped, pickled, last)
        self.task.send_event(self.node.id, _encode(results))
