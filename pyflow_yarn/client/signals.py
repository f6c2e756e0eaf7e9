"""Signals that end a client: each the way Ctrl-C does, with an exit code of its own."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

SIGNALLED = 128
"""What a shell adds to the number of the signal that ended a program."""

EXIT_INTERRUPTED = SIGNALLED + signal.SIGINT
EXIT_TERMINATED = SIGNALLED + signal.SIGTERM


class Signalled(KeyboardInterrupt):
    """Another signal than that of Ctrl-C arrived."""

    def __init__(self, number: int) -> None:
        self.number = number


@contextmanager
def interrupted_by(*numbers: signal.Signals) -> Iterator[None]:
    """Let these signals interrupt as well; what is ignored (SIGHUP by ``nohup``) stays ignored."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise Signalled(number)

    taken = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, interrupt) for number in taken}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def exit_code(interrupt: KeyboardInterrupt) -> int:
    """That of a program which such a signal has ended."""
    return SIGNALLED + (interrupt.number if isinstance(interrupt, Signalled) else signal.SIGINT)
