"""What bare CPython needs for the same work: the yardstick of the benchmarks.

``python benchmarks/bare_loops.py map_chain COUNT`` prints one JSON line with count and total.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

sys.path.insert(0, str(Path(__file__).parent / "programs"))
from lines import line_of

Unary = Callable[[int], int]


def map_chain(count: int) -> tuple[int, int]:
    """Three lambdas in one loop."""
    first, keep, second = cast(tuple[Unary, Unary, Unary], (lambda x: x + 1, lambda x: x % 3 != 0, lambda x: x * 2))
    seen = total = 0
    for x in range(count):
        y = first(x)
        if keep(y):
            seen += 1
            total += second(y)
    return seen, total


def word_count(count: int) -> tuple[int, int]:
    """A dictionary of counts."""
    counts: dict[str, int] = {}
    for number in range(count):
        for word in line_of(number).split():
            counts[word] = counts.get(word, 0) + 1
    return len(counts), sum(len(word) * times for word, times in counts.items())


def state_counter(count: int) -> tuple[int, int]:
    """A dictionary of counts, with the key from a lambda."""
    counts: dict[int, int] = {}
    key_of: Unary = lambda x: x % 10_000  # noqa: E731 - the yardstick calls what the job calls
    total = 0
    for x in range(count):
        key = key_of(x)
        seen = counts.get(key, 0) + 1
        counts[key] = seen
        total += seen
    return count, total


def exchange(count: int) -> tuple[int, int]:
    """Makes the same rows and hands them to nobody."""
    make: Callable[[int], tuple[str, int, float, str]] = lambda x: (  # noqa: E731
        f"user-{x % 100_000:07d}",
        x,
        x * 0.5,
        "click",
    )
    total = 0
    for x in range(count):
        total += make(x)[1]
    return count, total


def tiny(count: int) -> tuple[int, int]:
    """Nothing: the interpreter's own start."""
    return count, 0


if __name__ == "__main__":
    loops = {f.__name__: f for f in (map_chain, word_count, state_counter, exchange, tiny)}
    seen, total = loops[sys.argv[1]](int(sys.argv[2]))
    print(json.dumps({"count": seen, "total": total}))
