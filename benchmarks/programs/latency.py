"""Records at a fixed rate through a keyed exchange; the sink keeps how old each one was on arrival."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

from pyflow_yarn.common import Types, WatermarkStrategy
from pyflow_yarn.datastream import StreamExecutionEnvironment
from pyflow_yarn.datastream.connectors.data_generator import DataGeneratorSource
from pyflow_yarn.datastream.sink import Sink, SinkWriter, WriterContext


class LatencyWriter(SinkWriter[tuple[int, int]]):
    """Keeps (sequence number, age in nanoseconds)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ages: list[tuple[int, int]] = []

    def write_batch(self, records: Sequence[tuple[int, int]], timestamps: Sequence[int] | None) -> None:
        """The whole batch arrives now."""
        now = time.time_ns()
        self.ages.extend((number, now - born) for number, born in records)

    def prepare_commit(self) -> list[object]:
        """The end of input: the ages go to a file of this subtask."""
        self.path.write_text(json.dumps(self.ages))
        return []


class LatencySink(Sink[tuple[int, int]]):
    """Writes ``<directory>/<subtask>.json``."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def create_writer(self, context: WriterContext) -> SinkWriter[tuple[int, int]]:
        """A writer for one subtask."""
        return LatencyWriter(Path(self.directory) / f"{context.subtask}.json")


arguments = argparse.ArgumentParser()
arguments.add_argument("--count", type=int, required=True)
arguments.add_argument("--rate", type=int, required=True, help="records a second, over all subtasks")
arguments.add_argument("--output", required=True)
options = arguments.parse_args()

PAIR = Types.TUPLE([Types.LONG(), Types.LONG()])
env = StreamExecutionEnvironment.get_execution_environment()
source = DataGeneratorSource(
    lambda number: (number, time.time_ns()), options.count, rate_per_second=options.rate, type_info=PAIR
)
born = env.from_source(source, WatermarkStrategy.no_watermarks(), "clock")
born.key_by(lambda pair: pair[0] % 1000, key_type=Types.LONG()).map(lambda pair: pair, output_type=PAIR).sink_to(
    LatencySink(options.output)
)
env.execute("latency")
