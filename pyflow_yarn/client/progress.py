"""One line on a terminal's stderr that shows how far a job is; nothing anywhere else."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from pyflow_yarn.client.rest import RestClient
from pyflow_yarn.errors import PyflowError

PERIOD = 0.5
FIRST_AFTER = 1.5


class ProgressLine:
    """The line of one job: ``refresh`` draws it and tells how long the next poll may take."""

    def __init__(self, rest: RestClient, job_id: str, name: str) -> None:
        self._rest = rest
        self._path = f"/jobs/{job_id}"
        self._name = name
        self._begin = time.monotonic()
        self._shown = False

    def refresh(self) -> float:
        """Draw the line, once the job runs longer than a moment."""
        left = FIRST_AFTER - (time.monotonic() - self._begin)
        if left > 0:
            return left
        try:
            text = describe_progress(self._rest.get(self._path))
        except PyflowError:
            return PERIOD
        width = (os.get_terminal_size(sys.stderr.fileno()).columns or 80) - 1
        # The cursor goes back to the start, so that whatever is printed next overwrites the line.
        sys.stderr.write(f"\r\x1b[K{f'{self._name}: {text}'[:width]}\r")
        sys.stderr.flush()
        self._shown = True
        return PERIOD

    def erase(self) -> None:
        """Leave no trace on the terminal."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._shown = False


def progress_line(rest: RestClient, job_id: str, name: str, prints: bool) -> ProgressLine | None:
    """A line for the job if one is wanted: on a terminal, unless the job itself prints records there."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb" or os.environ.get("PYFLOW_NO_PROGRESS"):
        return None
    if prints and sys.stdout.isatty():
        return None
    return ProgressLine(rest, job_id, name)


def describe_progress(job: dict[str, Any]) -> str:
    """State, tasks that run, and records sent between tasks so far, from the answer of ``GET /jobs/:id``."""
    vertices = job.get("vertices", [])
    total = sum(vertex.get("parallelism", 0) for vertex in vertices)
    states: dict[str, int] = {}
    for vertex in vertices:
        for state, count in vertex.get("tasks", {}).items():
            states[state] = states.get(state, 0) + count
    records = max((vertex.get("metrics", {}).get("write-records", 0) for vertex in vertices), default=0)
    running, finished = states.get("RUNNING", 0), states.get("FINISHED", 0)
    text = f"{job.get('state', '?')}, {running} of {total} tasks running, {finished} finished"
    return f"{text}, {records:,} records" if records else text
