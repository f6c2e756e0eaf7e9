"""The smallest job there is: start-up cost and nothing else."""

from __future__ import annotations

from pyflow_yarn.datastream import StreamExecutionEnvironment

env = StreamExecutionEnvironment.get_execution_environment()
env.from_collection([1, 2, 3]).map(lambda x: x + 1).print()
env.execute("tiny")
