"""What a test may leave behind: nothing. Looks for processes, listening sockets, shared memory and temporary folders.

Processes of ours are known by an environment variable that they inherit, also when they are orphans, or by descending
from the test process. Temporary folders are told from other people's by a folder of the session's own that
``tempfile`` and every child use. What existed before a test (a fixture of a wider scope made it) is that fixture's
business, with everything that descends from it; at the end of the session nothing is excused.
"""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path

TAG_PREFIX = "PYFLOW_TEST_SESSION_"
BASE = "PYTEST_DEBUG_TEMPROOT"
GRACE_SECONDS = 3.0
KERNEL_THREADS = 2
SHARED_MEMORY = Path("/dev/shm")
SHARED_MEMORY_PREFIXES = ("pyflow", "psm_", "sem.mp-")
TEMPORARY_PREFIXES = ("pyflow-", "pyflow_")


@dataclass(frozen=True)
class Process:
    """A process of this session; ``started`` tells it from a later one with the same number."""

    pid: int
    started: int
    parent: int
    command: str = field(compare=False)

    def __str__(self) -> str:
        return f"process {self.pid} (parent {self.parent}): {self.command}"


@dataclass(frozen=True)
class Belongings:
    """What exists of this session's at one moment."""

    processes: frozenset[Process]
    sockets: frozenset[str]
    shared_memory: frozenset[str]
    folders: frozenset[str]

    def processes_beyond(self, before: Belongings) -> list[Process]:
        """The processes that came since ``before`` and descend from none in it."""
        known = {process.pid for process in before.processes}
        parents = {process.pid: process.parent for process in self.processes}
        return [
            process
            for process in sorted(self.processes, key=lambda process: process.pid)
            if process.pid not in known and not known.intersection(_ancestors(process.pid, parents))
        ]

    def beyond(self, before: Belongings) -> list[str]:
        """A sentence for each thing that came since ``before``."""
        found = [str(process) for process in self.processes_beyond(before)]
        found += [f"listening socket {name}" for name in sorted(self.sockets - before.sockets)]
        found += [f"shared memory {name}" for name in sorted(self.shared_memory - before.shared_memory)]
        found += [f"temporary file or folder {name}" for name in sorted(self.folders - before.folders)]
        return found


class Watch:
    """Looks at what belongs to one test session. Install it before the first child is started."""

    def __init__(self) -> None:
        # A variable of its own for each session: a session that runs inside another hands on both.
        self.tag = TAG_PREFIX + uuid.uuid4().hex
        self.folder = Path(tempfile.mkdtemp(prefix="pf-"))
        self._strangers: set[int] = set()
        self._restore = {name: os.environ.get(name) for name in (self.tag, "TMPDIR", "SPT_NOENV", BASE)}
        self._restore_tempdir = tempfile.tempdir
        # The folders of tests stay where they are: pytest keeps some for a while, and their paths are to be short.
        os.environ.setdefault(BASE, str(self.folder.parent))
        os.environ[self.tag] = "1"
        os.environ["TMPDIR"] = tempfile.tempdir = str(self.folder)
        # A process that sets its title would overwrite the memory that its tag is read from.
        os.environ["SPT_NOENV"] = "1"

    def look(self) -> Belongings:
        """What exists now."""
        return Belongings(
            processes=frozenset(self._processes()),
            sockets=frozenset(_listening_sockets()),
            shared_memory=frozenset(_names(SHARED_MEMORY, SHARED_MEMORY_PREFIXES)),
            folders=frozenset(_names(self.folder, TEMPORARY_PREFIXES)),
        )

    def left_since(self, before: Belongings, grace: float = GRACE_SECONDS) -> list[str]:
        """What is left beyond ``before`` once everything that is just ending has had ``grace`` seconds."""
        if not self.look().beyond(before):
            return []
        gc.collect()
        # Children that ended without being waited for, and whose Popen object is gone: nobody's fault.
        subprocess._cleanup()  # type: ignore[attr-defined]
        deadline = time.monotonic() + grace
        while (now := self.look()).beyond(before) and time.monotonic() < deadline:
            time.sleep(0.02)
        # /dev/shm is everybody's: what a process that is not ours has mapped belongs to it.
        others = self._mapped_by_strangers(now.shared_memory - before.shared_memory)
        return replace(now, shared_memory=now.shared_memory - others).beyond(before)

    def end_processes_since(self, before: Belongings) -> None:
        """Kill what a test left running, so that the tests after it do not suffer."""
        for process in self.look().processes_beyond(before):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Undo the installation and remove the session's folder."""
        for name, value in self._restore.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        tempfile.tempdir = self._restore_tempdir
        shutil.rmtree(self.folder, ignore_errors=True)

    def _mapped_by_strangers(self, names: frozenset[str]) -> set[str]:
        found: set[str] = set()
        if names:
            ours = {process.pid for process in self.look().processes} | {os.getpid()}
            for pid in {int(name) for name in os.listdir("/proc") if name.isdecimal()} - ours:
                with contextlib.suppress(OSError):
                    mapped = Path(f"/proc/{pid}/maps").read_text(errors="replace")
                    found.update(name for name in names if name in mapped)
        return found

    def _processes(self) -> list[Process]:
        own = os.getpid()
        numbers = {int(name) for name in os.listdir("/proc") if name.isdecimal()}
        # Who was a stranger once stays one: an environment is inherited and never handed on to others.
        self._strangers &= numbers
        seen: dict[int, Process] = {}
        tagged: set[int] = set()
        for pid in numbers - self._strangers - {own}:
            with contextlib.suppress(OSError):
                seen[pid] = _process(pid)
                environment = _environment(pid)
                if f"{self.tag}=1".encode() in environment.split(b"\0"):
                    tagged.add(pid)
                elif environment or seen[pid].parent in (0, KERNEL_THREADS):
                    self._strangers.add(pid)
        parents = {pid: process.parent for pid, process in seen.items()}
        ours = {pid for pid in seen if pid in tagged or own in _ancestors(pid, parents)}
        self._strangers -= ours
        return [seen[pid] for pid in ours]


def _ancestors(pid: int, parents: dict[int, int]) -> list[int]:
    found: list[int] = []
    while (parent := parents.get(pid, 0)) and parent not in found:
        found.append(parent)
        pid = parent
    return found


def _environment(pid: int) -> bytes:
    """What a process was started with; nothing for kernel threads, and for those that just start or end."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read()
    except PermissionError:
        return b"somebody else's"
    except OSError:
        return b""


def _process(pid: int) -> Process:
    with open(f"/proc/{pid}/stat", errors="replace") as file:
        stat = file.read()
    name, _, rest = stat.rpartition(")")
    fields = rest.split()
    command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    if fields[0] == "Z":
        command = f"{name.partition('(')[2]}, ended but never waited for"
    return Process(pid=pid, parent=int(fields[1]), started=int(fields[19]), command=command[:200])


def _listening_sockets() -> list[str]:
    """The listening sockets of this process, by address; those of others end with their processes."""
    inodes: set[str] = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/self/fd/{name}")
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    if not inodes:
        return []
    found = []
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]:
                parts = line.split()
                if parts[3] == "0A" and parts[9] in inodes:
                    found.append(f"{table} {parts[1]}")
    accepting = 0x10000
    for line in Path("/proc/self/net/unix").read_text().splitlines()[1:]:
        parts = line.split(maxsplit=7)
        if int(parts[3], 16) & accepting and parts[6] in inodes:
            found.append(f"unix {parts[7] if len(parts) > 7 else parts[6]}")
    return found


def _names(folder: Path, prefixes: tuple[str, ...]) -> list[str]:
    try:
        return [str(folder / name) for name in os.listdir(folder) if name.startswith(prefixes)]
    except FileNotFoundError:
        return []
