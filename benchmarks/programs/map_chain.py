"""map, filter, map over a sequence of integers."""

from __future__ import annotations

import argparse

from checksum_sink import ChecksumSink
from pyflow_yarn.common import WatermarkStrategy
from pyflow_yarn.datastream import StreamExecutionEnvironment
from pyflow_yarn.datastream.connectors.number_seq import NumberSequenceSource

arguments = argparse.ArgumentParser()
arguments.add_argument("--count", type=int, required=True)
arguments.add_argument("--output", required=True)
options = arguments.parse_args()

env = StreamExecutionEnvironment.get_execution_environment()
source = NumberSequenceSource(0, options.count - 1)
numbers = env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers")
numbers.map(lambda x: x + 1).filter(lambda x: x % 3 != 0).map(lambda x: x * 2).sink_to(ChecksumSink(options.output))
env.execute("map chain")
