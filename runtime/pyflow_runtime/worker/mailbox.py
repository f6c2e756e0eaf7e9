"""The waiting part of a slot worker: sockets, wake-ups from threads and signal handlers, and times."""

from __future__ import annotations

import contextlib
import os
import selectors
from collections.abc import Callable
from typing import Any

Callback = Callable[[int], None]


class Mailbox:
    """A selector with callbacks. Keys of others (the exchange's) are handed to ``foreign``.

    ``wake`` may be called from any thread and from signal handlers: it ends the current or the next ``wait``.
    """

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.foreign: Callable[[selectors.SelectorKey, int], None] = _nobody
        self._callbacks: dict[int, Callback] = {}
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.register(self._event, selectors.EVENT_READ, self._woken)

    def register(self, file: Any, events: int, callback: Callback) -> None:
        """Call ``callback(mask)`` when ``file`` is ready for ``events``."""
        key = self.selector.register(file, events, self)
        self._callbacks[key.fd] = callback

    def modify(self, file: Any, events: int) -> None:
        """Wait for other events of a registered file."""
        self.selector.modify(file, events, self)

    def unregister(self, file: Any) -> None:
        """Forget a file."""
        key = self.selector.unregister(file)
        self._callbacks.pop(key.fd, None)

    def wake(self) -> None:
        """End the current or the next wait."""
        with contextlib.suppress(BlockingIOError, OSError):
            os.eventfd_write(self._event, 1)

    def wait(self, timeout: float | None) -> None:
        """Handle what is ready; wait for it at most ``timeout`` seconds (None: for ever)."""
        for key, mask in self.selector.select(timeout):
            if key.data is self:
                callback = self._callbacks.get(key.fd)
                if callback is not None:
                    callback(mask)
            else:
                self.foreign(key, mask)

    def close(self) -> None:
        """Close the selector; registered files stay open."""
        self.selector.close()
        os.close(self._event)

    def _woken(self, mask: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._event)


def _nobody(key: selectors.SelectorKey, mask: int) -> None:
    raise AssertionError(f"nobody waits for file descriptor {key.fd}")
