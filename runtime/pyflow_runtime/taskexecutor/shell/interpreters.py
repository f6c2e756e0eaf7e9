"""Which Python runs a job's processes: ours, the one that ``-pyexec`` names, or one with the packages of ``-pyreq``."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import shutil
import sys
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol

import cloudpickle
import msgspec

import pyflow_runtime
import pyflow_yarn
from pyflow_runtime.taskexecutor.shell.environment import PreparedEnvironment
from pyflow_yarn.errors import ExternalError, UserError

_COMPLETE = "pyflow-complete"
_LIST_PACKAGES = 'import sys; print("\\n".join(p for p in sys.path if p.endswith("-packages")))'


class RunProgram(Protocol):
    """Runs a program to its end; its status."""

    def __call__(
        self, arguments: Sequence[str], *, environment: Mapping[str, str] | None = None, output: IO[bytes] | None = None
    ) -> Awaitable[int]: ...


def source_roots() -> list[str]:
    """The directories that hold our packages."""
    roots = (Path(package.__path__[0]).parent for package in (pyflow_yarn, pyflow_runtime))
    return list(dict.fromkeys(str(root) for root in roots))


def libraries() -> list[str]:
    """The directories that hold the libraries that we need."""
    places = (Path(package.__path__[0]) for package in (msgspec, cloudpickle))
    return list(dict.fromkeys(str(place.parent) for place in places))


def module_command(python: str, module: str, *arguments: str) -> list[str]:
    """The command that runs ``main()`` of one of our modules with any interpreter.

    By code and not by ``PYTHONPATH``, which would leak into everything that a user's functions start; and without the
    current directory, in which a user's ``random.py`` may lie. Old interpreters understand the code, too. What an
    interpreter of our own version lacks of the libraries that we need, it finds behind everything of its own.
    """
    code = (
        f"import sys; same = sys.version_info[:2] == {sys.version_info[:2]!r};"
        f" ours = {source_roots()!r} + ({libraries()!r} if same else []);"
        " sys.path[:] = [p for p in sys.path if p] + [p for p in ours if p not in sys.path];"
        f" from {module} import main; sys.exit(main())"
    )
    return [python, "-c", code, *arguments]


async def interpreter_of(prepared: PreparedEnvironment, cache: Path, log_directory: Path, run: RunProgram) -> str:
    """The absolute path of the job's interpreter, or "" for the one that runs this process."""
    executable = _named_interpreter(prepared)
    if prepared.requirements is None:
        return executable
    return await _with_requirements(executable or sys.executable, prepared, cache, log_directory, run)


def _named_interpreter(prepared: PreparedEnvironment) -> str:
    named = prepared.worker.job.python_executable
    if not named:
        return ""
    if os.sep not in named:
        found = shutil.which(named)
        if found is None:
            raise UserError(f"The Python interpreter '{named}' (python.executable) is not on the PATH of this machine.")
    elif os.path.isabs(named):
        found = named
    else:
        found = os.path.join(prepared.worker.working_directory, named)
    if not os.path.isfile(found) or not os.access(found, os.X_OK):
        hint = "" if os.path.isabs(named) else "; a relative path is looked for among the unpacked archives (-pyarch)"
        raise UserError(f"The Python interpreter '{named}' (python.executable) is no program on this machine{hint}.")
    return "" if os.path.abspath(found) == os.path.abspath(sys.executable) else os.path.abspath(found)


def default_cache() -> Path:
    """Where environments are kept for the next job with the same requirements."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "pyflow-yarn" / "environments"


async def _with_requirements(
    python: str, prepared: PreparedEnvironment, cache: Path, log_directory: Path, run: RunProgram
) -> str:
    requirements = prepared.requirements
    assert requirements is not None
    digest = hashlib.sha256()
    for text in (python, sys.version, *source_roots()):
        digest.update(text.encode() + b"\0")
    digest.update(requirements.read_bytes())
    if prepared.packages is not None:
        for file in sorted(prepared.packages.rglob("*")):
            digest.update(f"{file.relative_to(prepared.packages)} {file.stat().st_size}\0".encode())
    key = digest.hexdigest()[:24]
    place = cache / key
    executable = place / "bin" / "python"
    if (place / _COMPLETE).exists():
        return str(executable)
    try:
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(cache / f"{key}.lock", "w") as lock:
            await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
            if not (place / _COMPLETE).exists():
                shutil.rmtree(place, ignore_errors=True)
                log_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                await _build(python, place, prepared, log_directory / f"requirements-{key[:8]}.log", run)
                (place / _COMPLETE).touch()
    except OSError as error:
        raise ExternalError(
            f"No environment for the requirements can be made in {place}: {error.strerror or error}."
        ) from error
    return str(executable)


async def _build(python: str, place: Path, prepared: PreparedEnvironment, log: Path, run: RunProgram) -> None:
    assert prepared.requirements is not None
    inner = str(place / "bin" / "python")
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}

    async def step(what: str, *arguments: str) -> None:
        # It takes long, and must not go on when this process is killed.
        command = module_command(sys.executable, "pyflow_runtime.processes.launch", str(os.getpid()), *arguments)
        with open(log, "ab") as output:
            status = await run(command, environment=environment, output=output)
        if status != 0:
            shutil.rmtree(place, ignore_errors=True)
            raise UserError(f"{what} failed: {_last_line(log)}")

    with open(log, "wb") as output:
        listed = await run([python, "-c", _LIST_PACKAGES], environment=environment, output=output)
    packages = log.read_text(errors="replace").splitlines() if listed == 0 else []
    await step(f"Making a virtual environment with {python}", python, "-m", "venv", "--without-pip", str(place))
    site = next(place.glob("lib/python*/site-packages"))
    (site / "pyflow-base.pth").write_text("".join(f"{path}\n" for path in packages))
    with open(log, "ab") as output:
        has_pip = await run([inner, "-m", "pip", "--version"], environment=environment, output=output) == 0
    if not has_pip:
        await step(f"Installing pip into an environment of {python}", inner, "-m", "ensurepip")
    offline = ["--no-index", "--find-links", str(prepared.packages)] if prepared.packages is not None else []
    await step(
        f"Installing the packages of {prepared.requirements.name}",
        *(inner, "-m", "pip", "install", "--no-input", "--disable-pip-version-check", *offline),
        *("-r", str(prepared.requirements)),
    )


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["it said nothing"])[-1]
