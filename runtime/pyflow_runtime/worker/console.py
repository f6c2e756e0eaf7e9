"""Standard output of a slot worker, which it shares with other workers (and, embedded, with the user's terminal).

Lines of several processes must not mix: a write of at most ``PIPE_BUF`` bytes to a pipe is atomic, a longer one is not.
So output goes out line by line, and whole batches of lines in pieces that end with a line and are no longer than that.
"""

from __future__ import annotations

import contextlib
import io
import select
import sys
from collections.abc import Iterable, Iterator


def prepare_console() -> None:
    """Make ``print`` write whole lines, at once."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")


def write_lines(lines: list[str]) -> None:
    """Write lines, each with its end, in atomic pieces, behind everything printed so far."""
    write = sys.stdout.write
    for piece in pieces(lines):
        write(piece)
    sys.stdout.flush()


def warn(text: str) -> None:
    """A line on standard error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def pieces(lines: Iterable[str], limit: int = select.PIPE_BUF) -> Iterator[str]:
    """Join lines into texts of at most ``limit`` bytes; a line that is longer stays alone."""
    collected: list[str] = []
    size = 0
    for line in lines:
        length = len(line) if line.isascii() else len(line.encode("utf-8", "backslashreplace"))
        if collected and size + length > limit:
            yield "".join(collected)
            collected, size = [], 0
        collected.append(line)
        size += length
    if collected:
        yield "".join(collected)


def flush_console() -> None:
    """Get everything printed out of this process; a reader that has gone away is nobody's failure."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
