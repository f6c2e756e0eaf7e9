"""How much room a text takes in a picture, without its font: widths of a wide sans-serif one, so that others fit."""

from __future__ import annotations

import unicodedata

ELLIPSIS = "…"
_BOLD = 1.12
_WIDE = 1.05
_SYMBOL = 1.3
_OTHER = 0.72
_BREAK_AFTER = " /,;:.-_)>|"
_JOINER = "\N{ZERO WIDTH JOINER}"
_WIDTHS = {
    character: width
    for characters, width in (
        ("ijl'", 0.28),
        (" .,:;|!/\\I", 0.34),
        ("frt()[]-`J", 0.41),
        ('"*_?', 0.53),
        ("sz", 0.53),
        ("acegnopqvxykubdh", 0.63),
        ("0123456789$", 0.64),
        ("ABCEFKLPRSTVXYZ", 0.69),
        ("DGHNOQU&", 0.78),
        ("w#+<=>~^", 0.84),
        ("M%", 0.95),
        ("mW@", 1.0),
    )
    for character in characters
}


def width(text: str, size: float, bold: bool = False) -> float:
    """The most that a text of this font size is likely to take."""
    return sum(map(_width, text)) * size * (_BOLD if bold else 1.0)


def _width(character: str) -> float:
    known = _WIDTHS.get(character)
    if known is not None:
        return known
    category = unicodedata.category(character)
    if category in ("Mn", "Me", "Cf"):
        return 0.0
    if category == "So":
        return _SYMBOL
    return _WIDE if unicodedata.east_asian_width(character) in "WF" else _OTHER


def wrapped(text: str, size: float, limit: float, lines: int, bold: bool = False) -> list[str]:
    """The text in at most so many lines, at least one, within ``limit``; what is too long ends with an ellipsis."""
    result: list[str] = []
    rest = text
    while width(rest, size, bold) > limit and len(result) < lines - 1:
        cut = _cut(rest, size, limit, bold)
        words = max(rest.rfind(mark, 0, cut) for mark in _BREAK_AFTER) + 1
        if words > cut // 3:
            cut = words
        result.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    if width(rest, size, bold) > limit:
        rest = rest[: _cut(rest, size, limit - width(ELLIPSIS, size, bold), bold)].rstrip() + ELLIPSIS
    return [*result, rest]


def _cut(text: str, size: float, limit: float, bold: bool) -> int:
    """How many characters fit, at least one; what is drawn as one character is not divided."""
    used = 0.0
    cut = 1
    for index, character in enumerate(text):
        used += width(character, size, bold)
        if used > limit:
            break
        following = text[index + 1 : index + 2]
        if character != _JOINER and following and _width(following) > 0.0:
            cut = index + 1
    return cut
