"""The consumer's end: inputs (one channel each) and the gate that merges those of one edge."""

from __future__ import annotations

import abc
from collections import deque
from typing import Any

from pyflow_runtime.network.batch import Batch, Element, Watermark
from pyflow_runtime.network.channels import InputGate
from pyflow_runtime.network.codec import EdgeCodec
from pyflow_runtime.network.errors import ChannelBroken


class Input(abc.ABC):
    """The consumer's end of one channel. It exists from the producer's OPEN on; the gate may come later."""

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.queue: deque[Any] = deque()
        self.gate: Gate | None = None
        self.index = -1
        self.in_line = False
        self.ended = False

    def attach(self, gate: Gate, index: int) -> None:
        """Belong to a gate from now on, which has been deployed."""
        self.gate = gate
        self.index = index
        if self.queue:
            self.in_line = True
            gate.line.append(self)

    def push(self, item: Any) -> None:
        """Queue an element (or a frame that ``take`` makes one of)."""
        queue = self.queue
        if type(item) is Watermark and queue and type(queue[-1]) is Watermark:
            queue[-1] = item  # the later watermark says all that the earlier one said
            return
        queue.append(item)
        if self.gate is not None and not self.in_line:
            self.in_line = True
            self.gate.line.append(self)

    def fail(self, failure: ChannelBroken) -> None:
        """The producer is gone; harmless after its end of input."""
        if not self.ended and self.gate is not None:
            self.gate.fail(failure)

    @abc.abstractmethod
    def take(self) -> Element:
        """The oldest queued element; there is one."""

    @abc.abstractmethod
    def refuse(self, reason: str) -> None:
        """Tell the producer that this channel will not be."""

    @abc.abstractmethod
    def release(self) -> None:
        """Tell the producer that nothing more is wanted."""


class Gate(InputGate):
    """Merges the inputs of one edge: those that have something stand in ``line`` and take turns."""

    def __init__(self, channels: int, codec: EdgeCodec) -> None:
        self.codec = codec
        self.line: deque[Input] = deque()
        self.inputs: list[Input | None] = [None] * channels
        self._failure: ChannelBroken | None = None
        self._closed = False
        self.records = 0
        self.bytes = 0
        self.buffered = 0

    @property
    def ready(self) -> bool:
        return bool(self.line) or self._failure is not None

    def poll(self) -> tuple[int, Element] | None:
        if self._failure is not None:
            raise self._failure
        line = self.line
        if not line:
            return None
        channel = line.popleft()
        channel.in_line = False
        element = channel.take()
        if channel.queue and not channel.in_line:
            channel.in_line = True
            line.append(channel)
        if type(element) is Batch:
            self.records += len(element.values)
        return channel.index, element

    def fail(self, failure: ChannelBroken) -> None:
        """Make ``poll`` raise."""
        if self._failure is None and not self._closed:
            self._failure = failure

    @property
    def closed(self) -> bool:
        """Whether the task has released the gate."""
        return self._closed

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self.line.clear()
        for channel in self.inputs:
            if channel is not None:
                channel.queue.clear()
                channel.release()
        self.inputs = []
