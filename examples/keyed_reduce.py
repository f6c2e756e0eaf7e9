"""Rolling turnover per product: each sale gives the product's total so far.

bin/flink run examples/keyed_reduce.py
"""

from __future__ import annotations

from pyflow_yarn.common import Types
from pyflow_yarn.datastream import StreamExecutionEnvironment

SALES = [("tea", 3), ("coffee", 7), ("tea", 4), ("cocoa", 2), ("coffee", 1), ("tea", 5)]


def main() -> None:
    """Declare the job and run it."""
    env = StreamExecutionEnvironment.get_execution_environment()
    (
        env.from_collection(SALES, type_info=Types.TUPLE([Types.STRING(), Types.INT()]))
        .key_by(lambda sale: sale[0], key_type=Types.STRING())
        .reduce(lambda total, sale: (total[0], total[1] + sale[1]))
        .print()
    )
    env.execute("turnover per product")


if __name__ == "__main__":
    main()
