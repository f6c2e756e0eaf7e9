"""Signals that end a client."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from pyflow_yarn.client.signals import exit_code, interrupted_by

HANDLERS: dict[signal.Signals, Any] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Those of a program at a terminal, even if the tests run in the background."""
    before = {number: signal.signal(number, handler) for number, handler in HANDLERS.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_each_interrupts_and_has_an_exit_code_of_its_own(number: signal.Signals, code: int) -> None:
    with pytest.raises(KeyboardInterrupt) as raised, interrupted_by(signal.SIGTERM, signal.SIGHUP):
        os.kill(os.getpid(), number)
    assert exit_code(raised.value) == code
    assert signal.getsignal(number) is HANDLERS[number]


def test_what_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with interrupted_by(signal.SIGHUP):
        os.kill(os.getpid(), signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
