"""Lines of text made from a line number, the same on every machine."""

from __future__ import annotations

VOCABULARY = [f"word{index:04d}"[: 3 + index % 6] + str(index) for index in range(5000)]


def line_of(number: int) -> str:
    """Ten words of the vocabulary, chosen by a linear congruence of the line number."""
    seed = number * 2654435761 + 40503
    words = VOCABULARY
    return " ".join([words[(seed >> shift) % 5000] for shift in range(0, 20, 2)])
