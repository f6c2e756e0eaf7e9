"""Exchanges of several workers in one process and one selector loop, or with a peer in a process of its own."""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pyflow_runtime.executiongraph.ids import ExecutionAttemptId
from pyflow_runtime.network import EdgeCodec, Element, Exchange, InputGate, OutputChannel
from pyflow_runtime.taskexecutor.messages import ChannelTarget, InputEdge, OutputEdge, WorkerAddress
from pyflow_runtime.worker.messages import WorkerSettings
from pyflow_yarn.graph.job_graph import JobEdge, Partitioning

JOB = "a94fa0d5b5c1d1f16c5e0f4d1d3b9a01"
DEADLINE = 30.0


def edge(number: int) -> JobEdge:
    return JobEdge(
        id=number, source="source", source_operator=0, target="target", partitioning=Partitioning.HASH, partitioner=b""
    )


def settings(parent: Path, worker_id: str, transport: str, **changes: Any) -> WorkerSettings:
    place = parent / worker_id
    place.mkdir(exist_ok=True)
    values: dict[str, Any] = {
        "worker_id": worker_id,
        "task_manager_id": "t",
        "slot": 0,
        "directory": str(place),
        "control_path": "",
        "bind_host": "127.0.0.1",
        "host": "127.0.0.1",
        "host_id": "here",
        "transport": transport,
        "secret": "the cluster's secret",
    }
    return WorkerSettings(**{**values, **changes})


def output(
    exchange: Exchange,
    targets: Sequence[WorkerAddress],
    number: int = 0,
    producer: int = 0,
    codec: EdgeCodec | None = None,
    attempt: int = 0,
) -> list[OutputChannel]:
    """Channels of producer subtask ``producer`` to consumer subtasks 0, 1... at these addresses."""
    return exchange.output(
        ExecutionAttemptId(JOB, "source", producer, 0),
        OutputEdge(edge(number), [ChannelTarget(index, attempt, target) for index, target in enumerate(targets)]),
        codec or EdgeCodec(),
    )


def gate(
    exchange: Exchange, consumer: int = 0, producers: int = 1, number: int = 0, codec: EdgeCodec | None = None
) -> InputGate:
    """The gate of consumer subtask ``consumer`` with producer subtasks 0, 1..."""
    return exchange.input(
        ExecutionAttemptId(JOB, "target", consumer, 0),
        InputEdge(edge(number), [(index, 0) for index in range(producers)]),
        codec or EdgeCodec(),
    )


class Workers:
    """Runs the loops of several workers in turn."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.selector = selectors.DefaultSelector()
        self.exchanges: list[Exchange] = []

    def add(
        self, worker_id: str, transport: str, *, network_memory: int = 0, credits: int = 2, **changes: Any
    ) -> Exchange:
        exchange = Exchange(
            settings(self.directory, worker_id, transport, **changes),
            self.selector,
            network_memory=network_memory,
            credits=credits,
        )
        self.exchanges.append(exchange)
        return exchange

    def turn(self, timeout: float = 0.0) -> bool:
        """One turn of all loops; whether anything happened."""
        for exchange in self.exchanges:
            exchange.flush()
        ready = self.selector.select(timeout)
        for key, mask in ready:
            (owner,) = [exchange for exchange in self.exchanges if exchange.owns(key)]
            owner.on_ready(key, mask)
        return bool(ready)

    def until(self, condition: Callable[[], Any], deadline: float = DEADLINE) -> None:
        """Run until the condition holds."""
        end = time.monotonic() + deadline
        while not condition():
            assert time.monotonic() < end, "it did not happen in time"
            self.turn(0.01)

    def rest(self) -> None:
        """Run until nothing happens any more."""
        idle = 0
        while idle < 3:
            idle = 0 if self.turn(0.005) else idle + 1

    def collect(self, gate: InputGate, count: int) -> list[Element]:
        """The next elements of a gate."""
        elements: list[Element] = []

        def enough() -> bool:
            while len(elements) < count and (arrived := gate.poll()) is not None:
                elements.append(arrived[1])
            return len(elements) >= count

        self.until(enough)
        return elements

    def close(self) -> None:
        for exchange in self.exchanges:
            exchange.close()
        assert not self.selector.get_map()
        self.selector.close()
