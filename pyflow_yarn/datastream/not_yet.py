"""What the reference system has and this version has not: it can be imported, and says so when it is used."""

from __future__ import annotations

from typing import Any, NoReturn

from pyflow_yarn.errors import NotYetSupportedError


def not_yet(feature: str, advice: str = "") -> NoReturn:
    """Refuse what is missing; ``feature`` begins a sentence that "not supported yet" ends."""
    raise NotYetSupportedError(f"{feature} not supported yet{advice and ': ' + advice}.")


class Missing(type):
    """The class of classes that are missing: making an instance or calling a method of theirs is refused."""

    feature: str

    def __call__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        not_yet(cls.feature)

    def __getattr__(cls, name: str) -> NoReturn:
        if name.startswith("_"):
            raise AttributeError(f"type object {cls.__name__!r} has no attribute {name!r}")
        not_yet(cls.feature)


def missing(module: str, name: str, names: frozenset[str], feature: str) -> Missing:
    """For a module's ``__getattr__``: the missing class of that name; ``feature`` as in ``not_yet``, with ``{}``."""
    if name not in names:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    return Missing(name, (), {"__module__": module, "feature": feature.format(name)})
