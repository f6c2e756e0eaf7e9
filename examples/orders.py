"""Adds up orders by country: from a CSV file with two records that cannot be read, to lines of JSON, CSV or Parquet.

bin/flink run examples/orders.py
bin/flink run -p 2 examples/orders.py --input <file, folder or pattern> --output <folder> --format parquet

What was skipped stands at the end, as the accumulator numRecordsInErrors. Parquet needs the extra `parquet`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from pyflow_yarn.common import Row, Types, WatermarkStrategy
from pyflow_yarn.datastream import KeyedProcessFunction, RuntimeContext, StreamExecutionEnvironment
from pyflow_yarn.datastream.connectors.file_system import BucketAssigner, BulkWriterFactory, FileSink, FileSource
from pyflow_yarn.datastream.formats.csv import CsvBulkWriters, CsvReaderFormat, CsvSchema
from pyflow_yarn.datastream.formats.json import JsonLinesBulkWriters
from pyflow_yarn.datastream.formats.parquet import ParquetBulkWriters
from pyflow_yarn.datastream.state import ValueStateDescriptor

END_OF_TIME = 2**63 - 1
ORDERS = (
    CsvSchema.builder()
    .add_number_column("order")
    .add_column("day", Types.SQL_DATE())
    .add_string_column("customer")
    .add_string_column("country")
    .add_string_column("item")
    .add_number_column("quantity", Types.INT())
    .add_number_column("price", Types.BIG_DEC())
    .set_use_header()
    .set_strict_headers()
    .build()
)
TOTALS = Types.ROW_NAMED(["country", "orders", "revenue"], [Types.STRING(), Types.LONG(), Types.BIG_DEC()])


class AddUp(KeyedProcessFunction[str, Row, Row]):
    """Keeps a total for each country; the timer at the end of time fires when the input has ended."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self.total = runtime_context.get_state(ValueStateDescriptor("total", Types.PICKLED_BYTE_ARRAY()))

    def process_element(self, value: Row, ctx: KeyedProcessFunction.Context) -> None:
        total = self.total.value()
        if total is None:
            ctx.timer_service().register_event_time_timer(END_OF_TIME)
        orders, revenue = total or (0, 0)
        self.total.update((orders + 1, revenue + value["quantity"] * value["price"]))

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[Row]:
        orders, revenue = self.total.value() or (0, 0)
        yield Row(ctx.get_current_key(), orders, revenue)


def writers(name: str) -> BulkWriterFactory:
    """What writes totals in a format."""
    if name == "parquet":
        return ParquetBulkWriters.for_row_type(TOTALS)
    if name == "csv":
        return CsvBulkWriters.for_schema(CsvSchema.builder().add_columns_of(TOTALS).set_use_header().build())
    return JsonLinesBulkWriters.for_type_info(TOTALS)


def main() -> None:
    """Declare the job and run it."""
    parser = argparse.ArgumentParser(description="Adds up orders by country.")
    parser.add_argument("--input", default=str(Path(__file__).parent / "data" / "orders.csv"))
    parser.add_argument("--output", help="a folder for the result; without it, the totals are printed")
    parser.add_argument("--format", choices=["json", "csv", "parquet"], default="json")
    options = parser.parse_args()

    env = StreamExecutionEnvironment.get_execution_environment()
    orders = FileSource.for_record_stream_format(
        CsvReaderFormat.for_schema(ORDERS).with_bad_records("skip"), options.input
    )
    totals = (
        env.from_source(orders.build(), WatermarkStrategy.no_watermarks(), "orders")
        .key_by(lambda order: order["country"], key_type=Types.STRING())
        .process(AddUp(), output_type=TOTALS)
        .name("totals")
    )
    if options.output:
        files = FileSink.for_bulk_format(options.output, writers(options.format))
        files.with_bucket_assigner(BucketAssigner.base_path_bucket_assigner())
        totals.sink_to(files.build()).name("output")
    else:
        totals.print()
    env.execute("orders")


if __name__ == "__main__":
    main()
