"""A sequence whose numbers go to a file, 10 ms apart, each with the microseconds since 1970 at which it was written."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from pyflow_yarn.common import WatermarkStrategy
from pyflow_yarn.datastream import StreamExecutionEnvironment
from pyflow_yarn.datastream.connectors.number_seq import NumberSequenceSource
from pyflow_yarn.datastream.sink import Sink, SinkWriter, WriterContext

PAUSE_SECONDS = 0.01


class FileWriter(SinkWriter[int]):
    """Appends lines to a file, each of which is visible at once."""

    def __init__(self, path: str) -> None:
        self.path = path

    def write_batch(self, records: Sequence[int], timestamps: Sequence[int] | None) -> None:
        """One line a record, and a pause."""
        with open(self.path, "a", buffering=1) as file:
            for number in records:
                file.write(f"{number} {time.time_ns() // 1000}\n")
                time.sleep(PAUSE_SECONDS)


class FileSink(Sink[int]):
    """Writes one file: for a parallelism of 1."""

    def __init__(self, path: str) -> None:
        self.path = path

    def create_writer(self, context: WriterContext) -> SinkWriter[int]:
        """The one writer."""
        return FileWriter(self.path)


count, output = sys.argv[1:]
env = StreamExecutionEnvironment.get_execution_environment()
numbers = env.from_source(NumberSequenceSource(0, int(count) - 1), WatermarkStrategy.no_watermarks(), "sequence")
numbers.sink_to(FileSink(output))
env.execute("sequence to file")
