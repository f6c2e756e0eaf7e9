"""The thread of a source reader that may block."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from pyflow_yarn.datastream.source import EndOfInput, SourceReader

_BATCHES_AHEAD = 4


class ReaderThread:
    """Calls a reader from one thread; its batches wait in a bounded queue.

    Everything that touches the reader happens in the thread: reading, splits, and closing.
    """

    def __init__(self, reader: SourceReader[Any], rows: int, wake: Callable[[], None]) -> None:
        self._reader = reader
        self._rows = rows
        self._wake = wake
        self._changed = threading.Condition()
        self._batches: deque[Sequence[Any]] = deque()
        self._calls: deque[Callable[[], None]] = deque()
        self._starving = False
        self._stopped = False
        self._finished = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="source reader", daemon=True)

    def start(self) -> None:
        """Start the thread; it opens the reader."""
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether ``take`` has something to say."""
        return bool(self._batches) or self._starving or self._finished

    @property
    def ended(self) -> bool:
        """Whether the reader has ended and every batch was taken."""
        return self._finished and not self._batches and self._error is None

    def take(self) -> Sequence[Any] | None:
        """The next batch; None if the reader waits for something (said once); raises what the reader raised."""
        with self._changed:
            if self._batches:
                values = self._batches.popleft()
                self._changed.notify()
                return values
            if self._error is not None:
                raise self._error
            self._starving = False
            return None

    def call(self, function: Callable[[], None]) -> None:
        """Call something in the thread, soon."""
        with self._changed:
            self._calls.append(function)
            self._changed.notify()

    def stop(self) -> None:
        """End the thread when the reader returns; its reader is closed there."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def join(self, timeout: float) -> bool:
        """Wait for the end of the thread; False if it goes on."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            self._reader.open()
            while self._next():
                pass
        except EndOfInput:
            pass
        except BaseException as raised:
            error = raised
        try:
            self._reader.close()
        except BaseException as raised:
            error = error or raised
        with self._changed:
            self._error = error
            self._finished = True
        self._wake()

    def _next(self) -> bool:
        while self._calls:
            self._calls.popleft()()
        if self._stopped:
            return False
        values = self._reader.read_batch(self._rows)
        with self._changed:
            if values is None:
                self._starving = True
                self._wake()
                if not self._calls and not self._stopped:
                    self._changed.wait(max(1, self._reader.wait_milliseconds()) / 1000)
            elif len(values):
                self._batches.append(values)
                if len(self._batches) == 1:
                    self._wake()
                while len(self._batches) >= _BATCHES_AHEAD and not self._stopped:
                    self._changed.wait()
        return True
