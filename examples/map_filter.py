"""Temperatures in Fahrenheit become Celsius, and the frosty ones are kept.

bin/flink run examples/map_filter.py
"""

from __future__ import annotations

from pyflow_yarn.common import Types
from pyflow_yarn.datastream import StreamExecutionEnvironment

MEASURED = [("Oslo", 14.0), ("Cairo", 95.0), ("Reykjavik", 23.0), ("Lima", 68.0), ("Yakutsk", -40.0)]


def celsius(measured: tuple[str, float]) -> tuple[str, float]:
    """The same temperature on the other scale, to a tenth of a degree."""
    city, fahrenheit = measured
    return city, round((fahrenheit - 32) / 1.8, 1)


def main() -> None:
    """Declare the job and run it."""
    env = StreamExecutionEnvironment.get_execution_environment()
    city_and_degrees = Types.TUPLE([Types.STRING(), Types.DOUBLE()])
    (
        env.from_collection(MEASURED, type_info=city_and_degrees)
        .map(celsius, output_type=city_and_degrees)
        .filter(lambda measured: measured[1] < 0)
        .print()
    )
    env.execute("map and filter")


if __name__ == "__main__":
    main()
