"""Where the configuration comes from: the configuration directory, the environment, overrides.

Later ones win: defaults < ``config.yaml`` < ``PYFLOW__a__b=value`` < overrides (``-D``, options of the command line).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pyflow_yarn.configuration.values import format_list, format_map
from pyflow_yarn.errors import ConfigurationError

CONFIG_FILE = "config.yaml"
LEGACY_CONFIG_FILE = "flink-conf.yaml"
ENVIRONMENT_PREFIX = "PYFLOW__"
COMMAND_LINE = "the command line"


class LoadedConfiguration(dict[str, str]):
    """An effective configuration that remembers in ``origins`` where each value came from."""

    def __init__(self) -> None:
        super().__init__()
        self.origins: dict[str, str] = {}

    def put(self, entries: Mapping[str, str], origin: str) -> None:
        """Let ``entries`` win over what is there."""
        from pyflow_yarn.configuration.options import names_of_option

        for key, value in entries.items():
            for name in names_of_option(key):
                if name != key and name not in entries:
                    self.pop(name, None)
                    self.origins.pop(name, None)
            self[key] = value
            self.origins[key] = origin


def load(
    conf_dir: Path | None,
    overrides: Mapping[str, str],
    environment: Mapping[str, str] | None = None,
    origin: str = COMMAND_LINE,
) -> LoadedConfiguration:
    """The effective configuration; ``environment`` is ``os.environ`` unless given. Every known key is checked."""
    configuration = LoadedConfiguration()
    if conf_dir is not None:
        for name, read in ((CONFIG_FILE, read_yaml), (LEGACY_CONFIG_FILE, read_legacy)):
            file = conf_dir / name
            if file.is_file():
                configuration.put(read(file), str(file))
                break
    for key, (value, variable) in environment_overrides(os.environ if environment is None else environment).items():
        configuration.put({key: value}, f"environment variable {variable}")
    configuration.put(overrides, origin)
    check_values(configuration)
    return configuration


def find_conf_dir(home: Path, environment: Mapping[str, str] | None = None) -> Path | None:
    """``FLINK_CONF_DIR`` (an error if it is missing), else ``conf`` of the installation, else None."""
    variables = os.environ if environment is None else environment
    named = variables.get("FLINK_CONF_DIR", "")
    if named:
        if not Path(named).is_dir():
            raise ConfigurationError(f"The configuration directory '{named}' named by FLINK_CONF_DIR does not exist.")
        return Path(named)
    return next((path for path in (home / "conf", Path("../conf"), Path("conf")) if path.is_dir()), None)


def environment_overrides(environment: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Keys set by variables such as ``PYFLOW__taskmanager__numberOfTaskSlots``, with value and variable.

    A ``-`` of a key may be written ``_``, because shells refuse it in names of variables.
    """
    from pyflow_yarn.configuration.options import OPTIONS

    spelled = {key.replace("-", "_"): key for key in OPTIONS}
    result: dict[str, tuple[str, str]] = {}
    for variable, value in sorted(environment.items()):
        if variable.startswith(ENVIRONMENT_PREFIX) and len(variable) > len(ENVIRONMENT_PREFIX):
            key = variable.removeprefix(ENVIRONMENT_PREFIX).replace("__", ".")
            result[spelled.get(key.replace("-", "_"), key)] = (value, variable)
    return result


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{file} is not UTF-8 text (byte {error.start}).") from None


def read_yaml(file: Path) -> dict[str, str]:
    """The entries of a ``config.yaml``: nested maps or dotted keys; a duplicate key is an error."""
    content = _read_text(file)
    if not any(line.strip() and not line.lstrip().startswith("#") for line in content.splitlines()):
        return {}
    import yaml

    from pyflow_yarn.configuration.yaml_loader import UniqueKeyLoader

    try:
        document = yaml.load(content, Loader=UniqueKeyLoader)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigurationError(f"{file}{line} is not valid YAML: {error.problem or error}.") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        first_line = str(error).splitlines()[0]
        raise ConfigurationError(f"{file} is not valid YAML: {first_line}.") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigurationError(f"{file} must hold keys and values such as 'parallelism.default: 2'.")
    result: dict[str, str] = {}
    for key, value in _flatten(document, ""):
        if key in result:
            raise ConfigurationError(f"{file} has the key '{key}' twice: once nested and once dotted, or so.")
        result[key] = value
    return result


def _flatten(document: dict[Any, Any], prefix: str) -> Iterator[tuple[str, str]]:
    from pyflow_yarn.configuration.options import is_map

    for name, value in document.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and is_map(key) and not any(isinstance(entry, dict) for entry in value.values()):
            yield key, _scalar(value)
        elif isinstance(value, dict):
            yield from _flatten(value, f"{key}.")
        elif value is not None and value != "":
            yield key, _scalar(value)


def _scalar(value: Any) -> str:
    """The text of a YAML value that is not a map of keys."""
    if isinstance(value, list):
        return format_list(_scalar(element) for element in value)
    if isinstance(value, dict):
        return format_map({str(key): _scalar(entry) for key, entry in value.items()})
    return "" if value is None else str(value)


def read_legacy(file: Path) -> dict[str, str]:
    """The entries of a ``flink-conf.yaml`` of the 1.x releases: one ``key: value`` a line, others are skipped."""
    result: dict[str, str] = {}
    for line in _read_text(file).splitlines():
        entry = line.split("#", 1)[0].strip()
        key, separator, value = entry.partition(": ")
        if separator and key.strip() and value.strip():
            result[key.strip()] = value.strip()
    return result


def check_values(configuration: Mapping[str, str]) -> None:
    """``ConfigurationError`` for the first supported key whose value does not fit its type."""
    from pyflow_yarn.configuration.options import OPTIONS, canonical_key

    for key in configuration:
        option = OPTIONS.get(canonical_key(key))
        if option is not None:
            option.parse(configuration[key], key=key, origin=getattr(configuration, "origins", {}).get(key, ""))


def check_keys(configuration: Mapping[str, str]) -> list[str]:
    """One sentence for each key that nobody knows, with the nearest known ones."""
    from pyflow_yarn.configuration.options import OPTIONS, canonical_key

    unsupported = [key for key in configuration if canonical_key(key) not in OPTIONS]
    if not unsupported:
        return []
    from pyflow_yarn.configuration.reference_keys import has_free_suffix, is_reference_key

    origins: Mapping[str, str] = getattr(configuration, "origins", {})
    warnings: list[str] = []
    for key in unsupported:
        if not is_reference_key(key) and not has_free_suffix(key):
            source = f" (from {origins[key]})" if key in origins else ""
            warnings.append(f"Unknown configuration key '{key}'{source}{did_you_mean(key) or '.'}")
    return warnings


def did_you_mean(key: str) -> str:
    """``: did you mean 'x'?``, or an empty text when nothing is near."""
    import difflib

    from pyflow_yarn.configuration.options import OPTIONS
    from pyflow_yarn.configuration.reference_keys import REFERENCE_KEYS

    lowered = {candidate.lower(): candidate for candidate in (*sorted(REFERENCE_KEYS), *OPTIONS)}
    near = [lowered[match] for match in difflib.get_close_matches(key.lower(), lowered, n=3, cutoff=0.8)]
    return ": did you mean " + " or ".join(f"'{match}'" for match in near) + "?" if near else ""
