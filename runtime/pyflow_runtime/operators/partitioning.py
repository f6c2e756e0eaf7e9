"""The sending side of an edge: records into per-channel lists inside the loop, batches onto channels after it.

Lists live as long as the task, so that generated loops hold their ``append`` methods; a full list is sent as a copy and
cleared. A list that is not full waits for more records, for the buffer timeout, or for an idle moment.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from pyflow_runtime.network import OutputChannel
from pyflow_runtime.network.batch import Batch, Element
from pyflow_runtime.operators.codegen import LoopWriter, Origin
from pyflow_runtime.operators.operator import KeyExpression
from pyflow_runtime.state import key_groups
from pyflow_yarn.datastream.columns import Columns
from pyflow_yarn.datastream.functions import Function, Partitioner, RuntimeContext
from pyflow_yarn.errors import UserError
from pyflow_yarn.graph.job_graph import JobEdge, Partitioning
from pyflow_yarn.graph.operators import EdgeDefinition

_ROWS_PER_EDGE = 128 * 1024


class EdgeOutput:
    """All channels of one output edge of one subtask; subclasses differ in how records find their channel.

    ``source`` names the operator whose records these are; ``rows`` is the number of records a batch should have.
    """

    inline = True

    def __init__(
        self,
        name: str,
        source: str,
        edge: JobEdge,
        definition: EdgeDefinition,
        channels: Sequence[OutputChannel],
        rows: int,
    ) -> None:
        self.name = name
        self.source = source
        self.edge = edge
        self.definition = definition
        self.channels = list(channels)
        self.rows = max(1, min(rows, _ROWS_PER_EDGE // max(1, len(self.channels))))
        self.records = 0
        self._timed = False
        self._values: list[list[Any]] = []
        self._times: list[list[int]] = []
        self._columns: tuple[Columns, list[int] | None] | None = None

    def open(self, context: RuntimeContext) -> None:
        """Open the user's key selector or partitioner, if it has a lifecycle."""

    def close(self) -> None:
        """The end of ``open``'s."""

    # ---- inside the loop ----

    def write(self, writer: LoopWriter, value: str, origin: Origin | None) -> None:
        """As ``codegen.Consumer`` says."""
        writer.bind(f"append_{self.name}", self._values[0].append)
        writer.line(f"append_{self.name}({value})", origin)
        if writer.timed:
            writer.bind(f"append_time_{self.name}", self._times[0].append)
            writer.line(f"append_time_{self.name}(t)")

    def write_bulk(self, writer: LoopWriter, values: str, origin: Origin | None) -> bool:
        """As ``codegen.Consumer`` says; with times only for the batch that entered."""
        if not self.inline or (writer.timed and values != "values"):
            return False
        if values == "values":
            writer.bind(f"take_{self.name}", self._take)
            writer.line(f"take_{self.name}(values, {'times' if writer.timed else None})", origin)
        else:
            writer.bind(f"extend_{self.name}", self._values[0].extend)
            writer.line(f"extend_{self.name}({values})", origin)
        return True

    def _take(self, values: Sequence[Any], times: list[int] | None) -> None:
        """A whole batch; columns stay columns, which are sent after the loop, behind the records before them."""
        if type(values) is Columns:
            self._columns = values, times
            return
        self._values[0].extend(values)
        if times is not None:
            self._times[0].extend(times)

    # ---- after the loop ----

    def set_timed(self, timed: bool) -> None:
        """Records appended from now on have timestamps, or have none."""
        if timed != self._timed:
            self.send_all()
            self._timed = timed

    def send_full(self) -> None:
        """Send the lists that have become full, and columns."""
        if self._columns is not None:
            self.send_all()
        elif len(self._values[0]) >= self.rows:
            self._send(0)

    def send_all(self) -> None:
        """Send what there is."""
        for index, values in enumerate(self._values):
            if values:
                self._send(index)
        if self._columns is not None:
            (columns, times), self._columns = self._columns, None
            self.records += len(columns)
            for start in range(0, len(columns), self.rows):
                end = start + self.rows
                self._emit(0, columns[start:end], None if times is None else times[start:end])

    def flush(self) -> None:
        """Send what there is and push it out."""
        self.send_all()
        for channel in self.channels:
            channel.flush()

    def send_control(self, element: Element) -> None:
        """Send a control element on every channel, behind all records, and push everything out."""
        self.send_all()
        for channel in self.channels:
            channel.send(element)
            channel.flush()

    @property
    def pending(self) -> bool:
        """Whether records wait in lists."""
        return any(self._values)

    @property
    def available(self) -> bool:
        """Whether every channel takes more."""
        return all(channel.available for channel in self.channels)

    def _send(self, index: int) -> None:
        values, times = self._values[index], self._times[index]
        count = len(values)
        self.records += count
        rows = self.rows
        if count <= rows + rows // 2:
            self._emit(index, values[:], times[:] if self._timed else None)
        else:
            for start in range(0, count, rows):
                end = start + rows
                self._emit(index, values[start:end], times[start:end] if self._timed else None)
        values.clear()
        times.clear()

    def _emit(self, index: int, values: Sequence[Any], times: list[int] | None) -> None:
        self.channels[index].send(Batch(values, times))


class SingleOutput(EdgeOutput):
    """One channel: forward, global, and whatever else has one target."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._values, self._times = [[]], [[]]


class BroadcastOutput(SingleOutput):
    """Every record on every channel."""

    def _emit(self, index: int, values: Sequence[Any], times: list[int] | None) -> None:
        batch = Batch(values, times)
        for channel in self.channels:
            channel.send(batch)


class RoundRobinOutput(SingleOutput):
    """Record after record to channel after channel, from a random first one (rebalance, rescale).

    Of columns each channel gets a part in one piece.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._next = random.randrange(len(self.channels))
        self.rows *= len(self.channels)

    def _emit(self, index: int, values: Sequence[Any], times: list[int] | None) -> None:
        width, count = len(self.channels), len(values)
        whole = type(values) is Columns
        parts = min(width, count)
        for offset in range(parts):
            channel = self.channels[(self._next + offset) % width]
            part = (
                slice(count * offset // parts, count * (offset + 1) // parts) if whole else slice(offset, None, width)
            )
            channel.send(Batch(values[part], None if times is None else times[part]))
        self._next = (self._next + count) % width


class ShuffleOutput(SingleOutput):
    """Every record to a random channel."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.rows *= len(self.channels)

    def _emit(self, index: int, values: Sequence[Any], times: list[int] | None) -> None:
        width = len(self.channels)
        parts: list[list[Any]] = [[] for _ in range(width)]
        part_times: list[list[int]] = [[] for _ in range(width)]
        picks = random.choices(range(width), k=len(values))
        for value, pick in zip(values, picks, strict=True):
            parts[pick].append(value)
        if times is not None:
            for time, pick in zip(times, picks, strict=True):
                part_times[pick].append(time)
        for channel, part, stamps in zip(self.channels, parts, part_times, strict=True):
            if part:
                channel.send(Batch(part, None if times is None else stamps))


class _PartitionedOutput(EdgeOutput):
    """Every record to the channel that its key names."""

    inline = False

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._values = [[] for _ in self.channels]
        self._times = [[] for _ in self.channels]
        self._key: KeyExpression
        self._opened: list[Function] = []

    def open(self, context: RuntimeContext) -> None:
        """As the base class says."""
        selector: Any = self.definition.key_selector
        if isinstance(selector, Function):
            self._opened.append(selector)
            selector.open(context)
        self._key = KeyExpression(f"key_{self.name}", selector)

    def close(self) -> None:
        """As the base class says."""
        while self._opened:
            self._opened.pop().close()

    def origin(self, value: str, key: str = "") -> Origin:
        """The origin of a line that calls the edge's key selector or partitioner."""
        code = None if key else self._key.code
        return Origin(self.operator_name, "", value, key, code, f"While partitioning the output of '{self.source}'.")

    operator_name = "key_by"

    def send_full(self) -> None:
        """As the base class says."""
        rows = self.rows
        for index, values in enumerate(self._values):
            if len(values) >= rows:
                self._send(index)


class HashOutput(_PartitionedOutput):
    """By key group, as keyed state is distributed."""

    def write(self, writer: LoopWriter, value: str, origin: Origin | None) -> None:
        """As ``codegen.Consumer`` says."""
        key = f"k_{self.name}"
        writer.line(f"{key} = {self._key.of(writer, value)}", self.origin(value))
        for name, bound in key_groups.EXPRESSION_GLOBALS.items():
            writer.bind(name, bound)
        maximum = self.edge.max_parallelism
        table = key_groups.channel_table(maximum, len(self.channels))
        group = key_groups.key_group_expression(key, maximum)
        writer.bind(f"appends_{self.name}", tuple(self._values[channel].append for channel in table))
        if not writer.timed:
            writer.line(f"appends_{self.name}[{group}]({value})", self.origin(value, key))
            return
        writer.bind(f"append_times_{self.name}", tuple(self._times[channel].append for channel in table))
        writer.line(f"g_{self.name} = {group}", self.origin(value, key))
        writer.line(f"appends_{self.name}[g_{self.name}]({value})")
        writer.line(f"append_times_{self.name}[g_{self.name}](t)")


class _Channels(dict[int, Callable[[Any], None]]):
    """Channel number → append; says what is wrong with another number."""

    def __missing__(self, channel: Any) -> Callable[[Any], None]:
        raise UserError(
            f"the partitioner returned {channel!r}, but must return a channel number from 0 to {len(self) - 1}"
        )


class CustomOutput(_PartitionedOutput):
    """By the user's partitioner."""

    operator_name = "partition_custom"

    def open(self, context: RuntimeContext) -> None:
        """As the base class says."""
        super().open(context)
        partitioner = self.definition.partitioner
        if isinstance(partitioner, Partitioner):
            self._opened.append(partitioner)
            partitioner.open(context)
            partitioner = partitioner.partition
        self._partition = partitioner

    def write(self, writer: LoopWriter, value: str, origin: Origin | None) -> None:
        """As ``codegen.Consumer`` says."""
        name, key = self.name, f"k_{self.name}"
        writer.line(f"{key} = {self._key.of(writer, value)}", self.origin(value))
        writer.bind(f"partition_{name}", self._partition)
        writer.bind(f"appends_{name}", _Channels(enumerate(part.append for part in self._values)))
        writer.line(f"c_{name} = partition_{name}({key}, {len(self.channels)})", self.origin(value, key))
        writer.line(f"appends_{name}[c_{name}]({value})", self.origin(value, key))
        if writer.timed:
            writer.bind(f"append_times_{name}", [part.append for part in self._times])
            writer.line(f"append_times_{name}[c_{name}](t)")


_OUTPUTS: dict[Partitioning, type[EdgeOutput]] = {
    Partitioning.FORWARD: RoundRobinOutput,
    Partitioning.REBALANCE: RoundRobinOutput,
    Partitioning.RESCALE: RoundRobinOutput,
    Partitioning.SHUFFLE: ShuffleOutput,
    Partitioning.BROADCAST: BroadcastOutput,
    Partitioning.GLOBAL: SingleOutput,
    Partitioning.HASH: HashOutput,
    Partitioning.CUSTOM: CustomOutput,
}


def edge_output(
    name: str, source: str, edge: JobEdge, definition: EdgeDefinition, channels: Sequence[OutputChannel], rows: int
) -> EdgeOutput:
    """The output of the kind that an edge needs; ``name`` is unique in the chain, ``source`` the operator's."""
    kind = _OUTPUTS[edge.partitioning]
    if len(channels) == 1 and edge.partitioning is not Partitioning.CUSTOM:
        kind = SingleOutput
    return kind(name, source, edge, definition, channels, rows)
