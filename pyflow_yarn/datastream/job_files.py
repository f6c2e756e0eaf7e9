"""The files that travel with a job, from the configuration keys that name them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping

from pyflow_yarn.configuration import options
from pyflow_yarn.configuration.values import format_list, format_map, parse_map
from pyflow_yarn.datastream.execution import JobFile
from pyflow_yarn.datastream.local_paths import local_path
from pyflow_yarn.errors import UserError
from pyflow_yarn.graph.job_graph import ArtifactKind

TARGET_SEPARATOR = "#"
REQUIREMENTS_CACHE = "requirements-cache"

_warned: set[str] = set()


def prepend(present: str, entry: str) -> str:
    """A list of files with one more in front."""
    return f"{entry},{present}" if present else entry


def append(present: str, entry: str, separator: str = ",") -> str:
    """A list of files with one more at its end."""
    return f"{present}{separator}{entry}" if present else entry


def cached_file_entry(name: str, path: str) -> str:
    """An entry of ``pipeline.cached-files``."""
    return format_list([format_map({"name": name, "path": path})])


def warn_about_jars(call: str) -> None:
    """Say once per call on standard error that jars have no use here."""
    if call not in _warned:
        _warned.add(call)
        sys.stderr.write(f"Warning: {call} is ignored: pyflow-yarn runs no JVM, its connectors need no jars.\n")


def files_of(configuration: Mapping[str, str]) -> tuple[JobFile, ...]:
    """What a job's configuration names; ``UserError`` for a file that is missing or cannot be read.

    A requirements file has the target "", the directory of packages to install from ``REQUIREMENTS_CACHE``.
    """
    return tuple(dict.fromkeys(_files(configuration)))


def _files(configuration: Mapping[str, str]) -> Iterator[JobFile]:
    for entry in _entries(options.PYTHON_FILES.read(configuration)):
        path = _existing(entry, "the Python file")
        yield JobFile(ArtifactKind.PYTHON_FILE, path, os.path.basename(path))
    for entry in _entries(options.PYTHON_ARCHIVES.read(configuration)):
        archive, _, target = entry.partition(TARGET_SEPARATOR)
        path = _existing(archive, "the Python archive")
        yield JobFile(ArtifactKind.ARCHIVE, path, os.path.basename(path), target or os.path.basename(path))
    requirements = options.PYTHON_REQUIREMENTS.read(configuration)
    if requirements:
        file, _, cache = requirements.partition(TARGET_SEPARATOR)
        path = _existing(file, "the requirements file")
        yield JobFile(ArtifactKind.REQUIREMENTS, path, os.path.basename(path))
        if cache:
            path = _existing(cache, "the directory of cached requirements")
            yield JobFile(ArtifactKind.REQUIREMENTS, path, os.path.basename(path), REQUIREMENTS_CACHE)
    names: dict[str, str] = {}
    for entry in options.PIPELINE_CACHED_FILES.read(configuration) or ():
        name, path = _cached_file(entry)
        if names.setdefault(name, path) != path:
            raise UserError(f"Two cached files are registered under the name '{name}': {names[name]} and {path}.")
        yield JobFile(ArtifactKind.CACHED_FILE, path, name)


def _entries(text: str | None) -> list[str]:
    return [entry.strip() for entry in (text or "").split(",") if entry.strip()]


def _cached_file(entry: str) -> tuple[str, str]:
    try:
        fields = parse_map(entry)
        name, path = fields["name"], fields["path"]
    except (ValueError, KeyError):
        raise UserError(
            f"'{entry}' is not a valid entry of pipeline.cached-files: write name:file1,path:'file:///tmp/file1'."
        ) from None
    return name, _existing(path, f"the cached file '{name}'")


def _existing(text: str, what: str) -> str:
    path = local_path(text, what)
    if not os.path.exists(path):
        raise UserError(f"{what[0].upper()}{what[1:]} '{text}' does not exist ({path}).")
    if not os.access(path, os.R_OK):
        raise UserError(f"{what[0].upper()}{what[1:]} '{text}' cannot be read ({path}): check its permissions.")
    return path
