"""Signals while a deployment runs."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from pyflow_yarn.deployment.yarn.interruption import PATIENCE, interrupted_once


@pytest.fixture(autouse=True)
def at_a_terminal() -> Iterator[None]:
    """Ctrl-C interrupts, even if the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_the_first_signal_interrupts_and_later_ones_are_told_to_wait(capfd: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT)
    with interrupted_once():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert capfd.readouterr().err == ""
        signal.raise_signal(signal.SIGINT)
        assert capfd.readouterr().err == PATIENCE
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_what_a_program_does_not_handle_stays_as_it_is() -> None:
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupted_once():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, previous)


def test_other_threads_handle_no_signals() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def deploy() -> None:
        with interrupted_once():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=deploy)
    thread.start()
    thread.join()
    assert seen == [before]
