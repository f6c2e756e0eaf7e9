"""Made-up orders, made and added up in parallel; the sum of each customer is written when the input has ended.

bin/flink run -p 2 examples/data_generator.py --count 100000
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from pyflow_yarn.common import Types, WatermarkStrategy
from pyflow_yarn.datastream import KeyedProcessFunction, RuntimeContext, StreamExecutionEnvironment
from pyflow_yarn.datastream.connectors.data_generator import DataGeneratorSource
from pyflow_yarn.datastream.state import ValueStateDescriptor

CUSTOMERS = 5
END_OF_TIME = 2**63 - 1
ORDER = Types.TUPLE([Types.INT(), Types.LONG()])


def order(number: int) -> tuple[int, int]:
    """Customer and amount of an order; a function of its number, so that every run makes the same ones."""
    return number * 7 % CUSTOMERS, number * number % 100


class Total(KeyedProcessFunction[int, tuple[int, int], str]):
    """Adds up the amounts of a customer."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self.total = runtime_context.get_state(ValueStateDescriptor("total", Types.LONG()))

    def process_element(self, value: tuple[int, int], ctx: KeyedProcessFunction.Context) -> None:
        ctx.timer_service().register_event_time_timer(END_OF_TIME)
        self.total.update((self.total.value() or 0) + value[1])

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[str]:
        yield f"customer {ctx.get_current_key()}: {self.total.value()}"


def main() -> None:
    """Declare the job and run it."""
    parser = argparse.ArgumentParser(description="Adds up made-up orders.")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--rate", type=float, help="orders a second; without it, as fast as they can be made")
    options = parser.parse_args()

    env = StreamExecutionEnvironment.get_execution_environment()
    orders = DataGeneratorSource(order, options.count, options.rate, ORDER)
    (
        env.from_source(orders, WatermarkStrategy.no_watermarks(), "orders")
        .key_by(lambda order: order[0], key_type=Types.INT())
        .process(Total(), output_type=Types.STRING())
        .print()
        .set_parallelism(1)
    )
    env.execute("orders")


if __name__ == "__main__":
    main()
