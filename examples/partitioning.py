"""Which subtask a record goes to: dealt out in turn, or chosen by a function of the program.

bin/flink run -p 3 examples/partitioning.py
"""

from __future__ import annotations

from pyflow_yarn.common import Types
from pyflow_yarn.datastream import MapFunction, RuntimeContext, StreamExecutionEnvironment

NUMBERS = range(12)


class WithSubtask(MapFunction[int, str]):
    """Tells which subtask saw a number."""

    def __init__(self, how: str) -> None:
        self.how = how

    def open(self, runtime_context: RuntimeContext) -> None:
        self.subtask = runtime_context.get_index_of_this_subtask()

    def map(self, value: int) -> str:
        return f"{self.how}: {value} at subtask {self.subtask}"


def main() -> None:
    """Declare the job and run it."""
    env = StreamExecutionEnvironment.get_execution_environment()
    numbers = env.from_collection(NUMBERS, type_info=Types.LONG())
    dealt = numbers.rebalance().map(WithSubtask("rebalance"), output_type=Types.STRING())
    chosen = numbers.partition_custom(
        lambda tens, subtasks: tens % subtasks,
        lambda number: number // 10,
    ).map(WithSubtask("tens"), output_type=Types.STRING())
    dealt.union(chosen).print().set_parallelism(1)
    env.execute("partitioning")


if __name__ == "__main__":
    main()
