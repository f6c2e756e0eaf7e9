"""Chains without processes: for tests of operators, and for measuring them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import cloudpickle

from pyflow_runtime.network.batch import Batch, Element
from pyflow_runtime.network.channels import OutputChannel
from pyflow_runtime.network.errors import ChannelBroken
from pyflow_runtime.operators.chain import OperatorChain
from pyflow_runtime.operators.factory import make_operators
from pyflow_runtime.operators.operator import TaskContext
from pyflow_runtime.operators.partitioning import EdgeOutput, edge_output
from pyflow_yarn.graph import operators as definitions
from pyflow_yarn.graph.job_graph import JobEdge, JobVertex, OperatorNode, Partitioning
from pyflow_yarn.graph.operators import EdgeDefinition, OperatorKind

_KINDS: dict[type, OperatorKind] = {
    definitions.SourceOperator: OperatorKind.SOURCE,
    definitions.MapOperator: OperatorKind.MAP,
    definitions.FlatMapOperator: OperatorKind.FLAT_MAP,
    definitions.FilterOperator: OperatorKind.FILTER,
    definitions.ProcessOperator: OperatorKind.PROCESS,
    definitions.KeyedProcessOperator: OperatorKind.KEYED_PROCESS,
    definitions.ReduceOperator: OperatorKind.REDUCE,
    definitions.AggregationOperator: OperatorKind.AGGREGATION,
    definitions.SinkOperator: OperatorKind.SINK,
    definitions.PrintOperator: OperatorKind.PRINT,
    definitions.CollectOperator: OperatorKind.COLLECT,
}


class ListChannel(OutputChannel):
    """An output channel that keeps what it is sent."""

    def __init__(self) -> None:
        self.elements: list[Element] = []
        self.open = True

    @property
    def available(self) -> bool:
        """As set in ``open``."""
        return self.open

    @property
    def drained(self) -> bool:
        """Always."""
        return True

    @property
    def failure(self) -> ChannelBroken | None:
        """Never."""
        return None

    @property
    def backpressured_time(self) -> int:
        """Never."""
        return 0

    def send(self, element: Element) -> None:
        """Keep it."""
        self.elements.append(element)

    def flush(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""

    @property
    def values(self) -> list[Any]:
        """The records of all batches."""
        return [value for element in self.elements if isinstance(element, Batch) for value in element.values]

    @property
    def times(self) -> list[int | None]:
        """Their timestamps."""
        return [
            time
            for element in self.elements
            if isinstance(element, Batch)
            for time in (element.timestamps if element.timestamps is not None else [None] * len(element.values))
        ]


@dataclass
class Edge:
    """An output edge for ``ChainHarness``; ``operator`` is the index of the operator it leaves (-1: the last)."""

    partitioning: Partitioning = Partitioning.FORWARD
    channels: int = 1
    operator: int = -1
    definition: EdgeDefinition = field(default_factory=EdgeDefinition)
    rows: int = 4096
    tag: str = ""


class ChainHarness:
    """A chain whose definitions travelled by pickle, as in a job, with output channels that are lists.

    ``chain`` lists definitions; each takes the one before it as input, or the one at ``inputs[i]``, and of that the
    side output ``tags[i]``, if there is one.
    """

    def __init__(
        self,
        chain: Sequence[Any],
        edges: Sequence[Edge] = (),
        *,
        inputs: Sequence[int] | None = None,
        tags: Mapping[int, str] = MappingProxyType({}),
        names: Sequence[str] | None = None,
        pickled: bool = True,
        **context: Any,
    ) -> None:
        nodes = [
            OperatorNode(
                id=uuid.uuid4().hex,
                name=names[index] if names else type(definition).__name__.removesuffix("Operator"),
                kind=_KINDS[type(definition)],
                definition=cloudpickle.dumps(definition) if pickled else _Shared.keep(definition),
                input=inputs[index] if inputs else index - 1,
                input_tag=tags.get(index, ""),
                declared_at=f"job.py:{index + 1}",
                coordinated=getattr(getattr(definition, "sink", None), "coordinated", False),
            )
            for index, definition in enumerate(chain)
        ]
        self.now = 0
        self.events: list[tuple[str, bytes]] = []
        self.text: list[str] = []
        self.task = TaskContext(
            job_id="0" * 32,
            task_name="Test",
            clock=lambda: self.now,
            send_event=lambda operator_id, payload: self.events.append((operator_id, payload)),
            write_text=self.text.extend,
            **context,
        )
        self.vertex = JobVertex(
            id=nodes[0].id,
            name="Test",
            parallelism=self.task.parallelism,
            max_parallelism=self.task.max_parallelism,
            operators=nodes,
        )
        self.channels: list[list[ListChannel]] = []
        outputs: list[tuple[int, EdgeOutput]] = []
        for number, edge in enumerate(edges):
            index = edge.operator % len(nodes)
            channels = [ListChannel() for _ in range(edge.channels)]
            job_edge = JobEdge(
                id=number,
                source=nodes[0].id,
                source_operator=index,
                target="f" * 32,
                partitioning=edge.partitioning,
                partitioner=b"",
                tag=edge.tag,
            )
            outputs.append(
                (
                    index,
                    edge_output(f"e{number}", nodes[index].name, job_edge, edge.definition, channels, edge.rows),
                )
            )
            self.channels.append(channels)
        self.operators = make_operators(self.vertex, self.task)
        self.chain = OperatorChain("Test", self.operators, outputs)

    def open(self) -> ChainHarness:
        """Open the chain."""
        self.chain.open()
        return self

    def process(self, values: Sequence[Any], times: list[int] | None = None) -> ChainHarness:
        """One batch."""
        self.chain.process(Batch(values, times))
        return self

    def watermark(self, timestamp: int) -> ChainHarness:
        """A watermark, with all timers it fires."""
        self.chain.advance_watermark(timestamp)
        while not self.chain.resume():
            pass
        return self

    def at(self, now: int) -> ChainHarness:
        """Processing time is ``now``: fires its timers."""
        self.now = now
        while self.chain.fire_processing_timers(now):
            pass
        return self

    def finish(self) -> ChainHarness:
        """The end of a bounded input."""
        self.watermark(2**63 - 1)
        self.chain.end_input()
        return self

    def output(self, edge: int = 0) -> list[Any]:
        """All records that were sent on an edge, whatever the channel."""
        self.chain.flush()
        return [value for channel in self.channels[edge] for value in channel.values]


class _Shared:
    """Unpickles to the very object that was kept: for benchmarks and tests that look into functions."""

    objects: list[Any] = []  # noqa: RUF012 - shared by design

    @classmethod
    def keep(cls, definition: Any) -> bytes:
        """Bytes that unpickle to ``definition`` in this process."""
        cls.objects.append(definition)
        pickled: bytes = cloudpickle.dumps(_Reference(len(cls.objects) - 1))
        return pickled


class _Reference:
    def __init__(self, index: int) -> None:
        self.index = index

    def __reduce__(self) -> tuple[Any, ...]:
        return _kept, (self.index,)


def _kept(index: int) -> Any:
    return _Shared.objects[index]
