"""Asynchronous functions are not supported yet: importing their names says so."""

from __future__ import annotations

from pyflow_yarn.errors import NotYetSupportedError

_NAMES = frozenset({"AsyncDataStream", "AsyncRetryStrategy", "async_retry_predicates", "async_retry_strategies"})


def __getattr__(name: str) -> object:
    if name in _NAMES:
        raise NotYetSupportedError(f"Asynchronous functions ({name}) are not supported yet.")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
