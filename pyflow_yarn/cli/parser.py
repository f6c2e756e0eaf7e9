"""Flink's command-line grammar (that of Apache Commons CLI), which no Python library offers: see docs/adr.

- ``-py x``, ``--python x``, ``--python=x``, ``-python x``: long names work with one dash, and may be
  abbreviated while they stay unambiguous;
- ``-p4``, ``-p=4``, ``-rs`` (flags in one word), ``-Dk=v``, ``-D k=v``, ``-Dk``;
- ``--`` ends the options; an action that takes a program stops at the first word that is no option of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pyflow_yarn.cli.options import UNLIMITED, Option


class ArgumentError(Exception):
    """The command line is wrong; the message is the line that the user reads on stdout."""


class CommandLine:
    """A parsed command line: the values of each option by short name, and what is left."""

    def __init__(self) -> None:
        self.values: dict[str, list[str]] = {}
        self.arguments: list[str] = []
        self.order: list[Option] = []

    def has(self, option: Option) -> bool:
        """Whether the option was given."""
        return option.name in self.values

    def value(self, option: Option) -> str | None:
        """The first value of the option, None if it has none."""
        values = self.values.get(option.name)
        return values[0] if values else None

    def properties(self, option: Option) -> dict[str, str]:
        """The pairs of a ``-D`` option; a key without a value means true."""
        pairs: dict[str, str] = {}
        for text in self.values.get(option.name, ()):
            key, separator, value = text.partition("=")
            pairs[key] = value if separator else "true"
        return pairs


class _Parser:
    def __init__(self, options: Iterable[Option], stop_at_non_option: bool) -> None:
        self.short: dict[str, Option] = {}
        self.long: dict[str, Option] = {}
        for option in options:
            self.short.setdefault(option.short, option)
            self.long.setdefault(option.long, option)
        self.stop_at_non_option = stop_at_non_option
        self.line = CommandLine()
        self.pending: Option | None = None
        self.taken = 0
        self.rest = False

    def parse(self, words: Sequence[str]) -> CommandLine:
        for word in words:
            self.word(word)
        self.close()
        return self.line

    def word(self, word: str) -> None:
        if self.rest:
            self.line.arguments.append(word)
        elif word == "--":
            self.rest = True
        elif self.pending is not None and self.accepts(word) and not self.is_option(word):
            self.add(word)
        elif word.startswith("--"):
            self.long_option(word)
        elif word.startswith("-") and len(word) > 1:
            self.dashed(word)
        else:
            self.unknown(word)
        if self.pending is not None and not self.accepts():
            self.pending = None

    # -- what a word is --

    def is_option(self, word: str) -> bool:
        """Whether a word after an option that takes a value is itself an option (a negative number is not)."""
        if not word.startswith("-") or len(word) < 2:
            return False
        try:
            float(word)
            return False
        except ValueError:
            pass
        name = word.lstrip("-").partition("=")[0]
        if self.matching(name):
            return True
        return not word.startswith("--") and (name in self.short or name[:1] in self.short)

    def matching(self, name: str) -> list[Option]:
        """The options with that long name, or with long names that begin with it."""
        if not name:
            return []
        if name in self.long:
            return [self.long[name]]
        return [option for long, option in self.long.items() if long.startswith(name)]

    # -- consuming --

    def accepts(self, word: str = "") -> bool:
        option = self.pending
        if option is None or (option.not_value and word.endswith(option.not_value)):
            return False
        return option.arguments == UNLIMITED or self.taken < min(option.arguments, 1)

    def begin(self, option: Option) -> None:
        self.close()
        self.line.values.setdefault(option.name, [])
        self.line.order.append(option)
        self.pending = option if option.arguments else None
        self.taken = 0

    def add(self, value: str) -> None:
        assert self.pending is not None
        if len(value) > 1 and value[0] == value[-1] == '"':
            value = value[1:-1]
        if (choices := self.pending.choices) and value.lower() not in choices:
            allowed = ", ".join(choices)
            raise ArgumentError(f"'{value}' is not a valid value of -{self.pending.short}: allowed are {allowed}.")
        self.line.values[self.pending.name].append(value)
        self.taken += 1

    def close(self) -> None:
        """Nothing more comes for the pending option."""
        option = self.pending
        if option is not None and not self.taken and not option.optional:
            raise ArgumentError(f"Missing argument for option: {option.short}")
        self.pending = None

    def unknown(self, word: str) -> None:
        if word.startswith("-") and len(word) > 1 and not self.stop_at_non_option:
            raise ArgumentError(f"Unrecognized option: {word}")
        self.close()
        self.line.arguments.append(word)
        if self.stop_at_non_option:
            self.rest = True

    def long_option(self, word: str) -> None:
        name, separator, value = word.lstrip("-").partition("=")
        candidates = self.matching(name)
        if not candidates:
            self.unknown(word)
        elif len(candidates) > 1:
            names = ", ".join(f"'{option.long}'" for option in candidates)
            raise ArgumentError(f"Ambiguous option: '{word}'  (could be: {names})")
        elif separator and not candidates[0].arguments:
            self.unknown(word)
        else:
            self.begin(candidates[0])
            if separator:
                self.add(value)

    def dashed(self, word: str) -> None:
        text = word[1:]
        name, separator, value = text.partition("=")
        if name in self.short and not separator:
            self.begin(self.short[name])
        elif name in self.short and self.short[name].arguments:
            self.begin(self.short[name])
            self.add(value)
        elif (long_prefix := self.property_prefix(text)) is not None:
            self.begin(long_prefix)
            self.add(text[len(long_prefix.short) :])
        elif self.matching(name):
            self.long_option(word)
        else:
            self.concatenated(word)

    def property_prefix(self, text: str) -> Option | None:
        """The option of ``-Dkey=value`` or ``-yDkey=value``."""
        for length in (2, 1):
            option = self.short.get(text[:length])
            if option is not None and option.arguments == 2 and len(text) > length:
                return option
        return None

    def concatenated(self, word: str) -> None:
        """Flags in one word (``-rs``), the last of which may have its value attached (``-p4``)."""
        for position in range(1, len(word)):
            option = self.short.get(word[position])
            if option is None:
                self.unknown(word if position == 1 else word[position:])
                return
            self.begin(option)
            if self.pending is not None and position + 1 < len(word):
                self.add(word[position + 1 :])
                return


def parse(options: Iterable[Option], words: Sequence[str], stop_at_non_option: bool) -> CommandLine:
    """Parse the words after the action; ``ArgumentError`` tells what is wrong with them."""
    return _Parser(options, stop_at_non_option).parse(words)
