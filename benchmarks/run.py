"""The benchmarks: ``python benchmarks/run.py [--runs 5] [--scale 1.0] [NAME ...]``, one JSON line a figure.

Each figure is a ratio within one run: the job and the bare CPython loop for the same work take turns, start-up
(the tiny job; an empty interpreter for the loop) is taken off, and the output of both is compared. Times are
CPU seconds of the whole process tree; wall seconds stand beside them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from measure import Run, Spread, read_checksum, run

HERE = Path(__file__).parent
FLINK = str(HERE.parent / "bin" / "flink")


@dataclass(frozen=True)
class Workload:
    """A program of ``programs/`` with a bare loop of the same name; ``records`` counts for one unit of ``count``."""

    name: str
    count: int
    records: int = 1
    unit: str = "record"


WORKLOADS = [
    Workload("map_chain", 10_000_000),
    Workload("word_count", 500_000, records=10, unit="word"),
    Workload("state_counter", 5_000_000),
    Workload("exchange", 3_000_000, unit="row"),
]


def emit(**figures: object) -> None:
    """One JSON line, with where and under what load it was measured."""
    load = [round(average, 2) for average in os.getloadavg()]
    machine = {"load": load, "cores": os.cpu_count(), "python": platform.python_version()}
    print(json.dumps({**figures, **machine}), flush=True)


def job(workload: str, count: int, parallelism: int) -> tuple[Run, tuple[int, int]]:
    """Run a workload's program through ``bin/flink``; returns its costs and checksum."""
    with tempfile.TemporaryDirectory(prefix="pyflow-benchmark-") as output:
        program = str(HERE / "programs" / f"{workload}.py")
        command = [FLINK, "run", "-p", str(parallelism), program, "--count", str(count), "--output", output]
        return run(command), read_checksum(output)


def bare(workload: str, count: int) -> tuple[Run, tuple[int, int]]:
    """Run the bare loop; returns its costs and checksum."""
    result = run([sys.executable, str(HERE / "bare_loops.py"), workload, str(count)])
    checksum = json.loads(result.output)
    return result, (checksum["count"], checksum["total"])


def throughput(workload: Workload, runs: int, scale: float) -> None:
    """CPU per record against the bare loop, at parallelism 1 and 2."""
    count = max(int(workload.count * scale), 1)
    records = count * workload.records
    tiny_command = [FLINK, "run", str(HERE / "programs" / "tiny.py")]
    for parallelism in (1, 2):
        job_cpu, bare_cpu, ratios, walls = [], [], [], []
        for _ in range(runs):
            start_up = run(tiny_command).cpu
            empty = bare("tiny", 0)[0].cpu
            ours, our_checksum = job(workload.name, count, parallelism)
            loop, loop_checksum = bare(workload.name, count)
            if our_checksum != loop_checksum:
                wrong = f"wrong output {our_checksum}, expected {loop_checksum}"
                raise SystemExit(f"{workload.name} -p {parallelism}: {wrong}")
            job_cpu.append((ours.cpu - start_up) / records * 1e6)
            bare_cpu.append((loop.cpu - empty) / records * 1e6)
            ratios.append(job_cpu[-1] / bare_cpu[-1])
            walls.append(ours.wall)
        emit(
            benchmark=workload.name,
            parallelism=parallelism,
            **{f"{workload.unit}s": records},
            **{f"cpu_us_per_{workload.unit}": Spread.of(job_cpu).as_list()},
            bare_loop_us=Spread.of(bare_cpu).as_list(),
            ratio=Spread.of(ratios).as_list(),
            wall_s=Spread.of(walls).as_list(),
            runs=runs,
            command=f"bin/flink run -p {parallelism} benchmarks/programs/{workload.name}.py"
            f" --count {count} --output DIR",
        )


def start_up(runs: int, scale: float) -> None:
    """Start to exit of the tiny job, and the memory of all its processes."""
    command = [FLINK, "run", str(HERE / "programs" / "tiny.py")]
    run(command)
    timed = [run(command) for _ in range(runs)]
    sampled = [run(command, sample_memory=True) for _ in range(runs)]
    emit(
        benchmark="start_up",
        wall_s=Spread.of([r.wall for r in timed]).as_list(),
        cpu_s=Spread.of([r.cpu for r in timed]).as_list(),
        pss_mb=Spread.of([r.memory / 1e6 for r in sampled]).as_list(),
        runs=runs,
        command="bin/flink run benchmarks/programs/tiny.py",
    )


def latency(runs: int, scale: float) -> None:
    """Age of records on arrival behind a keyed exchange at 10,000 records a second; the second half counts."""
    count, rate = max(int(50_000 * scale), 1000), 10_000
    program = str(HERE / "programs" / "latency.py")
    for parallelism in (1, 2):
        for label, options in (("defaults", []), ("5 ms buffers", ["-D", "execution.buffer-timeout.interval=5 ms"])):
            medians, tails = [], []
            for _ in range(runs):
                with tempfile.TemporaryDirectory(prefix="pyflow-benchmark-") as output:
                    arguments = ["--count", str(count), "--rate", str(rate), "--output", output]
                    run([FLINK, "run", "-p", str(parallelism), *options, program, *arguments])
                    parts = [json.loads(part.read_text()) for part in Path(output).glob("*.json")]
                ages = sorted(pair for part in parts for pair in part)
                if [number for number, _ in ages] != list(range(count)):
                    raise SystemExit(f"latency -p {parallelism}: {len(ages)} records arrived, {count} were sent")
                half = sorted(age / 1e6 for _, age in ages[count // 2 :])
                medians.append(statistics.median(half))
                tails.append(half[int(len(half) * 0.99)])
            emit(
                benchmark="latency",
                setting=label,
                parallelism=parallelism,
                rate_per_s=rate,
                p50_ms=Spread.of(medians).as_list(),
                p99_ms=Spread.of(tails).as_list(),
                runs=runs,
                command=f"bin/flink run -p {parallelism} {' '.join(options)} benchmarks/programs/latency.py"
                f" --count {count} --rate {rate} --output DIR",
            )


def parquet_copy(runs: int, scale: float) -> None:
    """CPU per row of copying Parquet through an exchange: as columns, and as the rows that a function asks for."""
    import pyarrow
    from pyarrow import dataset, parquet

    count, parallelism = max(int(1_000_000 * scale), 1), 2
    numbers = range(count)
    columns = {
        "id": numbers,
        "user": [f"user-{number % 100_000:07d}" for number in numbers],
        "price": [number * 0.5 for number in numbers],
    }
    tiny_command = [FLINK, "run", str(HERE / "programs" / "tiny.py")]
    cpu: dict[str, list[float]] = {"columns": [], "rows": []}
    walls: dict[str, list[float]] = {"columns": [], "rows": []}
    program = str(HERE / "programs" / "parquet_copy.py")
    with tempfile.TemporaryDirectory(prefix="pyflow-benchmark-") as directory:
        source = Path(directory, "in")
        source.mkdir()
        table = pyarrow.table({name: pyarrow.array(values) for name, values in columns.items()})
        parquet.write_table(table, source / "records.parquet", row_group_size=1 + count // 8)
        for round_number in range(runs):
            start_up = run(tiny_command).cpu
            for kind in cpu:
                output = Path(directory, f"{kind}-{round_number}")
                options = ["--input", str(source), "--output", str(output), *(["--rows"] if kind == "rows" else [])]
                ours = run([FLINK, "run", "-p", str(parallelism), program, *options])
                parts = sorted(output.rglob("part-*"))
                copied = dataset.dataset([str(part) for part in parts], format="parquet").to_table()
                if copied.sort_by("id") != table:
                    raise SystemExit(f"parquet_copy of {kind}: the copy has {copied.num_rows} rows, or other ones")
                cpu[kind].append((ours.cpu - start_up) / count * 1e6)
                walls[kind].append(ours.wall)
    emit(
        benchmark="parquet_copy",
        parallelism=parallelism,
        rows=count,
        columns_cpu_us_per_row=Spread.of(cpu["columns"]).as_list(),
        rows_cpu_us_per_row=Spread.of(cpu["rows"]).as_list(),
        ratio=Spread.of([one / other for one, other in zip(cpu["columns"], cpu["rows"], strict=True)]).as_list(),
        columns_wall_s=Spread.of(walls["columns"]).as_list(),
        rows_wall_s=Spread.of(walls["rows"]).as_list(),
        runs=runs,
        command=f"bin/flink run -p {parallelism} benchmarks/programs/parquet_copy.py --input DIR --output DIR [--rows]",
    )


def main() -> None:
    """Run the named benchmarks, or all."""
    benchmarks: dict[str, Callable[[int, float], None]] = {
        workload.name: partial(throughput, workload) for workload in WORKLOADS
    }
    benchmarks |= {"start_up": start_up, "latency": latency, "parquet_copy": parquet_copy}
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(benchmarks)}")
    arguments.add_argument("--runs", type=int, default=5)
    arguments.add_argument("--scale", type=float, default=1.0, help="multiplies the number of records")
    options = arguments.parse_args()
    unknown = set(options.names) - set(benchmarks)
    if unknown:
        arguments.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(benchmarks)}")
    for name in options.names or benchmarks:
        benchmarks[name](options.runs, options.scale)


if __name__ == "__main__":
    main()
