"""Signals that end a client."""

from __future__ import annotations

import os
import signal

import pytest

from pyflow_yarn.client.signals import exit_code, interrupted_by


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_each_interrupts_and_has_an_exit_code_of_its_own(number: signal.Signals, code: int) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt) as raised, interrupted_by(signal.SIGTERM, signal.SIGHUP):
        os.kill(os.getpid(), number)
    assert exit_code(raised.value) == code
    assert signal.getsignal(number) is before


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupted_by(signal.SIGHUP):
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
