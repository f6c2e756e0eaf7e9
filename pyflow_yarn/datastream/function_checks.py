"""Refuses what is no function where it is given, in PyFlink's words."""

from __future__ import annotations

from pyflow_yarn.datastream.functions import Function, KeySelector


def check_function(function: object, base: type[Function], message: str) -> None:
    """``TypeError`` unless it is callable or an instance of ``base``."""
    if isinstance(function, type) and issubclass(function, Function):
        raise TypeError(f"{message}, not a class: pass an instance, {function.__name__}().")
    if not isinstance(function, base) and not callable(function):
        raise TypeError(message)


def check_key_selector(key_selector: object) -> None:
    """``TypeError`` unless it can select keys."""
    check_function(
        key_selector, KeySelector, "Parameter key_selector should be type of KeySelector or a callable function."
    )
