"""Batch sizes, console, memory, mailbox and reader threads."""

from __future__ import annotations

import gc
import os
import selectors
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyflow_runtime.worker.console import pieces
from pyflow_runtime.worker.garbage import GarbageCollector
from pyflow_runtime.worker.mailbox import Mailbox
from pyflow_runtime.worker.memory import over_limit, resident_bytes
from pyflow_runtime.worker.reader_thread import ReaderThread
from pyflow_runtime.worker.task import TARGET_SECONDS, BatchSize
from pyflow_yarn.datastream.source import EndOfInput, SourceReader


def test_batches_grow_while_they_are_quick() -> None:
    size = BatchSize(4096)
    rows = []
    for _ in range(6):
        rows.append(size.rows)
        size.took(size.rows, size.rows * 1e-7)
    assert rows == [64, 256, 1024, 4096, 4096, 4096]
    size.took(10, 1e-6)  # a batch that was small anyway tells nothing
    assert size.rows == 4096


@pytest.mark.parametrize("cost", [1e-7, 1e-5, 1e-3, 1e-2, 1.0])
def test_a_step_stays_short_whatever_a_record_costs(cost: float) -> None:
    size = BatchSize(4096)
    for _ in range(10):
        size.took(size.rows, size.rows * cost)
    assert size.rows == 1 or size.rows * cost <= 2.5 * TARGET_SECONDS


@given(st.lists(st.text(max_size=30).map(lambda text: text.replace("\n", "") + "\n")), st.integers(8, 64))
def test_pieces_are_atomic_and_complete(lines: list[str], limit: int) -> None:
    texts = list(pieces(lines, limit))
    assert "".join(texts) == "".join(lines)
    for text in texts:
        assert text.endswith("\n")
        assert len(text.encode("utf-8", "backslashreplace")) <= limit or text.count("\n") == 1


def test_memory_limit() -> None:
    assert over_limit(0) == ""
    assert over_limit(1 << 50) == ""
    assert resident_bytes() > 1024 * 1024
    assert "taskmanager.memory.process.size" in over_limit(1)


def test_garbage_collector_takes_over_and_gives_back() -> None:
    collector = GarbageCollector()
    collector.start()
    try:
        assert not gc.isenabled()
        for _ in range(20):
            collector.between_batches()
        assert gc.get_freeze_count() > 0
    finally:
        collector.stop()
        gc.unfreeze()
    assert gc.isenabled()


def test_mailbox_wakes_and_dispatches() -> None:
    mailbox = Mailbox()
    foreign: list[int] = []
    mailbox.foreign = lambda key, mask: foreign.append(key.fd)
    ours_in, ours_out = os.pipe()
    theirs_in, theirs_out = os.pipe()
    try:
        called: list[int] = []
        mailbox.register(ours_in, selectors.EVENT_READ, called.append)
        mailbox.selector.register(theirs_in, selectors.EVENT_READ, "theirs")
        os.write(ours_out, b"x")
        os.write(theirs_out, b"x")
        mailbox.wait(1)
        assert (called, foreign) == ([selectors.EVENT_READ], [theirs_in])
        os.read(ours_in, 1)
        os.read(theirs_in, 1)
        threading.Timer(0.05, mailbox.wake).start()
        begin = time.monotonic()
        mailbox.wait(30)
        assert time.monotonic() - begin < 10
        mailbox.unregister(ours_in)
        os.write(ours_out, b"x")
        mailbox.wait(0)
        assert len(called) == 1
    finally:
        mailbox.close()
        for descriptor in (ours_in, ours_out, theirs_in, theirs_out):
            os.close(descriptor)


class Scripted(SourceReader[int]):
    """Reads what a script says; remembers which thread touched it."""

    blocking = True

    def __init__(self, script: list[Any]) -> None:
        self.script = script
        self.threads: set[int] = set()
        self.closed = False
        self.splits: list[Any] = []

    def open(self) -> None:
        self.threads.add(threading.get_ident())

    def read_batch(self, max_records: int) -> Sequence[int] | None:
        self.threads.add(threading.get_ident())
        if self.splits:
            return [self.splits.pop()]
        if not self.script:
            raise EndOfInput
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        return step  # type: ignore[no-any-return]

    def wait_milliseconds(self) -> int:
        return 60_000

    def add_split(self, split: Any) -> None:
        self.threads.add(threading.get_ident())
        self.splits.append(split)

    def close(self) -> None:
        self.closed = True


def run(reader: Scripted) -> tuple[ReaderThread, list[Any]]:
    woken = threading.Event()
    thread = ReaderThread(reader, 10, woken.set)
    thread.start()
    taken: list[Any] = []
    end = time.monotonic() + 20
    while not thread.ended and time.monotonic() < end:
        if not thread.ready:
            woken.wait(0.1)
            woken.clear()
            continue
        values = thread.take()
        taken.append(values)
        if values is None and not thread.ended:
            thread.call(lambda: reader.add_split(99))
    return thread, taken


def test_reader_thread_reads_everything_in_one_thread() -> None:
    reader = Scripted([[number] for number in range(20)])
    thread, taken = run(reader)
    assert thread.join(10)
    assert [values for values in taken if values is not None] == [[number] for number in range(20)]
    assert reader.closed
    assert len(reader.threads) == 1
    assert threading.get_ident() not in reader.threads


def test_reader_thread_passes_splits_on() -> None:
    reader = Scripted([[1], None, [2]])
    thread, taken = run(reader)
    assert thread.join(10)
    assert [values for values in taken if values is not None] == [[1], [99], [2]]


def test_reader_thread_hands_over_errors() -> None:
    reader = Scripted([[1], OSError("gone")])
    with pytest.raises(OSError, match="gone"):
        run(reader)
    assert reader.closed


def test_reader_thread_stops_while_its_queue_is_full() -> None:
    reader = Scripted([[number] for number in range(1000)])
    thread = ReaderThread(reader, 10, lambda: None)
    thread.start()
    end = time.monotonic() + 10
    while len(reader.script) > 996 and time.monotonic() < end:
        time.sleep(0.005)
    thread.stop()
    assert thread.join(10)
    assert len(reader.script) == 996
    assert reader.closed
