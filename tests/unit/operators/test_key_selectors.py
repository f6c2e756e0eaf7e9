"""Which key selectors are written out in generated loops."""

from __future__ import annotations

import operator
from typing import Any

import pytest

from pyflow_runtime.operators.key_selectors import inline_template

factor = 3


@pytest.mark.parametrize(
    ("selector", "template"),
    [
        (lambda r: r, "{}"),
        (lambda r: r[0], "{}[0]"),
        (lambda row: row[-1], "{}[-1]"),
        (lambda r: r["user id"], "{}['user id']"),
        (lambda r: r["{}"], "{}['{{}}']"),
        (lambda r: r.word, "{}.word"),
        (operator.itemgetter(1), "{}[1]"),
    ],
)
def test_trivial_selectors_are_written_out(selector: Any, template: str) -> None:
    inlined = inline_template(selector)
    assert inlined is not None
    assert inlined[0] == template


@pytest.mark.parametrize(
    "selector",
    [
        lambda r: r[0] + 1,
        lambda r: (r[0], r[1]),
        lambda r: r[True],
        lambda r: r[1.0],
        lambda r: r[factor],
        lambda r, s=0: r[s],
        lambda *r: r[0],
        lambda r: r.a.b,
        lambda r: r[0][1],
        lambda r: r[0:1],
        lambda r: (yield r),
        operator.itemgetter(0, 1),
        operator.attrgetter("word"),
        str.lower,
        len,
    ],
)
def test_others_are_called(selector: Any) -> None:
    assert inline_template(selector) is None


def test_closures_and_classes_are_called() -> None:
    index = 0
    assert inline_template(lambda r: r[index]) is None

    class Selector:
        def __call__(self, record: Any) -> Any:
            return record[0]

    assert inline_template(Selector()) is None
