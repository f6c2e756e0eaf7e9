"""Two pipelined regions, the first of which fails once: two_regions.py output marks."""

from __future__ import annotations

import os
import sys
import time

from pyflow_yarn.common import Encoder, Types, WatermarkStrategy
from pyflow_yarn.datastream import MapFunction, RuntimeContext, StreamExecutionEnvironment
from pyflow_yarn.datastream.connectors.file_system import BucketAssigner, FileSink
from pyflow_yarn.datastream.connectors.number_seq import NumberSequenceSource

output, marks = sys.argv[1:]


class Marked(MapFunction[int, int]):
    """Leaves a file for each open(); subtask 0 fails in its first attempt, once the other one is at work."""

    def __init__(self, folder: str, name: str, fails: bool) -> None:
        self.folder = folder
        self.name = name
        self.fails = fails
        self.subtask = 0
        self.attempt = 0

    def open(self, runtime_context: RuntimeContext) -> None:
        """Called once for each attempt."""
        self.subtask = runtime_context.get_index_of_this_subtask()
        self.attempt = runtime_context.get_attempt_number()
        self.leave(f"open-{self.name}-{self.subtask}-{self.attempt}")

    def map(self, value: int) -> int:
        """The value; not before the failure has happened, in the region that does not fail."""
        if self.fails and self.subtask == 1:
            self.leave("at-work")
            self.wait_for(f"open-{self.name}-0-1")
        elif self.fails and self.attempt == 0:
            self.wait_for("at-work")
            raise ValueError("fails once")
        return value

    def leave(self, name: str) -> None:
        """Make a file."""
        with open(os.path.join(self.folder, name), "a") as file:
            file.write("x")

    def wait_for(self, name: str) -> None:
        """Until there is that file."""
        while not os.path.exists(os.path.join(self.folder, name)):
            time.sleep(0.01)


env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(2)
sink = FileSink.for_row_format(output, Encoder.simple_string_encoder())
sink.with_bucket_assigner(BucketAssigner.base_path_bucket_assigner())
numbers = env.from_source(NumberSequenceSource(1, 1000), WatermarkStrategy.no_watermarks(), "numbers")
checked = numbers.map(Marked(marks, "first", True), output_type=Types.LONG()).start_new_chain()
checked.map(Marked(marks, "second", False), output_type=Types.LONG()).start_new_chain().sink_to(sink.build())
env.execute("two regions")
