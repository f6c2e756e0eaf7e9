"""Hadoop's configuration files: properties in XML, whose values may refer to others."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

from pyflow_yarn.errors import ConfigurationError

_REFERENCE = re.compile(r"\$\{([^}$\s]+)\}")
_NESTING = 20


class HadoopProperties:
    """Those of some files in a folder, as far as they are there; what a later one says counts."""

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        self._values: dict[str, str] = {}
        for name in names:
            if (file := folder / name).is_file():
                self._values |= _read(file)

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def get(self, key: str, default: str = "") -> str:
        """The property's value, with what it refers to put in."""
        value = self._values.get(key, default)
        for _ in range(_NESTING):
            replaced = _REFERENCE.sub(lambda found: self._values.get(found[1], found[0]), value)
            if replaced == value:
                break
            value = replaced
        return value


def read_xml(file: Path) -> ElementTree.Element:
    """The root of a file; ``ConfigurationError`` if it cannot be read."""
    try:
        return ElementTree.parse(file).getroot()
    except (OSError, ElementTree.ParseError) as failure:
        raise ConfigurationError(f"The Hadoop configuration {file} cannot be read: {failure}.") from None


def _read(file: Path) -> dict[str, str]:
    found = {}
    for one in read_xml(file).iter("property"):
        if name := (one.findtext("name") or "").strip():
            found[name] = (one.findtext("value") or "").strip()
    return found
