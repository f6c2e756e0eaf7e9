"""Texts of configuration values and what they mean: durations, sizes, lists, maps and the like.

Every reader raises ``ValueError`` without a message of its own; the caller knows key, origin and what is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_TIME_UNITS = {
    **dict.fromkeys(("d", "day", "days"), 86_400_000_000_000),
    **dict.fromkeys(("h", "hour", "hours"), 3_600_000_000_000),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60_000_000_000),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1_000_000_000),
    **dict.fromkeys(("", "ms", "milli", "millis", "millisecond", "milliseconds"), 1_000_000),
    **dict.fromkeys(("us", "µs", "micro", "micros", "microsecond", "microseconds"), 1_000),
    **dict.fromkeys(("ns", "nano", "nanos", "nanosecond", "nanoseconds"), 1),
}
_SIZE_UNITS = {
    **dict.fromkeys(("", "b", "bytes"), 1),
    **dict.fromkeys(("k", "kb", "kibibytes"), 1024),
    **dict.fromkeys(("m", "mb", "mebibytes"), 1024**2),
    **dict.fromkeys(("g", "gb", "gibibytes"), 1024**3),
    **dict.fromkeys(("t", "tb", "tebibytes"), 1024**4),
}
_ISO_FORM = r"(?i)P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d{1,9})?)S)?)?"
_NUMBER_AND_UNIT = r"(\d+)\s*([a-zµ]*)"
MAX_LONG = 2**63 - 1


def parse_duration(text: str) -> int:
    """Milliseconds of ``10 s``, ``1min``, ``500ms``, ``PT10S`` or a bare number of milliseconds."""
    stripped = text.strip().lower()
    match = re.fullmatch(_NUMBER_AND_UNIT, stripped)
    if match is not None:
        unit = _TIME_UNITS.get(match[2])
        if unit is None:
            raise ValueError(text)
        milliseconds = int(match[1]) * unit // 1_000_000
    else:
        iso = re.fullmatch(_ISO_FORM, stripped)
        if iso is None or not any(iso.groups()):
            raise ValueError(text)
        days, hours, minutes = (int(group or 0) for group in iso.groups()[:3])
        whole, _, fraction = (iso[4] or "0").partition(".")
        milliseconds = ((days * 24 + hours) * 60 + minutes) * 60_000
        milliseconds += int(whole) * 1000 + int(fraction.ljust(3, "0")[:3])
    if milliseconds > MAX_LONG:
        raise ValueError(text)
    return milliseconds


def format_duration(milliseconds: int) -> str:
    """The shortest exact text of a duration, Flink's way: ``10 s``, ``1 min``, ``50 ms``."""
    for name, unit in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000)):
        if milliseconds and milliseconds % unit == 0:
            return f"{milliseconds // unit} {name}"
    return f"{milliseconds} ms"


def parse_size(text: str) -> int:
    """Bytes of ``64mb``, ``1 gb`` or a bare number of bytes; units count by 1024."""
    match = re.fullmatch(_NUMBER_AND_UNIT, text.strip().lower())
    unit = _SIZE_UNITS.get(match[2]) if match is not None else None
    if match is None or unit is None or int(match[1]) * unit > MAX_LONG:
        raise ValueError(text)
    return int(match[1]) * unit


def format_size(size: int) -> str:
    """The shortest exact text of a size: ``64 mb``, ``4096 bytes``."""
    for name, unit in (("tb", 1024**4), ("gb", 1024**3), ("mb", 1024**2), ("kb", 1024)):
        if size and size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size} bytes"


def parse_boolean(text: str) -> bool:
    """``true`` or ``false`` in any case."""
    lowered = text.strip().lower()
    if lowered not in ("true", "false"):
        raise ValueError(text)
    return lowered == "true"


def split_escaped(text: str, delimiter: str) -> list[str]:
    """Parts of ``text`` between delimiters; a part in single or double quotes may hold them, its quotes doubled."""
    parts: list[str] = []
    position = 0
    while position <= len(text):
        while position < len(text) and text[position] == " ":
            position += 1
        if position < len(text) and text[position] in "'\"":
            part, position = _quoted(text, position)
            while position < len(text) and text[position] == " ":
                position += 1
            if position < len(text) and text[position] != delimiter:
                raise ValueError(text)
            parts.append(part)
        else:
            end = text.find(delimiter, position)
            end = len(text) if end < 0 else end
            if part := text[position:end].strip():
                parts.append(part)
            position = end
        position += 1
    return parts


def _quoted(text: str, start: int) -> tuple[str, int]:
    """The content of the quoted part that begins at ``start``, and the position after it."""
    quote = text[start]
    content: list[str] = []
    position = start + 1
    while position < len(text):
        if text[position] == quote:
            if text[position + 1 : position + 2] != quote:
                return "".join(content), position + 1
            position += 1
        content.append(text[position])
        position += 1
    raise ValueError(text)


def escape(text: str, delimiters: str) -> str:
    """``text`` such that ``split_escaped`` gives it back whole."""
    if text and not any(character in text for character in (*delimiters, "'", '"')) and text == text.strip():
        return text
    return "'" + text.replace("'", "''") + "'"


def _flow_collection(text: str) -> object:
    """What YAML reads in ``[a, b]`` or ``{a: b}``."""
    import yaml

    try:
        return yaml.load(text, Loader=yaml.BaseLoader)
    except yaml.YAMLError:
        raise ValueError(text) from None


def parse_list(text: str) -> list[str]:
    """Elements of ``a;b`` or of a YAML list ``[a, b]``."""
    stripped = text.strip()
    if stripped.startswith("[") and stripped.endswith("]"):
        elements = _flow_collection(stripped)
        if isinstance(elements, list) and all(isinstance(element, str) for element in elements):
            return elements
        raise ValueError(text)
    return split_escaped(stripped, ";")


def format_list(elements: Iterable[str]) -> str:
    """The ``a;b`` form of a list."""
    return ";".join(escape(element, ";") for element in elements)


def parse_map(text: str) -> dict[str, str]:
    """Entries of ``k:v,k2:v2`` or of a YAML map ``{k: v}``."""
    stripped = text.strip()
    if stripped.startswith("{") and stripped.endswith("}"):
        entries = _flow_collection(stripped)
        if isinstance(entries, dict) and all(isinstance(value, str) for value in entries.values()):
            return entries
        raise ValueError(text)
    result: dict[str, str] = {}
    for entry in split_escaped(stripped, ","):
        pair = split_escaped(entry, ":")
        if len(pair) != 2:
            raise ValueError(text)
        result[pair[0]] = pair[1]
    return result


def format_map(entries: Mapping[str, str]) -> str:
    """The ``k:v,k2:v2`` form of a map."""
    return ",".join(escape(f"{escape(key, ':')}:{escape(value, ':')}", ",") for key, value in entries.items())
