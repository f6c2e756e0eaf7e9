"""Prints a number a moment, at every subtask, and never ends."""

from __future__ import annotations

from pyflow_yarn.common import Types, WatermarkStrategy
from pyflow_yarn.datastream import StreamExecutionEnvironment
from pyflow_yarn.datastream.connectors.data_generator import DataGeneratorSource

env = StreamExecutionEnvironment.get_execution_environment()
numbers = DataGeneratorSource(lambda number: number, 10**9, rate_per_second=100, type_info=Types.LONG())
env.from_source(numbers, WatermarkStrategy.no_watermarks(), "numbers").print()
env.execute("ticks")
