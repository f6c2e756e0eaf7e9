"""All-to-all exchange of (str, int, float, str) tuples by key; the sink sums the integers."""

from __future__ import annotations

import argparse

from checksum_sink import ChecksumSink
from pyflow_yarn.common import Types, WatermarkStrategy
from pyflow_yarn.datastream import StreamExecutionEnvironment
from pyflow_yarn.datastream.connectors.number_seq import NumberSequenceSource

arguments = argparse.ArgumentParser()
arguments.add_argument("--count", type=int, required=True)
arguments.add_argument("--output", required=True)
options = arguments.parse_args()

ROW = Types.TUPLE([Types.STRING(), Types.LONG(), Types.DOUBLE(), Types.STRING()])
env = StreamExecutionEnvironment.get_execution_environment()
source = NumberSequenceSource(0, options.count - 1)
numbers = env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers")
rows = numbers.map(lambda x: (f"user-{x % 100_000:07d}", x, x * 0.5, "click"), output_type=ROW)
rows.key_by(lambda row: row[0], key_type=Types.STRING()).map(lambda row: row[1], output_type=Types.LONG()).sink_to(
    ChecksumSink(options.output)
)
env.execute("exchange")
