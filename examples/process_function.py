"""State per key: warns of a machine that has become hotter three times in a row.

bin/flink run examples/process_function.py
"""

from __future__ import annotations

from collections.abc import Iterator

from pyflow_yarn.common import Row, Types
from pyflow_yarn.datastream import KeyedProcessFunction, RuntimeContext, StreamExecutionEnvironment
from pyflow_yarn.datastream.state import ValueStateDescriptor

MACHINES = ("press", "oven", "saw")
DEGREES = {
    "press": [60, 61, 62, 63, 60, 61],
    "oven": [180, 190, 200, 195, 200, 205],
    "saw": [40, 41, 42, 43, 44, 30],
}


class RisingTemperature(KeyedProcessFunction[str, Row, str]):
    """Remembers the last temperature of a machine and how often in a row it has risen."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self.last = runtime_context.get_state(ValueStateDescriptor("last", Types.INT()))
        self.rises = runtime_context.get_state(ValueStateDescriptor("rises", Types.INT()))

    def process_element(self, value: Row, ctx: KeyedProcessFunction.Context) -> Iterator[str]:
        last, rises = self.last.value(), self.rises.value() or 0
        rises = rises + 1 if last is not None and value.degrees > last else 0
        self.last.update(value.degrees)
        self.rises.update(rises)
        if rises >= 3:
            yield f"{ctx.get_current_key()}: {value.degrees} degrees after {rises} rises"


def main() -> None:
    """Declare the job and run it."""
    env = StreamExecutionEnvironment.get_execution_environment()
    measured = [Row(machine=machine, degrees=DEGREES[machine][moment]) for moment in range(6) for machine in MACHINES]
    (
        env.from_collection(measured, type_info=Types.ROW_NAMED(["machine", "degrees"], [Types.STRING(), Types.INT()]))
        .key_by(lambda row: row.machine, key_type=Types.STRING())
        .process(RisingTemperature(), output_type=Types.STRING())
        .print()
    )
    env.execute("rising temperatures")


if __name__ == "__main__":
    main()
