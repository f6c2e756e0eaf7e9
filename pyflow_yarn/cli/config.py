"""``flink config``: the effective configuration and where each value comes from.

But for hidden secrets the output is what ``config.yaml`` would say; origins are comments.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pyflow_yarn.cli.flavours import flavour_configuration
from pyflow_yarn.cli.options import ALL_KEYS, SHOW_ORIGIN
from pyflow_yarn.cli.parser import CommandLine
from pyflow_yarn.client.configuration import configuration_directory, warn, warn_about
from pyflow_yarn.configuration.config_option import HIDDEN, is_secret
from pyflow_yarn.configuration.loading import (
    CONFIG_FILE,
    LEGACY_CONFIG_FILE,
    LoadedConfiguration,
    did_you_mean,
    load,
)
from pyflow_yarn.configuration.options import OPTIONS, canonical_key, is_map
from pyflow_yarn.errors import PyflowError

EXIT_OK = 0
EXIT_ERROR = 1
DEFAULT = "default"
NOT_SET = "not set"
INTERNAL = "$internal."
LAST_COLUMN = 60
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"}


class Entry(NamedTuple):
    """A key, the text of its value (None: it has none), and where that comes from."""

    key: str
    value: str | None
    origin: str


def config(line: CommandLine) -> int:
    """``flink config``."""
    try:
        directory = configuration_directory()
        flavoured, warnings = flavour_configuration(line, load(directory, {}))
        configuration = load(directory, flavoured)
    except PyflowError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_ERROR
    shows_origin = line.has(SHOW_ORIGIN)
    entries = _set_entries(configuration, directory if shows_origin else None)
    unknown: list[str] = []
    if line.arguments:
        entries, unknown = _named(line.arguments, entries)
    elif line.has(ALL_KEYS):
        entries = sorted([*entries, *_unset_entries(entries)])
    for key in unknown:
        hint = did_you_mean(key) or ". All keys: flink config --all"
        sys.stderr.write(f"Unknown configuration key '{key}'{hint}\n")
    if unknown:
        return EXIT_ERROR
    for sentence in warnings:
        warn(sentence)
    warn_about(configuration)
    sys.stdout.write("".join(f"{text}\n" for text in _texts(entries, shows_origin)))
    return EXIT_OK


def _set_entries(configuration: LoadedConfiguration, directory: Path | None) -> list[Entry]:
    """What is set, by key; origins that are files of ``directory`` get the line."""
    lines = {} if directory is None else _lines(directory, configuration)
    entries = []
    for name, value in configuration.items():
        key = canonical_key(name)
        if key in OPTIONS and OPTIONS[key].used_key(configuration) != name:
            continue  # an old name beside the present one says nothing
        origin = configuration.origins[name]
        origin = lines.get((origin, name), origin)
        entries.append(Entry(key, value, origin if key == name else f"{origin}, as {name}"))
    return sorted(entries)


def _lines(directory: Path, configuration: LoadedConfiguration) -> dict[tuple[str, str], str]:
    """``file:line`` for each pair of a file of that directory and a key that comes from it."""
    from pyflow_yarn.configuration.key_lines import key_lines

    files = [directory / name for name in (CONFIG_FILE, LEGACY_CONFIG_FILE)]
    used = [file for file in files if str(file) in configuration.origins.values()]
    return {(str(file), key): f"{file}:{line}" for file in used for key, line in key_lines(file).items()}


def _unset_entries(entries: Iterable[Entry]) -> Iterator[Entry]:
    """The supported keys that say nothing, with their defaults."""
    known = {entry.key for entry in entries}
    for key, option in OPTIONS.items():
        by_entry = is_map(key) and any(name.startswith(f"{key}.") for name in known)
        if key not in known and not by_entry and not key.startswith(INTERNAL):
            default = option.default_text
            yield Entry(key, default, NOT_SET if default is None else DEFAULT)


def _named(names: Iterable[str], entries: list[Entry]) -> tuple[list[Entry], list[str]]:
    """The entries that the command line asks for, in its order, and the names that nobody knows."""
    from pyflow_yarn.configuration.reference_keys import has_free_suffix, is_reference_key

    everything = {entry.key: entry for entry in (*_unset_entries(entries), *entries)}
    found: list[Entry] = []
    unknown: list[str] = []
    for name in dict.fromkeys(names):
        key = canonical_key(name)
        if key in everything:
            found.append(everything[key])
        elif is_map(key):
            found += [entry for entry in entries if entry.key.startswith(f"{key}.")]
        elif is_reference_key(key) or has_free_suffix(key):
            found.append(Entry(key, None, NOT_SET))
        else:
            unknown.append(name)
    return found, unknown


def _texts(entries: Iterable[Entry], shows_origin: bool) -> Iterator[str]:
    texts = [(_yaml_text(entry), entry.origin) for entry in entries]
    if not shows_origin:
        yield from (text for text, _ in texts)
        return
    column = max((len(text) for text, _ in texts if len(text) <= LAST_COLUMN), default=0)
    for text, origin in texts:
        yield f"{text.ljust(column)}  # {_escaped(origin)}"


def _yaml_text(entry: Entry) -> str:
    """``key: value``, in quotes where the reader of the configuration file would otherwise read something else."""
    key = entry.key if _reads_as(f"{entry.key}: x", {entry.key: "x"}) else f'"{_escaped(entry.key)}"'
    if entry.value is None or is_secret(entry.key):
        return f"{key}:" if entry.value is None else f"{key}: {HIDDEN}"
    plain = f"{key}: {entry.value}"
    return plain if _reads_as(plain, {entry.key: entry.value}) else f'{key}: "{_escaped(entry.value)}"'


def _reads_as(text: str, meaning: dict[str, str]) -> bool:
    import yaml

    from pyflow_yarn.configuration.yaml_loader import UniqueKeyLoader

    try:
        return text.isprintable() and bool(yaml.load(text, Loader=UniqueKeyLoader) == meaning)
    except yaml.YAMLError:
        return False


def _escaped(text: str) -> str:
    """As between the double quotes of YAML."""
    return "".join(_ESCAPES.get(character) or _printable(character) for character in text)


def _printable(character: str) -> str:
    if character.isprintable():
        return character
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"
