"""The workloads in pathway: ``python pathway_programs.py WORKLOAD --count N --output DIR [--parallelism P]``.

Tuned as its documentation advises: static mode, its fast connectors (a file, written within the measured time: its
connector for Python rows costs several times as much), types of user functions declared, built-in reducers where they
exist, no monitoring; parallelism by threads of its Rust engine (PATHWAY_THREADS). There is no program for the state
counter: pathway keeps no state per key that a function updates and that emits for each record.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "programs"))
from lines import line_of


def write_numbers(path: Path, count: int) -> None:
    """A CSV file with the column ``x``."""
    with path.open("w") as file:
        file.write("x\n")
        file.writelines([f"{x}\n" for x in range(count)])


def write_lines(path: Path, count: int) -> None:
    """A text file of generated lines."""
    with path.open("w") as file:
        file.writelines([f"{line_of(number)}\n" for number in range(count)])


def main() -> None:
    """Build the tables of a workload, run, write the checksum."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("workload", choices=("map_chain", "word_count", "tiny"))
    arguments.add_argument("--count", type=int, default=3)
    arguments.add_argument("--output", required=True)
    arguments.add_argument("--parallelism", type=int, default=1)
    options = arguments.parse_args()
    os.environ["PATHWAY_THREADS"] = str(options.parallelism)

    import pathway as pw  # reads PATHWAY_THREADS

    first = pw.udf(lambda x: x + 1, return_type=int)
    keep = pw.udf(lambda x: x % 3 != 0, return_type=bool)
    second = pw.udf(lambda x: x * 2, return_type=int)
    split = pw.udf(str.split, return_type=list[str])
    weigh = pw.udf(lambda word, count: len(word) * count, return_type=int)

    with tempfile.TemporaryDirectory(prefix="pyflow-benchmark-") as directory:
        source = Path(directory) / "input"
        if options.workload == "word_count":
            write_lines(source, options.count)
            lines = pw.io.plaintext.read(str(source), mode="static")
            words = lines.select(word=split(pw.this.data)).flatten(pw.this.word)
            counts = words.groupby(pw.this.word).reduce(pw.this.word, count=pw.reducers.count())
            values = counts.select(value=weigh(pw.this.word, pw.this.count))
        else:
            write_numbers(source, options.count)
            numbers = pw.io.csv.read(str(source), schema=pw.schema_from_types(x=int), mode="static")
            values = numbers.select(value=first(pw.this.x))
            if options.workload == "map_chain":
                values = values.filter(keep(pw.this.value)).select(value=second(pw.this.value))
        checksum = values.reduce(count=pw.reducers.count(), total=pw.reducers.sum(pw.this.value))

        def write(key: object, row: dict[str, int], time: int, is_addition: bool) -> None:
            if is_addition:
                Path(options.output, "0.json").write_text(json.dumps({"count": row["count"], "total": row["total"]}))

        pw.io.subscribe(checksum, write)
        pw.run(monitoring_level=pw.MonitoringLevel.NONE)


if __name__ == "__main__":
    main()
