"""Modules of the reference system that have nothing in them yet: importing a name from one says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from pyflow_yarn.errors import NotYetSupportedError


def not_yet(feature: str, advice: str = "") -> NoReturn:
    """Refuse what the reference system has and this version has not: ``Windows are`` not supported yet."""
    raise NotYetSupportedError(f"{feature} not supported yet{advice and ': ' + advice}.")


def names_not_yet(module: str, feature: str, advice: str = "") -> Callable[[str], object]:
    """A ``__getattr__`` for such a module; ``feature`` as in ``not_yet``, with ``{}`` for the name."""

    def refuse(name: str) -> object:
        if name.startswith("_"):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        not_yet(feature.format(name), advice)

    return refuse
