"""Log files that grow and are rotated: each line once, in its order, tracebacks in one piece."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyflow_yarn.client.log_following import Follower, WholeLines
from pyflow_yarn.yarn.container_logs import LogFile, ordered
from tests.unit.yarn.fake_yarn import container

HEAD = b"Traceback (most recent call last):\n"
TRACEBACK = (
    b"2026-11-21 10:00:00,000 ERROR words failed\n" + HEAD + b'  File "words.py", line 3, in count\n'
    b"    1 // 0\n    ~~^~~\nZeroDivisionError: division by zero\n"
)
CHAIN = b"\nThe above exception was the direct cause of the following exception:\n\n"


class Files:
    """Files of containers that a test writes and rotates as logging does."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.content: dict[tuple[str, str], bytes] = {}
        # What is read at most of a file, though more is there.
        self.at_most = 1 << 30

    def files(self) -> list[LogFile]:
        return ordered(LogFile(one, "node", name, len(content)) for (one, name), content in self.content.items())

    def read(self, file: LogFile, offset: int) -> Iterator[bytes]:
        yield self.content[file.container, file.name][offset : offset + self.at_most]

    def write(self, one: str, name: str, content: bytes) -> None:
        self.content[one, name] = self.content.get((one, name), b"") + content

    def rotate(self, one: str, name: str) -> None:
        last = max((file.generation for file in self.files() if file.family == (one, name)), default=-1)
        for generation in range(last, -1, -1):
            old = f"{name}.{generation}" if generation else name
            if (one, old) in self.content:
                self.content[one, f"{name}.{generation + 1}"] = self.content.pop((one, old))


class Screen:
    """What was shown."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, bytes]] = []
        self.files = Files()
        self.follower = Follower(self.show, lambda files: files.files())

    def show(self, name: str, lines: list[bytes]) -> None:
        self.lines += [(name, line) for line in lines]

    def of(self, name: str) -> bytes:
        return b"".join(line for one, line in self.lines if one == name)

    def look(self) -> None:
        self.follower.look(self.files)


@given(
    st.lists(st.sampled_from([b"a\n", b"b", b"\n", b"  c\n", HEAD, TRACEBACK, TRACEBACK + CHAIN, b"\xff\n"])), st.data()
)
def test_nothing_is_lost_or_changed(parts: list[bytes], data: st.DataObject) -> None:
    content = b"".join(parts)
    lines, shown = WholeLines(), b""
    while content:
        count = data.draw(st.integers(1, len(content)))
        shown += b"".join(lines.add(content[:count]))
        content = content[count:]
        if data.draw(st.booleans()):
            shown += b"".join(lines.pause())
    shown += b"".join(lines.end())
    whole = b"".join(parts)
    assert shown == (whole if whole.endswith(b"\n") or not whole else whole + b"\n")


@pytest.mark.parametrize("traceback", [TRACEBACK, TRACEBACK + CHAIN + TRACEBACK], ids=["one", "chained"])
@given(cuts=st.sets(st.integers(1, len(TRACEBACK + CHAIN + TRACEBACK) + 10)))
def test_a_traceback_comes_in_one_piece(traceback: bytes, cuts: set[int]) -> None:
    content = b"before\n" + traceback + b"after\nmore\n"
    lines, pieces = WholeLines(), []
    places = [0, *sorted(len(b"before\n") + traceback.index(HEAD) + cut for cut in cuts), len(content)]
    for begin, end in pairwise(places):
        pieces.append(b"".join(lines.add(content[begin:end])))
    assert b"".join(pieces) == content
    assert sum(traceback[traceback.index(HEAD) :] in piece for piece in pieces) == 1


def test_a_traceback_at_the_end_is_shown_when_nothing_more_comes() -> None:
    screen = Screen()
    screen.files.write(container(1), "jobmanager.log", b"one\n" + TRACEBACK[:-20])
    screen.look()
    assert screen.of("01_000001 jobmanager.log") == b"one\n"
    screen.files.write(container(1), "jobmanager.log", TRACEBACK[-20:])
    screen.look()
    assert screen.of("01_000001 jobmanager.log") == b"one\n"
    screen.look()
    assert screen.of("01_000001 jobmanager.log") == b"one\n" + TRACEBACK


def test_two_files_have_their_names() -> None:
    screen = Screen()
    for name in ("taskmanager.out", "taskmanager.log"):
        screen.files.write(container(12, attempt=2), name, b"x\ny")
    screen.look()
    screen.follower.end(screen.files)
    log, out = "02_000012 taskmanager.log", "02_000012 taskmanager.out"
    assert screen.lines == [(log, b"x\n"), (out, b"x\n"), (log, b"y\n"), (out, b"y\n")]


_steps = st.lists(
    st.sampled_from(["write", "write", "write", "rotate", "look", "look a little", "other place"]), max_size=60
)


@given(_steps)
def test_every_line_comes_once_however_files_are_rotated(steps: list[str]) -> None:
    screen = Screen()
    name, number, written = (container(1), "taskmanager.log"), 0, b""
    for step in steps:
        if step == "write":
            number += 1
            line = f"line {number}\n".encode()
            written += line
            screen.files.write(*name, line)
        elif step == "rotate":
            # It is rotated when it is full, and the record that did not fit is the first of the new one.
            if screen.files.content.get(name):
                screen.files.rotate(*name)
        elif step == "other place":
            screen.files = _copied(screen.files)
        else:
            screen.files.at_most = 5 if step == "look a little" else 1 << 30
            screen.look()
    screen.files.at_most = 1 << 30
    screen.look()
    screen.follower.end(screen.files)
    assert screen.of("01_000001 taskmanager.log") == written


def _copied(files: Files) -> Files:
    """Those that were aggregated."""
    copy = Files()
    copy.content = dict(files.content)
    return copy
