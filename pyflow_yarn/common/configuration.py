"""``Configuration``: keys and values that a program sets."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import Any, TypeVar

from pyflow_yarn.common.type_text import java_double
from pyflow_yarn.configuration.config_option import ConfigOption, boolean, integer, number, redact
from pyflow_yarn.errors import ConfigurationError

__all__ = ["Configuration"]

T = TypeVar("T")
_INTEGER, _NUMBER, _BOOLEAN = integer(), number(), boolean()


class Configuration:
    """Keys and values; ``to_dict`` gives the texts that travel with a job."""

    def __init__(self, other: Configuration | None = None) -> None:
        self._values: dict[str, Any] = dict(other._values) if other is not None else {}

    @staticmethod
    def from_dict(entries: Mapping[str, str]) -> Configuration:
        """A configuration with these entries."""
        configuration = Configuration()
        configuration._values.update(entries)
        return configuration

    def _typed(self, key: str, default: Any, option: ConfigOption[Any]) -> Any:
        if key not in self._values:
            return default
        return option.read({key: _text(self._values[key])})

    def get(self, option: ConfigOption[T], default_value: T | None = None) -> T | None:
        """The typed value of an option, else ``default_value``, else the option's own default."""
        texts = {key: _text(value) for key, value in self._values.items()}
        if option.is_set(texts) or default_value is None:
            return option.read(texts)
        return default_value

    def set(self, option: ConfigOption[T], value: T) -> Configuration:
        """Set an option."""
        self._values[option.key] = option.format(value)
        return self

    def get_string(self, key: str, default_value: str) -> str:
        """The text of ``key``."""
        return _text(self._values[key]) if key in self._values else default_value

    def set_string(self, key: str, value: str) -> Configuration:
        """Set ``key`` to a text."""
        return self._put(key, value, str)

    def get_integer(self, key: str, default_value: int) -> int:
        """The whole number of ``key``."""
        return self._typed(key, default_value, ConfigOption(key, _INTEGER, 0, ""))  # type: ignore[no-any-return]

    def set_integer(self, key: str, value: int) -> Configuration:
        """Set ``key`` to a whole number."""
        return self._put(key, value, int)

    def get_boolean(self, key: str, default_value: bool) -> bool:
        """The truth value of ``key``."""
        return self._typed(key, default_value, ConfigOption(key, _BOOLEAN, False, ""))  # type: ignore[no-any-return]

    def set_boolean(self, key: str, value: bool) -> Configuration:
        """Set ``key`` to a truth value."""
        return self._put(key, value, bool)

    def get_float(self, key: str, default_value: float) -> float:
        """The number of ``key``."""
        return self._typed(key, float(default_value), ConfigOption(key, _NUMBER, 0.0, ""))  # type: ignore[no-any-return]

    def set_float(self, key: str, value: float) -> Configuration:
        """Set ``key`` to a number."""
        return self._put(key, float(value), float)

    def get_bytearray(self, key: str, default_value: bytearray) -> bytearray:
        """The bytes of ``key``."""
        value = self._values.get(key, default_value)
        if not isinstance(value, bytearray):
            raise ConfigurationError(f"The value of {key} is not a bytearray but '{value}'.")
        return bytearray(value)

    def set_bytearray(self, key: str, value: bytearray) -> Configuration:
        """Set ``key`` to bytes."""
        return self._put(key, bytearray(value), bytearray)

    def _put(self, key: str, value: Any, expected: type) -> Configuration:
        if not isinstance(value, expected):
            raise ConfigurationError(f"The value of {key} must be of type {expected.__name__}, not {value!r}.")
        self._values[key] = value
        return self

    def key_set(self) -> builtins.set[str]:
        """All keys."""
        return set(self._values)

    def add_all_to_dict(self, target_dict: dict[str, Any]) -> None:
        """Put all entries, with the types they were set with, into a dict."""
        target_dict.update(self._values)

    def add_all(self, other: Configuration, prefix: str | None = None) -> Configuration:
        """Take over all entries of another configuration, ``prefix`` in front of their keys."""
        self._values.update({f"{prefix or ''}{key}": value for key, value in other._values.items()})
        return self

    def contains_key(self, key: str) -> bool:
        """Whether ``key`` is set."""
        return key in self._values

    def to_dict(self) -> dict[str, str]:
        """All entries as texts."""
        return {key: _text(value) for key, value in self._values.items()}

    def remove_config(self, key: str) -> bool:
        """Remove ``key``; whether it was set."""
        return self._values.pop(key, None) is not None

    def __copy__(self) -> Configuration:
        return Configuration(self)

    def __deepcopy__(self, memodict: dict[int, Any] | None = None) -> Configuration:
        return Configuration(self)

    def __hash__(self) -> int:
        return hash(frozenset(self.to_dict().items()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Configuration) and self._values == other._values

    def __str__(self) -> str:
        entries = redact(self.to_dict())
        return "{" + ", ".join(f"{key}={entries[key]}" for key in sorted(entries)) + "}"


def _text(value: Any) -> str:
    """The text of a value as it was set."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return java_double(value)
    if isinstance(value, bytearray):
        return value.hex()
    return str(value)
