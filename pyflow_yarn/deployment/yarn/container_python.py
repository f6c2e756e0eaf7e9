"""Which Python runs in containers, and what it comes from.

By default it is a copy of the client's environment, with the packages of ``python.requirements``. With an absolute path
in ``python.executable`` it is one that the nodes have. An interpreter in an archive of the user's is for workers alone.
"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pyflow_yarn.configuration.options import PYTHON_ARCHIVES, PYTHON_EXECUTABLE, PYTHON_REQUIREMENTS
from pyflow_yarn.deployment.yarn import own_code
from pyflow_yarn.deployment.yarn.brought import inspect, interpreter_in_archives
from pyflow_yarn.deployment.yarn.environment import ARCHIVE_NAME, Environment
from pyflow_yarn.deployment.yarn.lines import say
from pyflow_yarn.deployment.yarn.own_code import OwnCode
from pyflow_yarn.deployment.yarn.requirements import with_requirements
from pyflow_yarn.deployment.yarn.staging import Staging
from pyflow_yarn.deployment.yarn.unpacking import PRELUDE, unpack_code, use_python
from pyflow_yarn.errors import ConfigurationError
from pyflow_yarn.yarn import LocalFile, Visibility

CHUNK = 1 << 20


@dataclass(frozen=True)
class ContainerPython:
    """Files of every container, and the shell commands with which its script begins."""

    files: Mapping[str, LocalFile]
    commands: str

    def run(self, module: str) -> str:
        """The shell command that runs ``main()`` of one of our modules."""
        # Behind what an interpreter of the nodes has of ours: processes that this one starts see that first as well.
        code = f"import sys; sys.path.append(sys.argv.pop(1)); from {module} import main; sys.exit(main())"
        return f'"$python" -P -c {shlex.quote(code)} "$code"'


def container_python(configuration: Mapping[str, str], staging: Staging) -> ContainerPython:
    """The Python of an application's containers, staged."""
    _check_archives(configuration)
    code = OwnCode.of_this_installation()
    files = {own_code.ARCHIVE_NAME: _stage(staging, code.key, code.pack, own_code.ARCHIVE_NAME)}
    executable = PYTHON_EXECUTABLE.read(configuration) or ""
    if os.path.isabs(executable):
        return ContainerPython(files, PRELUDE + use_python(executable) + unpack_code(own_code.ARCHIVE_NAME))
    packed = _environment(configuration, cache_folder())
    files[ARCHIVE_NAME] = _stage(staging, packed.key, packed.pack, ARCHIVE_NAME)
    return ContainerPython(files, PRELUDE + packed.unpack_command() + unpack_code(own_code.ARCHIVE_NAME))


def requirements_are_packed(configuration: Mapping[str, str]) -> bool:
    """Whether containers have the packages of ``python.requirements`` in their environment."""
    requirements = PYTHON_REQUIREMENTS.read(configuration) or ""
    return bool(requirements) and not PYTHON_EXECUTABLE.read(configuration) and "://" not in requirements


def cache_folder() -> Path:
    """Where this user keeps what is known of environments, and the packages of requirements."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    return Path(cache if cache.startswith("/") else os.path.expanduser("~/.cache"), "pyflow-yarn", "yarn")


class _Packed:
    """An archive that is made only if it is not staged yet; what its size is shows then."""

    def __init__(self, key: str, pack: Callable[[BinaryIO], None]) -> None:
        self.key = key
        self.size = 0
        self._pack = pack

    def chunks(self) -> Iterator[bytes]:
        """See ``Content``."""
        with tempfile.TemporaryFile() as file:
            self._pack(file)
            self.size = file.tell()
            file.seek(0)
            while chunk := file.read(CHUNK):
                yield chunk


def _stage(staging: Staging, key: str, pack: Callable[[BinaryIO], None], name: str) -> LocalFile:
    return staging.stage(_Packed(key, pack), name, Visibility.PRIVATE)


def _environment(configuration: Mapping[str, str], cache: Path) -> Environment:
    environment = Environment.of_this_process(cache)
    if not requirements_are_packed(configuration):
        return environment
    file, _, packages = (PYTHON_REQUIREMENTS.read(configuration) or "").partition("#")
    return with_requirements(environment, Path(file), Path(packages) if packages else None, cache)


def _check_archives(configuration: Mapping[str, str]) -> None:
    executable = PYTHON_EXECUTABLE.read(configuration) or ""
    place = interpreter_in_archives(PYTHON_ARCHIVES.read(configuration) or "", executable)
    if place is None or "://" in place.archive:
        return
    # The program's main() runs with this Python, here or in a copy of its environment.
    found = inspect(Path(place.archive), place.interpreter, sys.version_info[:2])
    machine = os.uname().machine
    if found.machine not in ("", machine):
        raise ConfigurationError(
            f"The archive {place.archive} is for {found.machine}, and what else runs on the nodes is for {machine}, as"
            f" this machine: bring an archive for {machine}, or submit from a machine like the nodes."
        )
    if found.needs:
        say(
            f"The archive {place.archive} does not stand on its own: nodes need the Python in {found.needs} as well",
            level="WARN",
        )
