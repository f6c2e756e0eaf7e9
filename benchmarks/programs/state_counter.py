"""A ValueState counter over 10,000 keys."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from checksum_sink import ChecksumSink
from pyflow_yarn.common import Types, WatermarkStrategy
from pyflow_yarn.datastream import KeyedProcessFunction, RuntimeContext, StreamExecutionEnvironment
from pyflow_yarn.datastream.connectors.number_seq import NumberSequenceSource
from pyflow_yarn.datastream.state import ValueStateDescriptor


class Counter(KeyedProcessFunction[int, int, int]):
    """Emits how often the key has been seen."""

    def open(self, runtime_context: RuntimeContext) -> None:
        """Take the state."""
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value: int, ctx: KeyedProcessFunction.Context) -> Iterable[int]:
        """One more of this key."""
        count = (self.count.value() or 0) + 1
        self.count.update(count)
        yield count


arguments = argparse.ArgumentParser()
arguments.add_argument("--count", type=int, required=True)
arguments.add_argument("--output", required=True)
options = arguments.parse_args()

env = StreamExecutionEnvironment.get_execution_environment()
source = NumberSequenceSource(0, options.count - 1)
numbers = env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers", type_info=Types.LONG())
counts = numbers.key_by(lambda x: x % 10_000, key_type=Types.LONG()).process(Counter(), output_type=Types.LONG())
counts.sink_to(ChecksumSink(options.output))
env.execute("state counter")
