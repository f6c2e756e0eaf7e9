"""Which Python runs the program's ``main()``, and how this process becomes that Python."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import NoReturn

from pyflow_yarn.configuration.options import PYTHON_CLIENT_EXECUTABLE
from pyflow_yarn.deployment.layout import source_roots
from pyflow_yarn.errors import ConfigurationError

ENVIRONMENT_VARIABLE = "PYFLINK_CLIENT_EXECUTABLE"


def client_executable(configuration: Mapping[str, str]) -> str:
    """The interpreter for main(): ``-pyclientexec``, the variable's, the active virtual environment's, else this one.

    Returns ``sys.executable`` itself whenever the choice means the running environment.
    """
    configured = PYTHON_CLIENT_EXECUTABLE.read(configuration)
    if configured:
        return _same_or(_resolve(configured, PYTHON_CLIENT_EXECUTABLE.key))
    variable = os.environ.get(ENVIRONMENT_VARIABLE)
    if variable:
        return _same_or(_resolve(variable, ENVIRONMENT_VARIABLE))
    active = os.environ.get("VIRTUAL_ENV")
    if active:
        python = os.path.join(active, "bin", "python")
        if not os.access(python, os.X_OK):
            raise ConfigurationError(
                f"The active virtual environment '{active}' has no bin/python: leave it (deactivate), or name an"
                f" interpreter with -pyclientexec."
            )
        return _same_or(python)
    return sys.executable


def _resolve(name: str, origin: str) -> str:
    path = name
    if os.sep not in name:
        import shutil

        path = shutil.which(name) or ""
    if not path or not os.path.isfile(path) or not os.access(path, os.X_OK):
        raise ConfigurationError(f"The Python interpreter '{name}' ({origin}) does not exist or cannot be executed.")
    return os.path.abspath(path)


def _same_or(path: str) -> str:
    return sys.executable if _identity(path) == _identity(sys.executable) else path


def _identity(path: str) -> tuple[str, str]:
    """What makes two interpreters the same: the binary, and the virtual environment that the link to it stands in."""
    environment = os.path.dirname(os.path.dirname(os.path.abspath(path)))
    in_environment = os.path.isfile(os.path.join(environment, "pyvenv.cfg"))
    return os.path.realpath(path), os.path.realpath(environment) if in_environment else ""


def site_packages() -> list[str]:
    """The directories of this interpreter that hold the libraries we need."""
    import msgspec

    return [os.path.dirname(os.path.dirname(os.path.abspath(msgspec.__file__)))]


def become(executable: str, specification: bytes) -> NoReturn:
    """Replace this process by that interpreter, which runs ``bootstrap.py`` with the specification.

    The process stays the same one: signals, exit codes and the local cluster (its child) need nobody to pass them on.
    """
    descriptor = os.memfd_create("pyflow-program", 0)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(specification)
    os.lseek(descriptor, 0, os.SEEK_SET)
    bootstrap = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bootstrap.py")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    paths = [os.pathsep.join(source_roots()), os.pathsep.join(site_packages())]
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execv(executable, [executable, bootstrap, str(descriptor), version, *paths])
    except OSError as error:
        os.close(descriptor)
        raise ConfigurationError(
            f"The Python interpreter '{executable}' cannot be executed: {error.strerror}."
        ) from None
