"""Word count over generated lines: split, key by word, count in a ValueState, emit at the end."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from checksum_sink import ChecksumSink
from lines import line_of
from pyflow_yarn.common import Types, WatermarkStrategy
from pyflow_yarn.datastream import KeyedProcessFunction, RuntimeContext, StreamExecutionEnvironment
from pyflow_yarn.datastream.connectors.data_generator import DataGeneratorSource
from pyflow_yarn.datastream.state import ValueStateDescriptor

END_OF_TIME = 2**63 - 1


class CountWords(KeyedProcessFunction[str, str, int]):
    """Counts per word; the end of the input fires one timer a word."""

    def open(self, runtime_context: RuntimeContext) -> None:
        """Take the state."""
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value: str, ctx: KeyedProcessFunction.Context) -> None:
        """One more of this word."""
        count = self.count.value()
        if count is None:
            ctx.timer_service().register_event_time_timer(END_OF_TIME)
            self.count.update(1)
        else:
            self.count.update(count + 1)

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterable[int]:
        """The final count, weighted by the word's length."""
        yield (self.count.value() or 0) * len(ctx.get_current_key())


arguments = argparse.ArgumentParser()
arguments.add_argument("--count", type=int, required=True, help="lines of ten words")
arguments.add_argument("--output", required=True)
options = arguments.parse_args()

env = StreamExecutionEnvironment.get_execution_environment()
source = DataGeneratorSource(line_of, options.count, type_info=Types.STRING())
lines = env.from_source(source, WatermarkStrategy.no_watermarks(), "lines")
words = lines.flat_map(str.split, output_type=Types.STRING())
words.key_by(lambda word: word, key_type=Types.STRING()).process(CountWords(), output_type=Types.LONG()).sink_to(
    ChecksumSink(options.output)
)
env.execute("word count")
