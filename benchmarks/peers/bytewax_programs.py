"""The workloads in bytewax: ``python bytewax_programs.py WORKLOAD --count N --output DIR [--parallelism P]``.

Tuned as its documentation advises: sources hand over batches (1,000 items: from there on bytewax's operators run a
list comprehension a batch), no recovery store and a long epoch (10 s), since nothing is checkpointed on our side
either, and more parallelism by processes, since the workers of one process share the interpreter's lock. Keys must be
strings. Word count uses the operator made for it, ``count_final``.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicSource, StatelessSourcePartition
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import TestingSource, cluster_main

sys.path.insert(0, str(Path(__file__).parents[1] / "programs"))
from lines import line_of

BATCH = 1000


class NumbersPartition(StatelessSourcePartition):
    """One worker's share of the sequence, in batches."""

    def __init__(self, numbers: range, make: Callable[[int], object] | None) -> None:
        self.numbers = numbers
        self.make = make

    def next_batch(self) -> list[object]:
        """The next thousand."""
        batch, self.numbers = self.numbers[:BATCH], self.numbers[BATCH:]
        if not batch:
            raise StopIteration
        return list(batch) if self.make is None else [self.make(number) for number in batch]


class NumbersSource(DynamicSource):
    """A sequence of integers, or what a function makes of them, divided among the workers."""

    def __init__(self, count: int, make: Callable[[int], object] | None = None) -> None:
        self.count = count
        self.make = make

    def build(self, step_id: str, worker_index: int, worker_count: int) -> NumbersPartition:
        """A contiguous share."""
        first, last = (self.count * index // worker_count for index in (worker_index, worker_index + 1))
        return NumbersPartition(range(first, last), self.make)


class ChecksumPartition(StatelessSinkPartition):
    """Counts and sums one worker's integers, with ``pairs`` the second of each pair."""

    def __init__(self, path: Path, pairs: bool) -> None:
        self.path = path
        self.pairs = pairs
        self.count = 0
        self.total = 0

    def write_batch(self, items: list[Any]) -> None:
        """One ``len`` and one ``sum`` a batch."""
        self.count += len(items)
        self.total += sum([value for _, value in items]) if self.pairs else sum(items)

    def close(self) -> None:
        """The end of input: the figures go to a file of this worker."""
        self.path.write_text(json.dumps({"count": self.count, "total": self.total}))


class ChecksumSink(DynamicSink):
    """Writes ``<directory>/<worker>.json``."""

    def __init__(self, directory: str, pairs: bool = False) -> None:
        self.directory = directory
        self.pairs = pairs

    def build(self, step_id: str, worker_index: int, worker_count: int) -> ChecksumPartition:
        """A partition for one worker."""
        return ChecksumPartition(Path(self.directory) / f"{worker_index}.json", self.pairs)


def map_chain(flow: Dataflow, count: int, output: str) -> None:
    """map, filter, map over a sequence of integers."""
    numbers = op.input("numbers", flow, NumbersSource(count))
    kept = op.filter("keep", op.map("first", numbers, lambda x: x + 1), lambda x: x % 3 != 0)
    op.output("out", op.map("second", kept, lambda x: x * 2), ChecksumSink(output))


def word_count(flow: Dataflow, count: int, output: str) -> None:
    """Split, count per word, emit the final count weighted by the word's length."""
    lines = op.input("lines", flow, NumbersSource(count, line_of))
    words = op.flat_map("split", lines, str.split)
    counts = op.count_final("count", words, lambda word: word)
    weighted = op.map("weigh", counts, lambda pair: pair[1] * len(pair[0]))
    op.output("out", weighted, ChecksumSink(output))


def state_counter(flow: Dataflow, count: int, output: str) -> None:
    """A counter of state over 10,000 keys, that emits how often the key has been seen."""
    numbers = op.input("numbers", flow, NumbersSource(count))
    keyed = op.key_on("key", numbers, lambda x: str(x % 10_000))
    op.output("out", op.stateful_map("count", keyed, count_one), ChecksumSink(output, pairs=True))


def count_one(state: int | None, value: int) -> tuple[int, int]:
    """One more of this key."""
    seen = (state or 0) + 1
    return seen, seen


def tiny(flow: Dataflow, count: int, output: str) -> None:
    """The smallest job there is."""
    numbers = op.input("numbers", flow, TestingSource([1, 2, 3]))
    op.inspect("print", op.map("first", numbers, lambda x: x + 1))
    op.output("out", numbers, ChecksumSink(output))


WORKLOADS = {function.__name__: function for function in (map_chain, word_count, state_counter, tiny)}


def free_addresses(count: int) -> list[str]:
    """Loopback addresses that nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    return addresses


def main() -> None:
    """Run one process of the flow; the first one starts the others."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("workload", choices=WORKLOADS)
    arguments.add_argument("--count", type=int, default=3)
    arguments.add_argument("--output", required=True)
    arguments.add_argument("--parallelism", type=int, default=1)
    arguments.add_argument("--addresses", nargs="*", help=argparse.SUPPRESS)
    arguments.add_argument("--process", type=int, default=0, help=argparse.SUPPRESS)
    options = arguments.parse_args()

    flow = Dataflow(options.workload)
    WORKLOADS[options.workload](flow, options.count, options.output)
    addresses = options.addresses or (free_addresses(options.parallelism) if options.parallelism > 1 else [])
    others = []
    if addresses and not options.addresses:
        command = [sys.executable, __file__, *sys.argv[1:], "--addresses", *addresses]
        others = [subprocess.Popen([*command, "--process", str(k)]) for k in range(1, options.parallelism)]
    cluster_main(flow, addresses, options.process, epoch_interval=timedelta(seconds=10), worker_count_per_proc=1)
    if any([other.wait() for other in others]):
        raise SystemExit("another process of the flow failed")


if __name__ == "__main__":
    main()
