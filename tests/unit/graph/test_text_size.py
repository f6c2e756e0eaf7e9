"""How much room texts take, and how they are divided into lines."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyflow_yarn.graph.text_size import width, wrapped

SIZE = 10.0
ROUNDED = 1e-9
"""What sums of the same widths in another order may differ by."""
WIDEST = width("®…", SIZE)


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [("i", "w"), ("a", "A"), ("abc", "abcd"), ("ab", "字字"), ("1", "🎉")],
)
def test_wide_texts_are_wide(narrow: str, wide: str) -> None:
    assert width(narrow, SIZE) < width(wide, SIZE) < width(wide, SIZE, bold=True)


def test_marks_take_no_room() -> None:
    assert width("e\u0301", SIZE) == width("e", SIZE)


@pytest.mark.parametrize(
    ("text", "limit", "lines", "expected"),
    [
        ("", 50, 2, [""]),
        ("short", 50, 2, ["short"]),
        ("two words", 50, 2, ["two", "words"]),
        ("two words", 50, 1, ["two wor…"]),
        ("some/path/of/a/file", 60, 3, ["some/path/", "of/a/file"]),
        ("unbreakable", 40, 9, ["unbrea", "kable"]),
        ("unbreakable", 1, 3, ["u", "n", "b…"]),
        ("e\u0301e\u0301e\u0301", 10, 3, ["e\u0301", "e\u0301", "e\u0301"]),
        ("👩‍👧👩‍👧", 30, 2, ["👩‍👧", "👩‍👧"]),
    ],
)
def test_lines(text: str, limit: float, lines: int, expected: list[str]) -> None:
    assert wrapped(text, SIZE, limit, lines) == expected


# The widest character and the ellipsis fit: at least one character is shown, however narrow the place.
@given(st.text(max_size=60).map(str.strip), st.floats(WIDEST, 200), st.integers(1, 4))
@example("®<", WIDEST, 1)
@example("a\x1f\u07fb0", 24.0, 2)
@example("0:a\u07fb<", 24.0, 2)
def test_lines_fit_and_nothing_is_lost_but_what_the_ellipsis_stands_for(text: str, limit: float, lines: int) -> None:
    result = wrapped(text, SIZE, limit, lines)
    assert 1 <= len(result) <= lines
    joined = "".join("".join(result).split())
    whole = "".join(text.split())
    assert joined == whole or whole.startswith(joined.removesuffix("…"))
    assert all(width(line, SIZE) <= limit + ROUNDED for line in result if len(line) > 1)
