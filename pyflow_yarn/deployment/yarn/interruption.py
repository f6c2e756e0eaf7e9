"""A deployment is interrupted once: what follows would interrupt the taking back, and leave something behind."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

TAKE_BACK_SECONDS = 30.0
STANDARD_ERROR = 2
PATIENCE = f"The deployment is being taken back, so that nothing of it stays: wait up to {TAKE_BACK_SECONDS:.0f} s.\n"


@contextmanager
def interrupted_once() -> Iterator[None]:
    """Of the signals that this program handles only the first has its effect; who sends more is told to wait."""
    interrupted = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        if interrupted:
            # Not by sys.stderr, which may be amid a line.
            os.write(STANDARD_ERROR, PATIENCE.encode())
            return
        interrupted = True
        handlers[signal.Signals(number)](number, frame)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handlers = {number: handler for number in numbers if callable(handler := signal.getsignal(number))}
    if threading.current_thread() is not threading.main_thread():
        # Nothing interrupts this one.
        handlers.clear()
    for number in handlers:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
