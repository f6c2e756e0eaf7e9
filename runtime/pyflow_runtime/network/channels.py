"""The two ends of a channel as a task sees them."""

from __future__ import annotations

import abc
import time

from pyflow_runtime.network.batch import Element
from pyflow_runtime.network.errors import ChannelBroken


class OutputChannel(abc.ABC):
    """The producer's end of a channel. Nothing here blocks.

    A producer checks ``available`` before it makes more records; while it is False (the queue is full because
    the consumer gave no credit) the producer rests, and turns to other work until ``on_ready`` made it True.

    ``records``, ``bytes`` and ``frames`` count what was sent.
    """

    records = 0
    bytes = 0
    frames = 0

    @property
    @abc.abstractmethod
    def available(self) -> bool:
        """Whether the producer should send more. True for a broken channel: ``send`` then raises."""

    @property
    @abc.abstractmethod
    def drained(self) -> bool:
        """Whether the consumer's worker has everything, ``EndOfInput`` included: this worker may end now."""

    @property
    @abc.abstractmethod
    def failure(self) -> ChannelBroken | None:
        """Why the channel is broken; None while it is not."""

    @property
    @abc.abstractmethod
    def backpressured_time(self) -> int:
        """Milliseconds during which the channel was not available."""

    @abc.abstractmethod
    def send(self, element: Element) -> None:
        """Queue an element, always; what is queued goes out with ``flush`` or when it is much.

        A batch must not be changed afterwards. Raises ``ChannelBroken`` if the consumer is gone and ``UserError``
        for records that cannot be encoded.
        """

    @abc.abstractmethod
    def flush(self) -> None:
        """Write what is queued, as far as credit and the kernel allow; the rest follows by itself."""

    @abc.abstractmethod
    def close(self) -> None:
        """Release the channel. Without an ``EndOfInput`` before it the consumer's end breaks."""


class InputGate(abc.ABC):
    """The consumer's end of all channels of one input edge.

    Channels are numbered as ``InputEdge.producers``. ``records`` and ``bytes`` count what was polled, ``buffered`` the
    bytes that wait for it.
    """

    records = 0
    bytes = 0
    buffered = 0

    @property
    @abc.abstractmethod
    def ready(self) -> bool:
        """Whether ``poll`` has something to return or to raise."""

    @abc.abstractmethod
    def poll(self) -> tuple[int, Element] | None:
        """The next element and the number of its channel; None if there is none now.

        In order within a channel; channels take turns. Raises ``ChannelBroken`` if a producer is gone whose
        ``EndOfInput`` has not arrived, and ``UserError`` for records that do not fit their declared type.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Release all channels; producers that have not ended find their ends broken."""


class Stopwatch:
    """Adds up the time during which something is the case."""

    def __init__(self) -> None:
        self._total = 0.0
        self._since: float | None = None

    def set(self, running: bool) -> None:
        """Whether it is the case from now on."""
        if running:
            if self._since is None:
                self._since = time.monotonic()
        elif self._since is not None:
            self._total += time.monotonic() - self._since
            self._since = None

    @property
    def milliseconds(self) -> int:
        """The time so far, the running one included."""
        running = 0.0 if self._since is None else time.monotonic() - self._since
        return int((self._total + running) * 1000)
