"""Counts the words of a text and writes each word with its final count, once the input has ended.

bin/flink run examples/word_count.py
bin/flink run -p 2 examples/word_count.py --input <file, folder or pattern> --output <folder>
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from pyflow_yarn.common import Encoder, Types, WatermarkStrategy
from pyflow_yarn.datastream import KeyedProcessFunction, RuntimeContext, StreamExecutionEnvironment
from pyflow_yarn.datastream.connectors.file_system import BucketAssigner, FileSink, FileSource, StreamFormat
from pyflow_yarn.datastream.state import ValueStateDescriptor

END_OF_TIME = 2**63 - 1


class CountWord(KeyedProcessFunction[str, str, str]):
    """Counts in state; the timer at the end of time fires when the input has ended, and not before."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value: str, ctx: KeyedProcessFunction.Context) -> None:
        count = self.count.value()
        if count is None:
            ctx.timer_service().register_event_time_timer(END_OF_TIME)
            count = 0
        self.count.update(count + 1)

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[str]:
        yield f"{ctx.get_current_key()} {self.count.value()}"


def main() -> None:
    """Declare the job and run it."""
    parser = argparse.ArgumentParser(description="Counts the words of a text.")
    parser.add_argument("--input", default=str(Path(__file__).parent / "data" / "the_river.txt"))
    parser.add_argument("--output", help="a folder for the result; without it, the counts are printed")
    options = parser.parse_args()

    env = StreamExecutionEnvironment.get_execution_environment()
    text = FileSource.for_record_stream_format(StreamFormat.text_line_format(), options.input)
    counts = (
        env.from_source(text.process_static_file_set().build(), WatermarkStrategy.no_watermarks(), "lines")
        .flat_map(lambda line: line.split(), output_type=Types.STRING())
        .name("words")
        .key_by(lambda word: word, key_type=Types.STRING())
        .process(CountWord(), output_type=Types.STRING())
        .name("counts")
    )
    if options.output:
        files = FileSink.for_row_format(options.output, Encoder.simple_string_encoder())
        files.with_bucket_assigner(BucketAssigner.base_path_bucket_assigner())
        counts.sink_to(files.build()).name("output")
    else:
        counts.print()
    env.execute("word count")


if __name__ == "__main__":
    main()
