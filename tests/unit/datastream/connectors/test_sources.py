"""Number sequences, collections, generators."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from pyflow_yarn.common.typeinfo import TypeInformation, Types
from pyflow_yarn.common.types import Row, RowKind
from pyflow_yarn.datastream import connectors
from pyflow_yarn.datastream.connectors.collection import CollectionSource
from pyflow_yarn.datastream.connectors.data_generator import DataGeneratorSource, RateLimit
from pyflow_yarn.datastream.connectors.file_system import FileSource
from pyflow_yarn.datastream.connectors.number_seq import NumberSequenceSource
from pyflow_yarn.datastream.functions import MapFunction
from pyflow_yarn.datastream.source import ReaderContext
from tests.unit.datastream.connectors.reading import read_all


@pytest.mark.parametrize("parallelism", [1, 2, 3, 7])
def test_numbers_are_divided(parallelism: int) -> None:
    parts = read_all(NumberSequenceSource(-3, 20), parallelism, max_records=5)
    assert [number for part in parts for number in part] == list(range(-3, 21))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_numbers_come_as_ranges() -> None:
    reader = NumberSequenceSource(1, 10**12).create_reader(ReaderContext(1, 2))
    batch = reader.read_batch(4096)
    assert batch == range(5 * 10**11 + 1, 5 * 10**11 + 4097)


def test_numbers_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match="'from' must be <= 'to'"):
        NumberSequenceSource(2, 1)


def test_collections_are_read_by_the_first_subtask() -> None:
    assert read_all(CollectionSource.of(range(10), None), 2, max_records=3) == [list(range(10)), []]
    assert read_all(CollectionSource.of([], None)) == [[]]


@pytest.mark.parametrize(
    ("element", "type_info", "expected"),
    [
        (["a", 1], Types.TUPLE([Types.STRING(), Types.INT()]), ("a", 1)),
        (("a", 1), Types.ROW([Types.STRING(), Types.INT()]), Row("a", 1)),
        ({"n": 1, "w": "a"}, Types.ROW_NAMED(["w", "n"], [Types.STRING(), Types.INT()]), "named"),
        (Row(w="a", n=1), Types.ROW_NAMED(["w", "n"], [Types.STRING(), Types.INT()]), "named"),
        (("a", 1), Types.ROW_NAMED(["w", "n"], [Types.STRING(), Types.INT()]), "named"),
        ([("a",)], Types.LIST(Types.ROW([Types.STRING()])), [Row("a")]),
        ({"k": ("a",)}, Types.MAP(Types.STRING(), Types.ROW([Types.STRING()])), {"k": Row("a")}),
        (None, Types.ROW([Types.STRING()]), None),
        ("a", Types.STRING(), "a"),
    ],
)
def test_elements_become_what_is_declared(element: Any, type_info: TypeInformation, expected: Any) -> None:
    if expected == "named":
        expected = Row("a", 1)
        expected.set_field_names(["w", "n"])
    [[read]] = read_all(CollectionSource.of([element], type_info))
    assert read == expected
    assert type(read) is type(expected)


def test_rows_keep_their_kind() -> None:
    [[row]] = read_all(CollectionSource.of([Row.of_kind(RowKind.DELETE, "a")], Types.ROW([Types.STRING()])))
    assert row.get_row_kind() is RowKind.DELETE


@pytest.mark.parametrize("element", [("a",), ("a", 1, 2), "ab", 3, Row("a")])
def test_elements_that_do_not_fit_are_named(element: Any) -> None:
    for type_info in (
        Types.ROW([Types.STRING(), Types.INT()]),
        Types.TUPLE([Types.STRING(), Types.INT()]),
    ):
        with pytest.raises(TypeError, match=r"does not have the declared type"):
            CollectionSource.of([element], type_info)


@pytest.mark.parametrize("collection", ["text", b"bytes", 3])
def test_what_is_no_collection_is_refused(collection: Any) -> None:
    with pytest.raises(TypeError, match=r"from_collection\(\) takes a list"):
        CollectionSource.of(collection, None)


class Square(MapFunction[int, int]):
    def map(self, value: int) -> int:
        return value * value


def test_generated_records() -> None:
    assert read_all(DataGeneratorSource(Square(), 5)) == [[0, 1, 4, 9, 16]]
    assert read_all(DataGeneratorSource(str, 5), 2) == [["0", "1"], ["2", "3", "4"]]
    assert DataGeneratorSource(str, 0, type_info=Types.STRING()).produced_type == Types.STRING()


def test_generators_check_their_settings() -> None:
    for arguments in ((len, -1), (len, 1, 0)):
        with pytest.raises(ValueError, match="DataGeneratorSource"):
            DataGeneratorSource(*arguments)
    with pytest.raises(TypeError, match="generator function"):
        DataGeneratorSource(3, 1)  # type: ignore[arg-type]


def test_the_rate_limit_grants_what_is_due_and_no_more() -> None:
    limit = RateLimit(per_second=100)
    assert limit.wait_seconds(5.0) == 0.0
    assert limit.allowed(5.0, 10) == 1
    assert limit.allowed(5.0, 10) == 0
    assert limit.wait_seconds(5.0) == pytest.approx(0.01)
    assert limit.allowed(5.101, 4) == 4
    assert limit.allowed(5.101, 100) == 6
    assert limit.allowed(6.0, 1000) == 90


def test_the_rate_is_shared_by_the_subtasks() -> None:
    reader = DataGeneratorSource(str, 1000, rate_per_second=1).create_reader(ReaderContext(0, 2))
    assert reader.read_batch(100) == ["0"]
    assert reader.read_batch(100) is None
    assert 1500 < reader.wait_milliseconds() <= 2000


@pytest.mark.parametrize(
    "source", [NumberSequenceSource(1, 2), CollectionSource.of([1], None), DataGeneratorSource(str, 1)]
)
def test_sources_divide_on_their_own_and_travel(source: Any) -> None:
    restored = pickle.loads(pickle.dumps(source))
    assert not restored.coordinated
    assert restored.create_enumerator(2) is None


def test_connector_names_are_found_where_programs_import_them() -> None:
    assert connectors.FileSource is FileSource
    assert connectors.NumberSequenceSource is NumberSequenceSource
    for name in connectors.__all__:
        assert getattr(connectors, name) is not None
    with pytest.raises(AttributeError, match="Nonsense"):
        connectors.Nonsense  # noqa: B018
