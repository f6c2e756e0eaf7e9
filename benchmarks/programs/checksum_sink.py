"""A sink that keeps count and sum of what it saw, so that a benchmark can verify its output."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pyflow_yarn.datastream.sink import Sink, SinkWriter, WriterContext


class ChecksumWriter(SinkWriter[int]):
    """Counts and sums one subtask's integers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self.total = 0

    def write_batch(self, records: Sequence[int], timestamps: Sequence[int] | None) -> None:
        """One ``len`` and one ``sum`` a batch."""
        self.count += len(records)
        self.total += sum(records)

    def prepare_commit(self) -> list[object]:
        """The end of input: the figures go to a file of this subtask."""
        self.path.write_text(json.dumps({"count": self.count, "total": self.total}))
        return []


class ChecksumSink(Sink[int]):
    """Writes ``<directory>/<subtask>.json``."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def create_writer(self, context: WriterContext) -> SinkWriter[int]:
        """A writer for one subtask."""
        return ChecksumWriter(Path(self.directory) / f"{context.subtask}.json")
