"""Counts words: word_count.py text output marks calm. Slow until ``calm`` exists; attempts leave files in ``marks``."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator

from pyflow_yarn.common import Encoder, Types, WatermarkStrategy
from pyflow_yarn.datastream import FlatMapFunction, RuntimeContext, StreamExecutionEnvironment
from pyflow_yarn.datastream.connectors.file_system import BucketAssigner, FileSink, FileSource, StreamFormat

text, output, marks, calm = sys.argv[1:]
PAIR = Types.TUPLE([Types.STRING(), Types.LONG()])


class Words(FlatMapFunction[str, str]):
    """Splits a line; says in which process its subtask works, once it has seen a line."""

    def __init__(self, folder: str, calm: str) -> None:
        self.folder = folder
        self.calm = calm
        self.mark = ""

    def open(self, runtime_context: RuntimeContext) -> None:
        """Called once for each attempt."""
        self.mark = f"{runtime_context.get_index_of_this_subtask()}-{os.getpid()}-{time.monotonic_ns()}"

    def flat_map(self, value: str) -> Iterator[str]:
        """The words of a line."""
        if self.mark:
            with open(os.path.join(self.folder, self.mark), "w"):
                self.mark = ""
        if not os.path.exists(self.calm):
            time.sleep(0.005)
        yield from value.split()


env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(2)
source = FileSource.for_record_stream_format(StreamFormat.text_line_format(), text).build()
sink = FileSink.for_row_format(output, Encoder.simple_string_encoder())
sink.with_bucket_assigner(BucketAssigner.base_path_bucket_assigner())
words = env.from_source(source, WatermarkStrategy.no_watermarks(), "lines").rebalance()
words = words.flat_map(Words(marks, calm), output_type=Types.STRING())
counts = words.map(lambda word: (word, 1), output_type=PAIR).key_by(lambda pair: pair[0], key_type=Types.STRING())
counts.reduce(lambda one, other: (one[0], one[1] + other[1])).sink_to(sink.build())
env.execute("word count")
