"""``ConfigOption``: a configuration key with its type, default, description and old names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from pyflow_yarn.configuration import values
from pyflow_yarn.errors import ConfigurationError

T = TypeVar("T")


class ValueType(Generic[T]):
    """How values of one type are read and written; ``allowed`` ends the sentence "allowed is ..."."""

    __slots__ = ("allowed", "format", "name", "parse")

    def __init__(self, name: str, allowed: str, parse: Callable[[str], T], format: Callable[[T], str] = str) -> None:
        self.name = name
        self.allowed = allowed
        self.parse = parse
        self.format = format


class ConfigOption(Generic[T]):
    """One key of the configuration. Values are texts in a mapping; ``read`` gives the typed value."""

    __slots__ = ("default", "deprecated_keys", "description", "key", "type")

    def __init__(
        self, key: str, type: ValueType[Any], default: T, description: str, deprecated_keys: tuple[str, ...] = ()
    ) -> None:
        self.key = key
        self.type = type
        self.default = default
        self.description = description
        self.deprecated_keys = deprecated_keys

    def __repr__(self) -> str:
        return f"ConfigOption({self.key!r})"

    def used_key(self, mapping: Mapping[str, str]) -> str | None:
        """The name under which ``mapping`` has this option: the key itself, else an old one, else None."""
        if self.key in mapping:
            return self.key
        return next((key for key in self.deprecated_keys if key in mapping), None)

    def is_set(self, mapping: Mapping[str, str]) -> bool:
        """Whether ``mapping`` says anything about this option."""
        return self.used_key(mapping) is not None

    def read(self, mapping: Mapping[str, str]) -> T:
        """The typed value, or the default; ``ConfigurationError`` when the text does not fit the type."""
        key = self.used_key(mapping)
        value = (
            self.default
            if key is None
            else self.parse(mapping[key], key=key, origin=getattr(mapping, "origins", {}).get(key, ""))
        )
        return self._with_entries(value, mapping) if self.type.name == "map" else value

    def _with_entries(self, value: Any, mapping: Mapping[str, str]) -> T:
        """A map may be given by one key for each entry, too: ``pipeline.global-job-parameters.color: red``."""
        start = f"{self.key}."
        entries = {key.removeprefix(start): text for key, text in mapping.items() if key.startswith(start)}
        merged: Any = {**(value or {}), **entries} if entries else value
        result: T = merged
        return result

    def parse(self, text: str, key: str = "", origin: str = "") -> T:
        """The typed value of ``text``; the error names the key, the value, its origin and what is allowed."""
        try:
            value: T = self.type.parse(text)
        except (ValueError, OverflowError):
            source = f" (from {origin})" if origin else ""
            raise ConfigurationError(
                f"'{shown_value(self.key, text)}' is not a valid value of {key or self.key}{source}:"
                f" allowed is {self.type.allowed}."
            ) from None
        return value

    def format(self, value: T) -> str:
        """The text of a typed value, such that ``parse`` gives it back."""
        return self.type.format(value)

    @property
    def default_text(self) -> str | None:
        """The default as a text, or None when there is none."""
        return None if self.default is None else self.format(self.default)


SECRET_FRAGMENTS = (
    "password",
    "secret",
    "fs.azure.account.key",
    "apikey",
    "api-key",
    "auth-params",
    "service-key",
    "token",
    "basic-auth",
    "jaas.config",
    "http-headers",
)
HIDDEN = "******"


def is_secret(key: str) -> bool:
    """Whether the values of this key are never shown."""
    lowered = key.lower()
    return any(fragment in lowered for fragment in SECRET_FRAGMENTS)


def shown_value(key: str, value: str) -> str:
    """``value`` as logs, REST and UI may show it."""
    return HIDDEN if is_secret(key) else value


def redact(mapping: Mapping[str, str]) -> dict[str, str]:
    """A copy of ``mapping`` in which secrets are hidden."""
    return {key: shown_value(key, value) for key, value in mapping.items()}


def _integer(minimum: int | None, maximum: int | None) -> Callable[[str], int]:
    def parse(text: str) -> int:
        stripped = text.strip()
        if not stripped.lstrip("+-").isdecimal() or not stripped.isascii():
            raise ValueError(text)
        number = int(stripped)
        if (minimum is not None and number < minimum) or (maximum is not None and number > maximum):
            raise ValueError(text)
        return number

    return parse


def _number(minimum: float | None, maximum: float | None) -> Callable[[str], float]:
    def parse(text: str) -> float:
        number = float(text)
        if number != number or (minimum is not None and number < minimum) or (maximum is not None and number > maximum):
            raise ValueError(text)
        return number

    return parse


def _bounds(noun: str, minimum: float | None, maximum: float | None) -> str:
    if minimum is not None and maximum is not None:
        return f"{noun} from {minimum} to {maximum}"
    if minimum is not None:
        return f"{noun} of at least {minimum}"
    return noun if maximum is None else f"{noun} of at most {maximum}"


def text() -> ValueType[str]:
    """Any text."""
    return ValueType("string", "any text", str)


def choice(*allowed: str, aliases: Mapping[str, str] | None = None) -> ValueType[str]:
    """One of some words in any case; reading gives the spelling declared here."""
    by_lower = {word.lower(): word for word in allowed} | dict(aliases or {})

    def parse(text: str) -> str:
        try:
            return by_lower[text.strip().lower()]
        except KeyError:
            raise ValueError(text) from None

    words = f"{', '.join(allowed[:-1])} or {allowed[-1]}" if len(allowed) > 1 else allowed[0]
    return ValueType("enum", words, parse)


def integer(minimum: int | None = None, maximum: int | None = None) -> ValueType[int]:
    """A whole number within bounds."""
    return ValueType("integer", _bounds("a whole number", minimum, maximum), _integer(minimum, maximum))


def number(minimum: float | None = None, maximum: float | None = None) -> ValueType[float]:
    """A number within bounds."""
    return ValueType("float", _bounds("a number", minimum, maximum), _number(minimum, maximum))


def boolean() -> ValueType[bool]:
    """True or false."""
    return ValueType("boolean", "true or false", values.parse_boolean, lambda value: str(value).lower())


def duration(minimum: int = 0) -> ValueType[int]:
    """A duration, read as milliseconds."""

    def parse(text: str) -> int:
        milliseconds = values.parse_duration(text)
        if milliseconds < minimum:
            raise ValueError(text)
        return milliseconds

    bound = f" of at least {values.format_duration(minimum)}" if minimum else ""
    return ValueType("duration", f"a duration{bound} such as '10 s', '500 ms' or 'PT1M'", parse, values.format_duration)


def size(minimum: int = 0) -> ValueType[int]:
    """A size, read as bytes."""

    def parse(text: str) -> int:
        amount = values.parse_size(text)
        if amount < minimum:
            raise ValueError(text)
        return amount

    bound = f" of at least {values.format_size(minimum)}" if minimum else ""
    return ValueType("size", f"a size{bound} such as '64 mb', '1 gb' or '4096 bytes'", parse, values.format_size)


def string_list() -> ValueType[list[str]]:
    """A list of texts."""
    return ValueType("list", "a list such as 'a;b' or '[a, b]'", values.parse_list, values.format_list)


def string_map() -> ValueType[dict[str, str]]:
    """A map of text to text."""
    return ValueType("map", "a map such as 'key1:value1,key2:value2'", values.parse_map, values.format_map)


def ports() -> ValueType[str]:
    """A port, a range of ports or a list of both."""

    def parse(text: str) -> str:
        for part in text.split(","):
            first, dash, last = part.strip().partition("-")
            bounds = [_integer(0, 65535)(end) for end in ((first, last) if dash else (first,))]
            if bounds != sorted(bounds):
                raise ValueError(text)
        return text.strip()

    return ValueType("ports", "a port such as '8081', a range such as '50100-50200', or a list of them", parse)
