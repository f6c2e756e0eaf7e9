"""Durations, sizes, lists and maps as texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyflow_yarn.configuration import values


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("10 s", 10_000),
        ("10s", 10_000),
        ("1 min", 60_000),
        ("500ms", 500),
        ("2 h", 7_200_000),
        ("1 d", 86_400_000),
        ("PT10S", 10_000),
        ("pt1h2m3.5s", 3_723_500),
        ("P1DT1M", 86_460_000),
        ("250", 250),
        ("1500 us", 1),
        (" 3 Seconds ", 3_000),
    ],
)
def test_durations(text: str, milliseconds: int) -> None:
    assert values.parse_duration(text) == milliseconds


@pytest.mark.parametrize(
    "text", ["", "s", "10 x", "-1 s", "1.5 s", "PT", "P", "PT1X", "99999999999999999999 d", "1 s 2"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError):
        values.parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("64mb", 64 << 20), ("1 gb", 1 << 30), ("1024", 1024), ("3 k", 3072), ("2T", 2 << 40), ("7 bytes", 7)],
)
def test_sizes(text: str, size: int) -> None:
    assert values.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "mb", "1.5g", "-1", "1 pb", "9999999999999 tb"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError):
        values.parse_size(text)


@given(st.integers(0, values.MAX_LONG // 10**6))
def test_formatted_durations_and_sizes_read_back(amount: int) -> None:
    assert values.parse_duration(values.format_duration(amount)) == amount
    assert values.parse_size(values.format_size(amount)) == amount


def test_lists() -> None:
    assert values.parse_list("a;b; c ") == ["a", "b", "c"]
    assert values.parse_list("[a, 'b c', 1]") == ["a", "b c", "1"]
    assert values.parse_list('\'a;b\';"c""d"') == ["a;b", 'c"d']
    assert values.parse_list("") == []


@pytest.mark.parametrize("text", ["'a", "'a'b", "[a, {b: c}]", "[a: ]b]", "[]]"])
def test_what_is_no_list(text: str) -> None:
    with pytest.raises(ValueError):
        values.parse_list(text)


def test_maps() -> None:
    assert values.parse_map("a:1,b:2") == {"a": "1", "b": "2"}
    assert values.parse_map("{a: 1, b: two}") == {"a": "1", "b": "two"}
    assert values.parse_map("name:file1,path:'hdfs:///tmp/x'") == {"name": "file1", "path": "hdfs:///tmp/x"}


@pytest.mark.parametrize("text", ["a", "a:b:c", "a:1,b", "{a: [1]}"])
def test_what_is_no_map(text: str) -> None:
    with pytest.raises(ValueError):
        values.parse_map(text)


_words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(st.lists(_words))
def test_formatted_lists_read_back(elements: list[str]) -> None:
    text = values.format_list(elements)
    if not (text.startswith("[") and text.endswith("]")):
        assert values.parse_list(text) == elements


@given(st.dictionaries(_words, _words))
def test_formatted_maps_read_back(entries: dict[str, str]) -> None:
    text = values.format_map(entries)
    if not (text.startswith("{") and text.endswith("}")):
        assert values.parse_map(text) == entries
