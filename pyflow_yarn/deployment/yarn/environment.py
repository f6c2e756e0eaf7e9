"""The Python environment of applications on YARN: this process's own, as an archive for nodes that know nothing of it.

``docs/adr/0008-how-a-python-environment-gets-to-the-nodes.md`` tells why it is made so. What makes it run anywhere: the
interpreter finds its standard library, and the loader its shared libraries, from where the interpreter lies.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import msgspec

from pyflow_yarn.deployment.yarn.archive import Archive, compiled, compiled_place
from pyflow_yarn.deployment.yarn.contents import LIBRARIES, PYTHON, File, Layout, path_lines, unreadable
from pyflow_yarn.deployment.yarn.elf import Elf, NoRoomError, NotElfError
from pyflow_yarn.deployment.yarn.unpacking import unpack_environment
from pyflow_yarn.errors import ConfigurationError, ExternalError

FORMAT = 1
"""Counted up when the same files make another archive: it is part of every key."""

ARCHIVE_NAME = "environment.tar.gz"
"""What the archive is called in the cache and in containers."""

# What has to be the node's: glibc, what GCC's programs need of it (a newer one serves all), and drivers.
_OF_THE_NODE = re.compile(
    r"ld-linux.*|linux-(vdso|gate)\.so.*|libnsl\.so\.1"
    r"|lib(c|m|mvec|dl|rt|pthread|util|resolv|anl|thread_db|BrokenLocale|nss_\w+|gcc_s|stdc\+\+)\.so.*"
    r"|lib(cuda|nvidia-.*|nvcuvid|GL|GLX|GLdispatch|EGL|OpenGL|OpenCL)\.so.*"
)
_TRACED = re.compile(r"^\s*(\S+) => (/.*) \(0x[0-9a-f]+\)$", re.MULTILINE)
_SHARED = re.compile(r".*\.so(\.[\w.]+)?")
_LONGEST_VARIABLE = 100_000  # the kernel's limit is 128 KiB

# No user's packages of the node: they would come before ours. Without `home` it is no virtual environment.
_SETTINGS = b"include-system-site-packages = false\n"
_START = """\
import os
import site
import sys

# A virtual environment that is made of this one has packages of its own.
for name in {names!r} if sys.prefix == sys.base_prefix else ():
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), name)
    # Which folders an interpreter knows by itself is up to who built it.
    if folder not in sys.path:
        site.addsitedir(folder)
    own = os.path.join(folder, "sitecustomize.py")
    if os.path.exists(own):
        with open(own, "rb") as file:
            exec(compile(file.read(), own, "exec"), {{"__name__": "sitecustomize", "__file__": own}})
"""


class _Stamp(msgspec.Struct, frozen=True):
    """What tells whether a file is still the same."""

    size: int
    modified: int
    changed: int

    @classmethod
    def of(cls, path: str) -> _Stamp | None:
        try:
            status = os.stat(path)
        except OSError:
            return None
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns)


class _Known(msgspec.Struct, frozen=True):
    """What is kept on this machine about an environment whose files have not changed."""

    fingerprint: str
    key: str
    glibc: int
    libraries: dict[str, str]
    stamps: dict[str, _Stamp]


@dataclass(frozen=True)
class Environment:
    """An environment to be packed.

    ``key`` names what is in it: equal for equal files, wherever they are. ``machine`` is the architecture as
    ``uname -m`` tells it, ``glibc`` the y of the glibc 2.y that all of its files need.
    """

    key: str
    machine: str
    glibc: int
    layout: Layout
    files: tuple[File, ...]
    libraries: Mapping[str, str]

    @classmethod
    def of_this_process(cls, cache: Path) -> Environment:
        """The environment that this process runs in.

        Its files are read only if one has changed since ``cache``, a folder of this user here, was told of them.
        """
        return cls.of(Layout.of_this_process(), cache)

    @classmethod
    def of(cls, layout: Layout, cache: Path) -> Environment:
        """The environment with these parts."""
        files = layout.files()
        fingerprint = _fingerprint(layout, files)
        memo = cache / f"{hashlib.sha256(repr(layout).encode()).hexdigest()[:16]}.json"
        known = _recall(memo, fingerprint)
        if known is None:
            known = _examine(layout, files, fingerprint)
            _keep(memo, known)
        return cls(known.key, os.uname().machine, known.glibc, layout, tuple(files), known.libraries)

    def with_packages(self, folder: str, cache: Path) -> Environment:
        """This environment with one more folder of packages, which is searched first."""
        return self.of(replace(self.layout, packages=(folder, *self.layout.packages)), cache)

    def unpack_command(self, archive: str = ARCHIVE_NAME) -> str:
        """Shell commands, behind the ``PRELUDE``, that unpack the archive and set ``$python`` to its interpreter."""
        return unpack_environment(archive, self.machine, self.glibc)

    def pack(self, target: BinaryIO) -> None:
        """Write the archive."""
        contents: dict[str, File | bytes | str] = dict(self._generated())
        modules = dict[str, str]()
        for file in self.files:
            contents.setdefault(file.place, file)
            if file.place.endswith(".py"):
                modules[compiled_place(file.place)] = file.path
        for name, path in self.libraries.items():
            stamp = os.stat(path)
            contents.setdefault(f"{LIBRARIES}/{name}", File(name, path, stamp.st_size, stamp.st_mtime_ns, 0, False))
        try:
            with Archive.writing(target) as archive:
                for place in sorted([*contents, *modules]):
                    content = contents.get(place)
                    if isinstance(content, str):
                        archive.add_link(place, content)
                    elif isinstance(content, File) and content.link:
                        archive.add_link(place, content.link)
                    elif isinstance(content, bytes):
                        archive.add_bytes(place, content)
                    elif content is not None:
                        _add_file(archive, place, content)
                    elif (code := compiled(modules[place])) is not None:
                        archive.add_bytes(place, code)
        except (FileNotFoundError, PermissionError) as error:
            raise unreadable(error) from error

    def _generated(self) -> Iterator[tuple[str, bytes | str]]:
        """What the archive has and the environment has not: contents, and targets of links."""
        program = os.path.basename(PYTHON)
        yield "bin/python", program
        yield "bin/python3", program
        yield "pyvenv.cfg", _SETTINGS
        names = tuple(os.path.basename(place) for place in self.layout.package_places())
        yield f"{self.layout.library_place}/sitecustomize.py", _START.format(names=names).encode()


def _add_file(archive: Archive, place: str, file: File) -> None:
    with open(file.path, "rb") as source:
        status = os.fstat(source.fileno())
        if (status.st_size, status.st_mtime_ns) != (file.size, file.modified):
            raise ExternalError(f"{file.path} changed while the Python environment was packed: submit again.")
        if place.endswith(".pth"):
            archive.add_bytes(place, _without_paths(source.read()))
        elif place == PYTHON or _is_shared(place):
            archive.add(place, *_relocated(source, file, program=place == PYTHON))
        else:
            archive.add(place, source, file.size, file.executable)


def _relocated(source: BinaryIO, file: File, program: bool) -> tuple[mmap.mmap | BinaryIO, int, bool]:
    """A program or shared library that looks for other libraries in the archive."""
    try:
        content = mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_COPY)
        elf = Elf(content)
        if program:
            elf.set_search_path(f"$ORIGIN/../{LIBRARIES}")
        else:
            elf.inherit_search_path()
    except NoRoomError as error:
        raise ConfigurationError(
            f"The interpreter {file.path} cannot be packed: {error}. Use an environment of another Python, or name an"
            " archive with -pyarch and its interpreter with -pyexec."
        ) from error
    except (NotElfError, ValueError):  # a text for the linker, or empty
        return source, file.size, file.executable
    return content, file.size, True


def _without_paths(text: bytes) -> bytes:
    """A ``.pth`` file without the folders that it names: they are in the archive by themselves."""
    lines = text.decode("utf-8", "surrogateescape").splitlines(keepends=True)
    return "".join(line for line in lines if not path_lines(line)).encode("utf-8", "surrogateescape")


def _is_shared(place: str) -> bool:
    return ".so" in place and _SHARED.fullmatch(place) is not None


def _fingerprint(layout: Layout, files: Sequence[File]) -> str:
    digest = hashlib.sha256(f"{FORMAT} {sys.version} {os.uname().machine} {layout}\n".encode())
    for file in files:
        digest.update(repr(file[1:]).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _examine(layout: Layout, files: Sequence[File], fingerprint: str) -> _Known:
    """Read everything: what is in the files, which libraries they need, and how new a glibc."""
    libraries = _needed_libraries(layout, files)
    stamps = {path: stamp for path in libraries.values() if (stamp := _Stamp.of(path)) is not None}
    everything = [*files, *(File(f"{LIBRARIES}/{name}", path, 0, 0, 0, False) for name, path in libraries.items())]
    version = ".".join(map(str, sys.version_info[:3]))
    platform = f"{sys.implementation.cache_tag}-{sys.abiflags}-{os.uname().sysname}-{os.uname().machine}".lower()
    digest = hashlib.sha256(f"{FORMAT}\n{sys.version}\n{platform}\n{layout.package_places()}\n".encode())
    glibc = 0
    try:
        for file in everything:
            if os.path.basename(file.place) == "RECORD":
                # Nothing but sums of the others, and of scripts that name where the environment is.
                continue
            with open(file.path, "rb") as source:
                if file.place.endswith(".pth"):
                    content = hashlib.sha256(_without_paths(source.read())).digest()
                else:
                    content = hashlib.file_digest(source, "sha256").digest()
                if file.place == PYTHON or _is_shared(file.place):
                    glibc = max(glibc, _required_glibc(source))
            what = (file.place, file.executable, file.link)
            digest.update(repr(what).encode("utf-8", "surrogateescape") + content)
    except (FileNotFoundError, PermissionError) as error:
        raise unreadable(error) from error
    key = f"python-{version}-{os.uname().machine}-{FORMAT}-{digest.hexdigest()[:32]}"
    return _Known(fingerprint, key, glibc, libraries, stamps)


def _required_glibc(source: BinaryIO) -> int:
    try:
        return Elf(mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_COPY)).required_glibc()
    except (NotElfError, ValueError):
        return 0


def _needed_libraries(layout: Layout, files: Sequence[File]) -> dict[str, str]:
    """The shared libraries outside that files of the environment are linked with, as the loader finds them here."""
    shared = [os.path.abspath(file.path) for file in files if _is_shared(file.place)]
    # The loader separates by colons and blanks.
    shared = [path for path in shared if not re.search(r"[\s:]", path)]
    inside = {os.path.realpath(path) for path in shared}
    found = dict[str, str]()
    while True:
        chunk, length = list[str](), 0
        while shared and length < _LONGEST_VARIABLE:
            chunk.append(shared.pop())
            length += len(os.fsencode(chunk[-1])) + 1
        for name, path in _TRACED.findall(_trace(layout.interpreter, chunk)):
            if not _OF_THE_NODE.fullmatch(name) and os.path.realpath(path) not in inside:
                found[name] = path
        if not shared:
            return dict(sorted(found.items()))


def _trace(interpreter: str, preloaded: Sequence[str]) -> str:
    """What the loader says that a program with these libraries would load; it loads nothing and runs nothing."""
    variables = {"LD_TRACE_LOADED_OBJECTS": "1", "LD_PRELOAD": ":".join(preloaded)}
    done = subprocess.run(
        [interpreter], env={**os.environ, **variables}, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    return done.stdout.decode("utf-8", "surrogateescape")


def _recall(memo: Path, fingerprint: str) -> _Known | None:
    try:
        known = msgspec.json.decode(memo.read_bytes(), type=_Known)
    except (OSError, msgspec.DecodeError):
        return None
    if known.fingerprint != fingerprint or any(_Stamp.of(path) != stamp for path, stamp in known.stamps.items()):
        return None
    return known


def _keep(memo: Path, known: _Known) -> None:
    # Where nothing can be kept, the files are read each time.
    try:
        memo.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = memo.with_name(f"{memo.name}.{os.getpid()}")
        temporary.write_bytes(msgspec.json.encode(known))
        temporary.replace(memo)
    except OSError:
        return
