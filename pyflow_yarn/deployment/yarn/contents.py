"""Which files make up the Python environment of this process, and where each is in the archive that nodes unpack.

The archive is one prefix: the interpreter that a virtual environment stands on, its standard library, and below that
the folders of packages, in the order in which they are searched.
"""

from __future__ import annotations

import ast
import os
import re
import site
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec

from pyflow_yarn.errors import ConfigurationError

OWN_PACKAGES = ("pyflow_yarn", "pyflow_runtime")
PYTHON = f"bin/python{sys.version_info.major}.{sys.version_info.minor}"
"""The interpreter in the archive."""

LIBRARIES = "lib"
"""The folder of shared libraries in the archive."""

NEVER = frozenset({"__pycache__"})
"""Names of files and folders that are in no archive."""

_NOT_OF_LIBRARY = NEVER | {
    *("site-packages", "dist-packages", "sitecustomize.py", "ensurepip"),
    # Tests, and what needs a display.
    *("test", "tests", "idlelib", "tkinter", "turtledemo"),
}
# Extension modules for tests and displays, and one that brings Kerberos along, which has to be the node's; and what
# serves to embed an interpreter.
_NOT_OF_LIBRARY_EITHER = re.compile(
    r".*/((_tkinter|_test\w*|_ctypes_test|xx\w*|_xx\w*|nis)\.[^/]*\.so|config-\d[^/]*/.*)"
)
# Big tests and headers that nothing imports. Of other packages nobody knows: astropy imports its tests.
_NOT_OF_PACKAGES = dict.fromkeys(
    ("numpy", "pandas", "pyarrow", "scipy", "sklearn"), NEVER | {"tests", "include", "src"}
)
_OURS = re.compile(r"(__editable__\.)?pyflow[_-](yarn|runtime)([-.].*)?")
_OF_PREFIX = ("etc", "lib", "share", "ssl")
_NOT_OF_PREFIX = NEVER | {"cmake", "doc", "info", "man", "pkgconfig"}


class File(NamedTuple):
    """A file of the environment: its place in the archive, where it is, and what tells whether it has changed.

    ``link`` is the file in the same folder that it is a link to.
    """

    place: str
    path: str
    size: int
    modified: int
    changed: int
    executable: bool
    link: str = ""


@dataclass(frozen=True)
class Layout:
    """Where the parts of an environment are."""

    interpreter: str
    library: str
    extensions: str | None
    packages: tuple[str, ...]
    prefixes: tuple[str, ...]

    @classmethod
    def of_this_process(cls) -> Layout:
        """The parts of the environment that this process runs in."""
        try:
            interpreter = os.readlink("/proc/self/exe")
            os.confstr("CS_GNU_LIBC_VERSION")
        except (OSError, ValueError):
            raise ConfigurationError(
                "The Python environment can be packed on Linux with glibc only: name an archive with -pyarch and its"
                " interpreter with -pyexec."
            ) from None
        library = os.path.dirname(os.path.abspath(os.__file__))
        extensions = next((entry for entry in sys.path if os.path.basename(entry) == "lib-dynload"), None)
        inside = extensions is None or extensions.startswith(f"{library}/")
        return cls(
            interpreter,
            library,
            None if inside else extensions,
            tuple(_package_folders()),
            tuple(_own_prefixes()),
        )

    @property
    def library_place(self) -> str:
        """The standard library in the archive: where the interpreter looks for it, seen from its own place."""
        return f"{sys.platlibdir}/{os.path.basename(self.library)}"

    def package_places(self) -> list[str]:
        """The folders of packages in the archive, as they are searched."""
        return [f"{self.library_place}/site-{f'{n}-' if n else ''}packages" for n in range(len(self.packages))]

    def files(self) -> list[File]:
        """All files, sorted by place."""
        files: list[File] = []
        try:
            files.append(_file(PYTHON, self.interpreter, os.stat(self.interpreter)))
            walk(self.library, self.library_place, _NOT_OF_LIBRARY, files)
            if self.extensions is not None:
                walk(self.extensions, f"{self.library_place}/lib-dynload", _NOT_OF_LIBRARY, files)
            files = [file for file in files if not _NOT_OF_LIBRARY_EITHER.fullmatch(file.place)]
            for folder, place in zip(self.packages, self.package_places(), strict=True):
                _walk_packages(folder, place, files)
            for prefix in self.prefixes:
                _walk_prefix(prefix, files)
        except PermissionError as error:
            raise unreadable(error) from error
        return sorted({file.place: file for file in reversed(files)}.values())


def unreadable(error: OSError) -> ConfigurationError:
    """What to say of a file of the environment that cannot be read."""
    return ConfigurationError(
        f"The Python environment cannot be packed: {error.filename}: {error.strerror}. Make it readable, or name an"
        " archive with -pyarch and its interpreter with -pyexec."
    )


def path_lines(text: str) -> list[str]:
    """The lines of a ``.pth`` file that name folders; the others are blank, comments or code."""
    lines = (line.rstrip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith(("#", "import ", "import\t"))]


def _package_folders() -> Iterator[str]:
    """The folders of packages on the search path: of the user, of the environment, and what ``.pth`` files add."""
    candidates = site.getsitepackages()
    if site.ENABLE_USER_SITE:
        candidates.insert(0, site.getusersitepackages())
    # Our own libraries where this process has become another interpreter, which lacks them.
    candidates.append(os.path.dirname(os.path.dirname(msgspec.__file__)))
    seen = set[str]()
    for folder in candidates:
        for found in (folder, *_added_by(folder)):
            if os.path.isdir(found) and os.path.realpath(found) not in seen:
                seen.add(os.path.realpath(found))
                yield found


def _added_by(folder: str) -> Iterator[str]:
    for file in sorted(Path(folder).glob("*.pth")):
        for line in path_lines(file.read_text(encoding="utf-8", errors="replace")):
            added = os.path.normpath(os.path.join(folder, line))
            # A checkout of ours: its code travels by itself.
            if not any(os.path.isdir(os.path.join(added, name)) for name in OWN_PACKAGES):
                yield added


def _own_prefixes() -> Iterator[str]:
    """The prefixes that hold nothing but this environment, so that their other folders belong to it."""
    for prefix in dict.fromkeys((sys.prefix, sys.base_prefix)):
        virtual = prefix != sys.base_prefix
        if virtual or os.path.isdir(os.path.join(prefix, "conda-meta")):
            yield prefix


def _walk_packages(folder: str, place: str, files: list[File]) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name not in NEVER and not _OURS.fullmatch(entry.name):
                _add(entry, f"{place}/{entry.name}", _NOT_OF_PACKAGES.get(entry.name, NEVER), files)
                if entry.name.startswith("__editable___") and entry.name.endswith("_finder.py"):
                    _walk_editable(entry.path, place, files)


def _walk_editable(finder: str, place: str, files: list[File]) -> None:
    """The packages that setuptools has installed as references to their sources."""
    for statement in ast.parse(Path(finder).read_bytes()).body:
        target = statement.target if isinstance(statement, ast.AnnAssign) else None
        if isinstance(target, ast.Name) and target.id == "MAPPING" and isinstance(statement, ast.AnnAssign):
            mapping = ast.literal_eval(statement.value) if statement.value else {}
            for name, path in mapping.items():
                inside = f"{place}/{name.replace('.', '/')}"
                if name in OWN_PACKAGES:
                    continue
                if os.path.isdir(path):
                    walk(path, inside, NEVER, files)
                elif os.path.isfile(f"{path}.py"):
                    files.append(_file(f"{inside}.py", f"{path}.py", os.stat(f"{path}.py")))


def _walk_prefix(prefix: str, files: list[File]) -> None:
    for name in _OF_PREFIX:
        folder = os.path.join(prefix, name)
        if os.path.isdir(folder):
            with os.scandir(folder) as entries:
                for entry in entries:
                    if not entry.name.startswith("python3") and entry.name not in _NOT_OF_PREFIX:
                        _add(entry, f"{name}/{entry.name}", _NOT_OF_PREFIX, files)


def walk(folder: str, place: str, without: frozenset[str], files: list[File]) -> None:
    """Add the files below a folder, but for these names, to ``files``."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name not in without:
                _add(entry, f"{place}/{entry.name}", without, files)


def _add(entry: os.DirEntry[str], place: str, without: frozenset[str], files: list[File]) -> None:
    # What a link leads to is packed in its place, for it may be outside; but libraries have links to their versions.
    if entry.is_dir():
        if not entry.is_symlink() or not entry.path.startswith(f"{os.path.realpath(entry.path)}/"):
            walk(entry.path, place, without, files)
    elif entry.is_file() and not entry.name.endswith(".a"):
        link = os.readlink(entry.path) if entry.is_symlink() else ""
        files.append(_file(place, entry.path, entry.stat())._replace(link="" if "/" in link else link))


def _file(place: str, path: str, status: os.stat_result) -> File:
    return File(place, path, status.st_size, status.st_mtime_ns, status.st_ctime_ns, bool(status.st_mode & 0o100))
