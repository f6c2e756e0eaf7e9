"""Every supported configuration key, under a constant named after it.

The name follows from the key: ``.`` and ``-`` become ``_``, camelCase is split, all in upper case:
``taskmanager.numberOfTaskSlots`` is ``TASKMANAGER_NUMBER_OF_TASK_SLOTS``.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

from pyflow_yarn.configuration.areas import execution, failover, jobmanager, python, rest, taskmanager, yarn
from pyflow_yarn.configuration.areas.execution import *  # noqa: F403
from pyflow_yarn.configuration.areas.failover import *  # noqa: F403
from pyflow_yarn.configuration.areas.jobmanager import *  # noqa: F403
from pyflow_yarn.configuration.areas.python import *  # noqa: F403
from pyflow_yarn.configuration.areas.rest import *  # noqa: F403
from pyflow_yarn.configuration.areas.taskmanager import *  # noqa: F403
from pyflow_yarn.configuration.areas.yarn import *  # noqa: F403
from pyflow_yarn.configuration.config_option import ConfigOption

AREAS: tuple[ModuleType, ...] = (execution, failover, jobmanager, taskmanager, yarn, rest, python)


def options_of(area: ModuleType) -> Iterator[tuple[str, ConfigOption[Any]]]:
    """Constant name and option of each key of an area, in the order of their declaration."""
    return ((name, value) for name, value in vars(area).items() if isinstance(value, ConfigOption))


OPTIONS: dict[str, ConfigOption[Any]] = {option.key: option for area in AREAS for _, option in options_of(area)}
_CANONICAL: dict[str, str] = {old: option.key for option in OPTIONS.values() for old in option.deprecated_keys}


def canonical_key(key: str) -> str:
    """The present name of a supported key given by an old one; any other key unchanged."""
    return _CANONICAL.get(key, key)


def names_of_option(key: str) -> tuple[str, ...]:
    """All names, present and old, of the option that ``key`` names."""
    option = OPTIONS.get(canonical_key(key))
    return (key,) if option is None else (option.key, *option.deprecated_keys)


def is_map(key: str) -> bool:
    """Whether the values of ``key`` are maps."""
    option = OPTIONS.get(canonical_key(key))
    return option is not None and option.type.name == "map"
