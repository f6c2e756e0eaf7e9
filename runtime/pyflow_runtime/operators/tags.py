"""Whether an operator may yield records with tags: only then are its records looked at one by one."""

from __future__ import annotations

import sys
from typing import Any

from pyflow_yarn.datastream.output_tag import OutputTag


def may_yield_tags(has_sides: bool, pickled: bytes, function: Any) -> bool:
    """Whether somebody takes a side output, or the function knows of a tag.

    A function that travelled by value names the class in its pickle; of one that was imported the module is searched.
    """
    return has_sides or OutputTag.__name__.encode() in pickled or _knows_tags(type(function).__module__)


def _knows_tags(module: str) -> bool:
    names = vars(sys.modules[module]).values() if module in sys.modules else ()
    return any(value is OutputTag or isinstance(value, OutputTag) for value in names)
