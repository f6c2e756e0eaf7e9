"""The workloads in PyFlink: ``python pyflink_programs.py WORKLOAD --mode process|thread --count N --output DIR``.

A mini-cluster in one JVM, one task slot per parallelism, which is what PyFlink starts without a cluster. Process mode
is what a cluster does: Python workers of their own, behind gRPC (without a variable that ``main`` sets, a local
program would run its functions in the client). Tuned as its documentation advises: object reuse on; the state cache
holds every key (``python.state.cache-size`` 20,000: its default of 1,000 costs ten times as much with 10,000 keys);
bundles at their defaults (100,000 records or 1 s), the best for throughput; types declared, so that nothing is pickled
per record; the hashmap state backend, no checkpoints. Latency is measured with the defaults and with ``--tuned``:
bundles of 1,000 records or 20 ms, and buffers flushed after 5 ms as on our side.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import sysconfig
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "programs"))

from pyflink.common import Configuration, Row, Types, WatermarkStrategy
from pyflink.datastream import FilterFunction, KeyedProcessFunction, RuntimeContext, StreamExecutionEnvironment
from pyflink.datastream.connectors.base import Source
from pyflink.datastream.connectors.number_seq import NumberSequenceSource
from pyflink.datastream.data_stream import DataStream
from pyflink.datastream.state import ValueStateDescriptor
from pyflink.java_gateway import get_gateway

from lines import line_of

PROGRAMS = sys.path[0]
END_OF_TIME = 2**63 - 1


class Checksum(FilterFunction):
    """Counts and sums one subtask's integers; lets none through."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def open(self, runtime_context: RuntimeContext) -> None:
        """Begin at nothing."""
        self.path = Path(self.directory) / f"{uuid.uuid4()}.json"  # thread mode does not tell the subtask's index
        self.count = 0
        self.total = 0

    def filter(self, value: int) -> bool:
        """One more."""
        self.count += 1
        self.total += value
        return False

    def close(self) -> None:
        """The end of input: the figures go to a file of this subtask."""
        self.path.write_text(json.dumps({"count": self.count, "total": self.total}))


class Ages(FilterFunction):
    """Keeps (sequence number, age in nanoseconds); lets none through."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def open(self, runtime_context: RuntimeContext) -> None:
        """Begin at nothing."""
        self.path = Path(self.directory) / f"{uuid.uuid4()}.json"  # thread mode does not tell the subtask's index
        self.ages: list[tuple[int, int]] = []

    def filter(self, value: tuple[int, int]) -> bool:
        """One more."""
        self.ages.append((value[0], time.time_ns() - value[1]))
        return False

    def close(self) -> None:
        """The end of input: the ages go to a file of this subtask."""
        self.path.write_text(json.dumps(self.ages))


class CountWords(KeyedProcessFunction):
    """Counts per word; the end of the input fires one timer a word."""

    def open(self, runtime_context: RuntimeContext) -> None:
        """Take the state."""
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value: str, ctx: KeyedProcessFunction.Context) -> None:
        """One more of this word."""
        count = self.count.value()
        if count is None:
            ctx.timer_service().register_event_time_timer(END_OF_TIME)
            self.count.update(1)
        else:
            self.count.update(count + 1)

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[int]:
        """The final count, weighted by the word's length."""
        yield (self.count.value() or 0) * len(ctx.get_current_key())


class Counter(KeyedProcessFunction):
    """Emits how often the key has been seen."""

    def open(self, runtime_context: RuntimeContext) -> None:
        """Take the state."""
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value: int, ctx: KeyedProcessFunction.Context) -> Iterator[int]:
        """One more of this key."""
        count = (self.count.value() or 0) + 1
        self.count.update(count)
        yield count


def numbers(env: StreamExecutionEnvironment, count: int) -> DataStream:
    """A sequence of integers, made by the JVM."""
    source = NumberSequenceSource(0, count - 1)
    return env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers", type_info=Types.LONG())


def paced_numbers(env: StreamExecutionEnvironment, count: int, rate: int) -> DataStream:
    """(Number, time of birth) at an even rate a second, both by the JVM.

    The table source ``datagen`` would send a second's records at once. The rate limiter of the source below spreads
    them, and a table's expression adds the time before any Python runs.
    """
    from pyflink.table import StreamTableEnvironment

    jvm = get_gateway().jvm
    kind = Types.LONG()
    java_kind = kind.get_java_type_info()
    datagen = jvm.org.apache.flink.connector.datagen
    elements = jvm.java.util.stream.LongStream.range(0, count).boxed().toList()
    function = datagen.functions.IndexLookupGeneratorFunction(java_kind, elements)
    limit = jvm.org.apache.flink.api.connector.source.util.ratelimit.RateLimiterStrategy.perSecond(float(rate))
    source = Source(datagen.source.DataGeneratorSource(function, count, limit, java_kind))
    tables = StreamTableEnvironment.create(env)
    numbers = env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers", type_info=kind)
    tables.create_temporary_view("numbers", tables.from_data_stream(numbers).alias("n"))
    return tables.to_data_stream(tables.sql_query("SELECT n, CURRENT_ROW_TIMESTAMP() FROM numbers"))


def number_and_birth(row: Row) -> tuple[int, int]:
    """The number and its time of birth in nanoseconds; the instant is Java's own in thread mode."""
    instant = row[1]
    millis = instant.to_epoch_milli() if hasattr(instant, "to_epoch_milli") else instant.toEpochMilli()
    return row[0], millis * 1_000_000


def configuration(options: argparse.Namespace) -> Configuration:
    """What the docstring says."""
    keys = {
        "python.execution-mode": options.mode,
        "python.executable": sys.executable,
        "python.client.executable": sys.executable,
        "python.state.cache-size": "20000",
        "pipeline.object-reuse": "true",
        "parallelism.default": str(options.parallelism),
        "taskmanager.numberOfTaskSlots": str(options.parallelism),
        "taskmanager.memory.managed.size": "1gb",
        "state.backend.type": "hashmap",
        "rest.bind-port": "0",
    }
    if options.tuned:
        keys |= {
            "python.fn-execution.bundle.size": "1000",
            "python.fn-execution.bundle.time": "20",
            "execution.buffer-timeout.interval": "5 ms",
        }
    result = Configuration()
    for key, value in keys.items():
        result.set_string(key, value)
    return result


def build(env: StreamExecutionEnvironment, options: argparse.Namespace) -> None:
    """The job of a workload."""
    long_type, string_type = Types.LONG(), Types.STRING()
    pair_type = Types.TUPLE([long_type, long_type])
    checksum = Checksum(options.output)
    if options.workload == "tiny":
        env.from_collection([1, 2, 3], type_info=long_type).map(lambda x: x + 1, output_type=long_type).print()
        return
    if options.workload == "map_chain":
        kept = numbers(env, options.count).map(lambda x: x + 1, output_type=long_type).filter(lambda x: x % 3 != 0)
        result = kept.map(lambda x: x * 2, output_type=long_type).filter(checksum)
    elif options.workload == "word_count":
        lines = numbers(env, options.count).map(line_of, output_type=string_type)
        words = lines.flat_map(lambda line: line.split(), output_type=string_type)
        counted = words.key_by(lambda word: word, key_type=string_type).process(CountWords(), output_type=long_type)
        result = counted.filter(checksum)
    elif options.workload == "state_counter":
        keyed = numbers(env, options.count).key_by(lambda x: x % 10_000, key_type=long_type)
        result = keyed.process(Counter(), output_type=long_type).filter(checksum)
    else:
        born = paced_numbers(env, options.count, options.rate)
        born = born.map(number_and_birth, output_type=pair_type)
        keyed = born.key_by(lambda pair: pair[0] % 1000, key_type=long_type)
        result = keyed.map(lambda pair: pair, output_type=pair_type).filter(Ages(options.output))
    result.print()  # of nothing: the filter lets none through


def main() -> None:
    """Run a workload."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("workload", choices=("map_chain", "word_count", "state_counter", "latency", "tiny"))
    arguments.add_argument("--mode", choices=("process", "thread"), required=True)
    arguments.add_argument("--count", type=int, default=3)
    arguments.add_argument("--output", required=True)
    arguments.add_argument("--parallelism", type=int, default=1)
    arguments.add_argument("--rate", type=int, help="records a second (latency)")
    arguments.add_argument("--tuned", action="store_true", help="for latency")
    options = arguments.parse_args()

    os.environ["_python_worker_execution_mode"] = "process"  # noqa: SIM112 - its name
    # For the workers; the interpreter that thread mode embeds does not find the virtual environment by itself.
    os.environ["PYTHONPATH"] = os.pathsep.join((PROGRAMS, sysconfig.get_path("purelib")))
    env = StreamExecutionEnvironment.get_execution_environment(configuration(options))
    build(env, options)
    env.execute(options.workload)


if __name__ == "__main__":
    main()
