"""Copies Parquet files through an exchange: as columns, or as rows with ``--rows``."""

from __future__ import annotations

import argparse

from pyflow_yarn.common import WatermarkStrategy
from pyflow_yarn.datastream import StreamExecutionEnvironment
from pyflow_yarn.datastream.connectors.file_system import FileSink, FileSource
from pyflow_yarn.datastream.formats.parquet import ParquetBulkWriters, ParquetColumnarRowInputFormat
from pyflow_yarn.datastream.formats.schema_inference import infer_schema

arguments = argparse.ArgumentParser()
arguments.add_argument("--input", required=True)
arguments.add_argument("--output", required=True)
arguments.add_argument("--rows", action="store_true")
options = arguments.parse_args()

env = StreamExecutionEnvironment.get_execution_environment()
row_type = infer_schema(options.input, "parquet")
source = FileSource.for_bulk_file_format(ParquetColumnarRowInputFormat(row_type), options.input).build()
stream = env.from_source(source, WatermarkStrategy.no_watermarks(), "records")
if options.rows:
    stream = stream.map(lambda row: row, output_type=row_type)
stream.rebalance().sink_to(FileSink.for_bulk_format(options.output, ParquetBulkWriters.for_row_type(row_type)).build())
env.execute("parquet_copy")
