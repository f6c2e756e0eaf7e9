"""Several streams of one type become one.

bin/flink run examples/union.py
"""

from __future__ import annotations

from pyflow_yarn.common import Types
from pyflow_yarn.datastream import StreamExecutionEnvironment


def main() -> None:
    """Declare the job and run it."""
    env = StreamExecutionEnvironment.get_execution_environment()
    even = env.from_collection([2, 4, 6], type_info=Types.INT())
    odd = env.from_collection([1, 3, 5], type_info=Types.INT())
    large = env.from_collection([100], type_info=Types.INT())
    with even.union(odd, large).execute_and_collect("union") as numbers:
        print(*sorted(numbers))


if __name__ == "__main__":
    main()
