"""The example programs, run as the README says, against results that are computed here another way."""

from __future__ import annotations

import ast
import csv
import json
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from pyarrow import parquet

from tests.conftest import Completed, Flink, WordFile

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
CLIENT_LINES = ("Job has been submitted with JobID ", "Program execution finished", "Job with JobID ", "Job Runtime: ")


def succeeded(done: Completed) -> list[str]:
    """What the job printed; the client's own lines are on standard output as well, before and after it."""
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return [line for line in done.lines() if line and not line.startswith(CLIENT_LINES)]


def counted(lines: list[str]) -> Counter[str]:
    """Words with their counts, each word once."""
    counts: Counter[str] = Counter()
    for line in lines:
        word, count = line.split(" ")
        assert word not in counts, f"{word} has two final counts"
        counts[word] = int(count)
    return counts


def output_lines(folder: Path) -> list[str]:
    """The lines of all finished files below a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in files if path.name.startswith((".", "_")) or "inprogress" in path.name]
    return [line for path in files for line in path.read_text(encoding="utf-8").splitlines()]


def test_word_count_of_the_shipped_text(flink: Flink) -> None:
    lines = succeeded(flink("run", EXAMPLES / "word_count.py"))
    text = (EXAMPLES / "data" / "the_river.txt").read_text(encoding="utf-8")
    assert len(text.splitlines()) >= 40
    assert counted(lines) == Counter(text.split())


@pytest.mark.parametrize("parallelism", [1, 2, 3])
def test_word_count_from_file_to_folder(
    flink: Flink, word_file: Callable[..., WordFile], tmp_path: Path, parallelism: int
) -> None:
    words = word_file(lines=20_000)
    output = tmp_path / "counts"
    done = flink("run", "-p", str(parallelism), EXAMPLES / "word_count.py", "--input", words.path, "--output", output)
    assert succeeded(done) == []
    assert counted(output_lines(output)) == words.counts


def test_word_count_of_a_folder_and_of_a_pattern(
    flink: Flink, word_file: Callable[..., WordFile], tmp_path: Path
) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    first, second, other = (word_file(lines=500, seed=seed, name=f"texts/{seed}.txt") for seed in (1, 2, 33))
    every = counted(succeeded(flink("run", EXAMPLES / "word_count.py", "--input", folder)))
    assert every == first.counts + second.counts + other.counts
    some = counted(succeeded(flink("run", EXAMPLES / "word_count.py", "--input", f"{folder}/?.txt")))
    assert some == first.counts + second.counts


def test_map_filter(flink: Flink) -> None:
    frosty = ["(Oslo,-10.0)", "(Reykjavik,-5.0)", "(Yakutsk,-40.0)"]
    assert succeeded(flink("run", EXAMPLES / "map_filter.py")) == frosty


def test_keyed_reduce(flink: Flink) -> None:
    assert succeeded(flink("run", EXAMPLES / "keyed_reduce.py")) == [
        "(tea,3)",
        "(coffee,7)",
        "(tea,7)",
        "(cocoa,2)",
        "(coffee,8)",
        "(tea,12)",
    ]


def test_process_function(flink: Flink) -> None:
    assert succeeded(flink("run", EXAMPLES / "process_function.py")) == [
        "press: 63 degrees after 3 rises",
        "saw: 43 degrees after 3 rises",
        "saw: 44 degrees after 4 rises",
    ]


def test_partitioning(flink: Flink) -> None:
    lines = succeeded(flink("run", "-p", "3", EXAMPLES / "partitioning.py"))
    tens = {f"tens: {number} at subtask {number // 10}" for number in range(12)}
    assert {line for line in lines if line.startswith("tens")} == tens
    dealt = [line.split() for line in lines if line.startswith("rebalance")]
    assert sorted(int(words[1]) for words in dealt) == list(range(12))
    assert Counter(words[-1] for words in dealt) == {"0": 4, "1": 4, "2": 4}
    assert len(lines) == 24


def test_union(flink: Flink) -> None:
    assert succeeded(flink("run", EXAMPLES / "union.py")) == ["1 2 3 4 5 6 100"]


@pytest.mark.parametrize("parallelism", [1, 2])
def test_data_generator(flink: Flink, parallelism: int) -> None:
    totals = [0] * 5
    for number in range(5000):
        totals[number * 7 % 5] += number * number % 100
    lines = succeeded(flink("run", "-p", str(parallelism), EXAMPLES / "data_generator.py", "--count", "5000"))
    assert sorted(lines) == [f"customer {customer}: {total}" for customer, total in enumerate(totals)]


ORDERS = EXAMPLES / "data" / "orders.csv"


def totals_of_orders() -> dict[str, tuple[int, Decimal]]:
    """Orders and revenue by country of the shipped file, without the two records that are damaged on purpose."""
    totals: dict[str, tuple[int, Decimal]] = {}
    with ORDERS.open(encoding="utf-8", newline="") as file:
        for order in csv.DictReader(file):
            if order["quantity"].isdigit() and order["price"] is not None:
                count, revenue = totals.get(order["country"], (0, Decimal(0)))
                totals[order["country"]] = count + 1, revenue + int(order["quantity"]) * Decimal(order["price"])
    return totals


def test_orders(flink: Flink) -> None:
    *lines, title, skipped = succeeded(flink("run", EXAMPLES / "orders.py"))
    assert (title, skipped) == ("Accumulator Results: ", "- numRecordsInErrors (int): 2")
    assert sorted(lines) == sorted(
        f"+I[{country}, {count}, {revenue}]" for country, (count, revenue) in totals_of_orders().items()
    )


def test_orders_to_files_of_every_format(flink: Flink, tmp_path: Path) -> None:
    expected = totals_of_orders()
    for name in ("json", "csv", "parquet"):
        output = tmp_path / name
        succeeded(flink("run", "-p", "2", EXAMPLES / "orders.py", "--output", output, "--format", name))
        if name == "parquet":
            records = [record for file in output.iterdir() for record in parquet.read_table(file).to_pylist()]
        elif name == "csv":
            texts = [file.read_text(encoding="utf-8").splitlines() for file in output.iterdir()]
            records = [record for lines in texts for record in csv.DictReader(lines)]
        else:
            records = [json.loads(line, parse_float=Decimal) for line in output_lines(output)]
        found = {each["country"]: (int(each["orders"]), Decimal(each["revenue"])) for each in records}
        assert found == expected
        assert len(records) == len(expected)


def test_every_example_is_tested_and_says_how_to_run_it() -> None:
    tested = Path(__file__).read_text(encoding="utf-8")
    for path in EXAMPLES.glob("*.py"):
        assert f'"{path.name}"' in tested
        documentation = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        assert f"examples/{path.name}" in documentation
