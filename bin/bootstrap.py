"""Build the virtual environment that the commands of a checkout run in, and print where it is.

Runs on a bare Python 3.11 or later, before anything is installed. ``environment.sh`` calls it when there is no
environment yet, when ``setup.cfg`` has changed, and when extras are wanted. Standard output has one line, the path of
the environment; whatever there is to tell goes to standard error.

An environment is complete when its file ``complete`` exists, a copy of the ``setup.cfg`` it was last checked against.
Its name has the Python version and a hash of what is installed in it: a build that was interrupted has no
marker and is built again, and two starts at once build it once (an flock, which ends with the process that holds it).
A file ``current`` beside it names the environment that starts without PYFLOW_PYTHON use.
"""

from __future__ import annotations

import compileall
import configparser
import fcntl
import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

SOURCE_ROOTS = (".", "runtime")
PACKAGES = ("pyflow_yarn", "runtime/pyflow_runtime")
UNREACHABLE = ("Failed to establish a new connection", "NewConnectionError", "NameResolutionError", "ConnectTimeout")

# Run by the new environment: imports every module of ours, so that what they import is compiled as well.
WARM_UP = """
import importlib, pathlib, sys
for root, package in zip(sys.argv[1::2], sys.argv[2::2]):
    for file in sorted(pathlib.Path(root, package).rglob("*.py")):
        name = ".".join(file.relative_to(root).with_suffix("").parts)
        try:
            importlib.import_module(name.removesuffix(".__init__"))
        except Exception:
            pass
"""


class BootstrapError(Exception):
    """Why there is no environment: one sentence for the user."""


class Requirements:
    """What ``setup.cfg`` asks for."""

    def __init__(self, checkout: Path) -> None:
        self.text = (checkout / "setup.cfg").read_bytes()
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_string(self.text.decode("utf-8"))
        self.base = _lines(parser.get("options", "install_requires", fallback=""))
        section = "options.extras_require"
        self._extras = dict(parser.items(section)) if parser.has_section(section) else {}

    def extra(self, name: str) -> list[str]:
        """The requirements of an extra."""
        try:
            return _lines(self._extras[name])
        except KeyError:
            raise BootstrapError(f"setup.cfg has no extra named {name}.") from None

    def digest(self) -> str:
        """A short hash of what every environment of this Python must have installed."""
        return hashlib.sha256("\n".join(self.base).encode()).hexdigest()[:12]


def main(extras: Sequence[str]) -> int:
    """Print the path of an environment that has these extras; 1 and a sentence on standard error if there is none."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    checkout = Path(__file__).resolve().parent.parent
    try:
        print(environment(checkout, extras, os.environ))
    except BootstrapError as error:
        _tell(str(error))
        return 1
    except KeyboardInterrupt:
        _tell("interrupted; the next start builds the environment again.")
        return 130
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        _tell(f"cannot build the virtual environment: {error.strerror or error}{where}.")
        return 1
    return 0


def environment(checkout: Path, extras: Sequence[str], environ: Mapping[str, str]) -> Path:
    """The environment for the Python that runs this, built or brought up to date if need be."""
    requirements = Requirements(checkout)
    home = environment_home(checkout, environ)
    place = home / f"venv-{'.'.join(map(str, sys.version_info[:3]))}-{requirements.digest()}"
    with _lock(home / "lock"):
        if not (place / "complete").exists() or not (place / "bin" / "python").exists():
            _build(place, checkout, requirements, environ)
        for extra in extras:
            wanted = "\n".join(requirements.extra(extra))
            marker = place / f"complete.{extra}"
            if not marker.exists() or marker.read_text() != wanted:
                _tell(f"installing what the extra '{extra}' needs ...")
                _install(place, requirements.base + requirements.extra(extra), environ)
                _write(marker, wanted.encode())
        if extras:
            # Before tests, which measure: the sources may have changed since the environment was built.
            _compile(place, checkout, environ)
        if (place / "complete").read_bytes() != requirements.text:
            _write(place / "complete", requirements.text)
        current = home / "current"
        if not environ.get("PYFLOW_PYTHON") or not current.exists():
            _write(current, f"{place.name}\n".encode())
    return place


def environment_home(checkout: Path, environ: Mapping[str, str]) -> Path:
    """The folder of this checkout's environments: inside it, or in the user's cache where it is read-only.

    The same choice as in ``environment.sh``, which looks for what this has made.
    """
    below_cache = Path("checkouts", *checkout.parts[1:])
    if chosen := environ.get("PYFLOW_CACHE_DIR"):
        home = Path(chosen).absolute() / below_cache
        if _writable(home):
            return home
        raise BootstrapError(f"cannot write to {home}, where PYFLOW_CACHE_DIR puts the virtual environment.")
    inside = checkout / ".pyflow"
    if _writable(inside):
        return inside
    cache = environ.get("XDG_CACHE_HOME", "")
    if not cache.startswith("/"):
        cache = environ.get("HOME", "") + "/.cache"
    home = Path(cache, "pyflow-yarn") / below_cache
    if _writable(home):
        return home
    raise BootstrapError(
        f"can write the virtual environment neither to {inside} nor to {home}:"
        " set PYFLOW_CACHE_DIR to a folder that you may write to."
    )


def _build(place: Path, checkout: Path, requirements: Requirements, environ: Mapping[str, str]) -> None:
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise BootstrapError(
            f"{sys.executable} lacks ensurepip, which virtual environments are built with: install it"
            f" (Debian, Ubuntu: apt install python{version}-venv) or name another Python in PYFLOW_PYTHON."
        )
    _tell(f"first start: building the virtual environment in {place} (about half a minute) ...")
    if place.exists():
        shutil.rmtree(place)
    base = getattr(sys, "_base_executable", None) or sys.executable
    _run([base, "-I", "-m", "venv", str(place)], place, environ, "cannot create the virtual environment")
    if requirements.base:
        _install(place, requirements.base, environ)
    _add_source_roots(place, checkout)
    _compile(place, checkout, environ)
    _write(place / "complete", requirements.text)
    _tell("the environment is ready.")


def _install(place: Path, requirements: Sequence[str], environ: Mapping[str, str]) -> None:
    # A user's settings for other installations must not send the packages elsewhere.
    kept = {name: value for name, value in environ.items() if name not in ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")}
    pip = [str(place / "bin" / "python"), "-I", "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
    _run(
        [*pip, "--progress-bar", "off", *requirements],
        place,
        {**kept, "PIP_USER": "0"},
        "cannot install the dependencies",
    )


def _run(command: Sequence[str], place: Path, environ: Mapping[str, str], complaint: str) -> None:
    log = place.with_name(place.name + ".log")
    with log.open("ab") as output:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environ, check=False)
    if done.returncode:
        text = log.read_text(errors="replace")
        why = " (the package index cannot be reached)" if any(mark in text for mark in UNREACHABLE) else ""
        raise BootstrapError(f"{complaint}{why}: what went wrong stands at the end of {log}.")
    log.unlink()


def _add_source_roots(place: Path, checkout: Path) -> None:
    """Make both packages importable by every process of this environment, and by no other."""
    folder = place / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    inside = place.is_relative_to(checkout)
    roots = [(checkout / root).resolve() for root in SOURCE_ROOTS]
    # Relative where the environment moves with its checkout.
    lines = [os.path.relpath(root, folder.resolve()) if inside else str(root) for root in roots]
    (folder / "pyflow_yarn.pth").write_text("".join(f"{line}\n" for line in lines))


def _compile(place: Path, checkout: Path, environ: Mapping[str, str]) -> None:
    """Compile now what every start would compile again where it cannot be stored: in a checkout that is read-only."""
    if place.is_relative_to(checkout):
        for package in PACKAGES:
            compileall.compile_dir(checkout / package, quiet=2)
        return
    # environment.sh sets this prefix for a checkout that cannot hold compiled modules; it applies to all modules.
    kept = {name: value for name, value in environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    arguments = [part for package in PACKAGES for part in (str((checkout / package).parent), Path(package).name)]
    subprocess.run(
        [place / "bin" / "python", "-P", "-c", WARM_UP, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**kept, "PYTHONPYCACHEPREFIX": str(place.parent / "bytecode")},
        check=False,
    )


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _tell("waiting for another start that is building the virtual environment ...")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _tell(sentence: str) -> None:
    print(f"pyflow: {sentence}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
