"""A channel between two tasks of one worker: the same bounds, no bytes. The consumer gets the very objects."""

from __future__ import annotations

from pyflow_runtime.network.batch import Batch, Element, EndOfInput
from pyflow_runtime.network.channels import OutputChannel, Stopwatch
from pyflow_runtime.network.consumers import Consumers
from pyflow_runtime.network.errors import ChannelBroken, ChannelRefused
from pyflow_runtime.network.gate import Input


class LocalInput(Input):
    """The consumer's end; what is sent stands here also while the consumer is not deployed yet."""

    def __init__(self, peer: str, consumers: Consumers) -> None:
        super().__init__(peer)
        self._consumers = consumers
        self.output: LocalOutput | None = None

    def take(self) -> Element:
        element: Element = self.queue.popleft()
        return element

    def refuse(self, reason: str) -> None:
        self._break(ChannelRefused(self.peer, f"the channel was refused, {reason}"))

    def release(self) -> None:
        self._break(ChannelBroken(self.peer, "the consumer has stopped"))

    def abandon(self) -> None:
        """The producer closed its end before the end of input."""
        self._consumers.forget(self)
        self.fail(ChannelBroken(self.peer, "the producer has stopped before its end"))

    def _break(self, failure: ChannelBroken) -> None:
        output, self.output = self.output, None
        self.queue.clear()
        if output is not None:
            output.fail(failure)


class LocalOutput(OutputChannel):
    """The producer's end: available while fewer than ``bound`` elements wait at the consumer."""

    def __init__(self, target: LocalInput, bound: int) -> None:
        self.records = 0
        self.bytes = 0
        self.frames = 0
        self._target = target
        self._bound = bound
        self._ended = False
        self._closed = False
        self._failure: ChannelBroken | None = None
        self._stopwatch = Stopwatch()
        target.output = self

    @property
    def available(self) -> bool:
        blocked = len(self._target.queue) >= self._bound and self._failure is None
        self._stopwatch.set(blocked)
        return not blocked

    @property
    def drained(self) -> bool:
        return self._ended

    @property
    def failure(self) -> ChannelBroken | None:
        return self._failure

    @property
    def backpressured_time(self) -> int:
        return self._stopwatch.milliseconds

    def send(self, element: Element) -> None:
        if self._failure is not None:
            raise self._failure
        if self._ended or self._closed:
            raise ValueError("an element was sent after the end of the channel")
        if type(element) is Batch:
            if not element.values:
                return
            self.records += len(element.values)
            self.frames += 1
        elif type(element) is EndOfInput:
            self._ended = True
            self._target.ended = True
        self._target.push(element)

    def fail(self, failure: ChannelBroken) -> None:
        """The consumer is gone; harmless after the end of input."""
        if not self._ended:
            self._failure = failure
        self._stopwatch.set(False)

    def flush(self) -> None:
        """Nothing to do: the consumer sees what was sent at once."""

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._stopwatch.set(False)
        target = self._target
        target.output = None
        if not self._ended and self._failure is None:
            target.abandon()
