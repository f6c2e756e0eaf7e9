"""``Row``: by position, by name, as a function; and what it prints."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyflow_yarn.common import Row, RowKind
from pyflow_yarn.common.types import RowBatch, rows_of


def test_by_position() -> None:
    row = Row(1, "a")
    assert (row[0], row[1], row[-1], row[0:2], len(row), list(row)) == (1, "a", "a", [1, "a"], 2, [1, "a"])
    assert 1 in row and "b" not in row
    row[0] = 7
    assert row[0] == 7
    first, second = row
    assert (first, second) == (7, "a")


def test_by_name() -> None:
    row = Row(name="Alice", age=11)
    assert (row["name"], row.age) == ("Alice", 11)
    assert row.as_dict() == {"name": "Alice", "age": 11}
    row["age"] = 12
    assert row.age == 12
    assert row.get_fields_by_names(["name"]) == Row(name="Alice")
    with pytest.raises(ValueError):
        row["wrong"]
    with pytest.raises(ValueError):
        row["wrong"] = 1
    with pytest.raises(AttributeError):
        row.wrong  # noqa: B018
    with pytest.raises(AttributeError):
        row.age = 13
    with pytest.raises(ValueError, match="both args and kwargs"):
        Row(1, a=2)


def test_as_a_function() -> None:
    person = Row("name", "age")
    alice = person("Alice", 11)
    assert repr(alice) == str(alice) == "Row(name='Alice', age=11)"
    assert alice.name == "Alice"
    with pytest.raises(ValueError, match="expected 2 values"):
        person(1, 2, 3)


def test_text() -> None:
    assert repr(Row(1, "a")) == "Row(f0=1, f1='a')"
    assert repr(Row(b=1, a=None)) == "Row(a=None, b=1)"
    assert repr(Row()) == "Row()"


def test_dicts() -> None:
    row = Row(a=1, b=Row(c=[Row(d=2)], e={"f": Row(g=3)}))
    assert row.as_dict(True) == {"a": 1, "b": {"c": [{"d": 2}], "e": {"f": {"g": 3}}}}
    assert row.as_dict()["b"] == Row(c=[Row(d=2)], e={"f": Row(g=3)})
    with pytest.raises(TypeError):
        Row(1).as_dict()
    unnamed = Row(1, 2)
    unnamed.set_field_names(["x", "y"])
    assert unnamed.as_dict() == {"x": 1, "y": 2}


def test_kinds() -> None:
    row = Row(1)
    assert row.get_row_kind() is RowKind.INSERT
    deleted = Row.of_kind(RowKind.DELETE, 1)
    assert deleted.get_row_kind() is RowKind.DELETE and deleted != row
    deleted.set_row_kind(RowKind.INSERT)
    assert deleted == row
    assert [str(kind) for kind in RowKind] == ["+I", "-U", "+U", "-D"]
    assert [kind.value for kind in RowKind] == [0, 1, 2, 3]


def test_equality_and_hash() -> None:
    assert Row(1, 2) == Row(1, 2) and Row(1, 2) != Row(2, 1) and Row(1) != (1,)
    assert Row(a=1) != Row(1) and Row(a=1) != Row(b=1) and Row(a=1) == Row(a=1)
    assert len({Row(1, "a"), Row(1, "a"), Row(2, "a")}) == 2


@given(
    st.one_of(
        st.lists(st.integers()).map(lambda values: Row(*values)),
        st.dictionaries(st.sampled_from("abcde"), st.text(), min_size=1).map(lambda fields: Row(**fields)),
    ),
    st.sampled_from(RowKind),
)
def test_pickles_and_copies_are_equal(row: Row, kind: RowKind) -> None:
    row.set_row_kind(kind)
    copies: list[Any] = [pickle.loads(pickle.dumps(row, protocol)) for protocol in (2, 5)]
    for each in (*copies, copy.deepcopy(row), copy.copy(row)):
        assert each == row and repr(each) == repr(row) and each.get_row_kind() is kind


def test_rows_are_made_and_pickled_as_batches() -> None:
    rows = rows_of(["a", "b"], [(1, "x"), [2, None]])
    assert rows == [Row(a=1, b="x"), Row(a=2, b=None)]
    rows[0]["a"] = 5
    assert rows[1]["a"] == 2
    batch = RowBatch.of(rows)
    assert batch is not None
    assert pickle.loads(pickle.dumps(batch)) == rows
    plain = [Row(1), Row(2)]
    assert pickle.loads(pickle.dumps(RowBatch.of(plain))) == plain


@pytest.mark.parametrize(
    "records",
    [
        [],
        range(3),
        [Row(1), 2],
        [Row(1), Row(a=1)],
        [Row(a=1), Row(b=1)],
        [Row.of_kind(RowKind.DELETE, 1)],
        [Row(1), Row.of_kind(RowKind.UPDATE_AFTER, 1)],
    ],
)
def test_what_is_no_batch_of_rows(records: Any) -> None:
    assert RowBatch.of(records) is None
