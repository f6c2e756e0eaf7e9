"""Options that a program defines for itself."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from pyflow_yarn.configuration.config_option import ConfigOption, ValueType, boolean, integer, number, text

__all__ = ["ConfigOption", "ConfigOptions"]

T = TypeVar("T")


class ConfigOptions:
    """``ConfigOptions.key('my.key').int_type().default_value(5)`` makes a ``ConfigOption``."""

    @staticmethod
    def key(key: str) -> ConfigOptions.OptionBuilder:
        """Start the option of that key."""
        return ConfigOptions.OptionBuilder(key)

    class OptionBuilder:
        """Chooses the type."""

        def __init__(self, key: str) -> None:
            self._key = key

        def boolean_type(self) -> ConfigOptions.TypedConfigOptionBuilder[bool]:
            """True or false."""
            return ConfigOptions.TypedConfigOptionBuilder(self._key, boolean())

        def int_type(self) -> ConfigOptions.TypedConfigOptionBuilder[int]:
            """An integer of 32 bits."""
            return ConfigOptions.TypedConfigOptionBuilder(self._key, integer(-(2**31), 2**31 - 1))

        def long_type(self) -> ConfigOptions.TypedConfigOptionBuilder[int]:
            """An integer of 64 bits."""
            return ConfigOptions.TypedConfigOptionBuilder(self._key, integer(-(2**63), 2**63 - 1))

        def float_type(self) -> ConfigOptions.TypedConfigOptionBuilder[float]:
            """A number of single precision."""
            return ConfigOptions.TypedConfigOptionBuilder(self._key, number())

        def double_type(self) -> ConfigOptions.TypedConfigOptionBuilder[float]:
            """A number of double precision."""
            return ConfigOptions.TypedConfigOptionBuilder(self._key, number())

        def string_type(self) -> ConfigOptions.TypedConfigOptionBuilder[str]:
            """A text."""
            return ConfigOptions.TypedConfigOptionBuilder(self._key, text())

    class TypedConfigOptionBuilder(Generic[T]):
        """Chooses the default."""

        def __init__(self, key: str, type: ValueType[Any]) -> None:
            self._key = key
            self._type = type

        def default_value(self, value: T) -> ConfigOption[T]:
            """The option, with a default."""
            return ConfigOption(self._key, self._type, value, "")

        def no_default_value(self) -> ConfigOption[T | None]:
            """The option, without a default."""
            return ConfigOption(self._key, self._type, None, "")
