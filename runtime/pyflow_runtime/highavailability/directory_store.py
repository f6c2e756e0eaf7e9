"""A JobStore in a directory of this machine.

    format              text: the version of this layout
    epoch               text: the newest epoch that was claimed (the fence), replaced under ``lock``
    lock                flock: held while the epoch is compared and an entry is put in place
    jobs/<job id>       entry: JobGraph
    commits/<job id>    entry: JobCommit
    results/<job id>    entry: JobResult

An entry is ``pyflJS01``, the sha256 of the rest, and the rest in msgpack. Files appear by rename, after fsync of
the content, and the directory is synced before a call returns.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from pyflow_runtime.highavailability.job_store import (
    DamagedEntryError,
    JobCommit,
    JobResult,
    StaleEpochError,
    StoredJobs,
)
from pyflow_yarn.errors import ExternalError
from pyflow_yarn.graph.job_graph import FORMAT_VERSION, JobGraph

LAYOUT_VERSION = "1"
ENTRY_MAGIC = b"pyflJS01"
_DIGEST_SIZE = hashlib.sha256().digest_size
_JOB_ID = re.compile(r"[0-9a-f]{32}")
T = TypeVar("T")


def encode_entry(value: msgspec.Struct) -> bytes:
    """An entry's bytes."""
    payload = msgspec.msgpack.encode(value)
    return ENTRY_MAGIC + hashlib.sha256(payload).digest() + payload


def decode_entry(data: bytes, expected: type[T], path: Path) -> T:
    """The value of an entry; ``DamagedEntryError`` naming ``path`` if it is not intact."""
    header = len(ENTRY_MAGIC) + _DIGEST_SIZE
    advice = "restore the file from a copy, or move it away to go on without that job"
    if len(data) < header or not data.startswith(ENTRY_MAGIC):
        raise DamagedEntryError(f"{path} is no entry of a job store: {advice}.")
    payload = data[header:]
    if hashlib.sha256(payload).digest() != data[len(ENTRY_MAGIC) : header]:
        raise DamagedEntryError(f"{path} is damaged (its checksum does not match): {advice}.")
    try:
        return msgspec.msgpack.decode(payload, type=expected)
    except msgspec.DecodeError as error:
        raise DamagedEntryError(f"{path} cannot be read by this version ({error}): {advice}.") from error


class DirectoryJobStore:
    """See the module. Several processes may open one directory: the fence decides who writes.

    Without ``sync`` entries survive their processes but not the machine: enough where the directory ends with a client.
    """

    def __init__(self, directory: Path, *, sync: bool = True) -> None:
        self._directory = directory
        self._sync = sync
        with _external(f"The job store in {directory} cannot be used"):
            for folder in (directory, directory / "jobs", directory / "commits", directory / "results"):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            layout = directory / "format"
            if not layout.exists():
                self._replace(layout, LAYOUT_VERSION.encode())
            found = layout.read_text().strip()
        if found != LAYOUT_VERSION:
            raise ExternalError(
                f"The job store in {directory} has layout version {found}, this version reads {LAYOUT_VERSION}:"
                " use the version of pyflow-yarn that wrote it, or another directory."
            )

    def claim_epoch(self) -> int:
        """See ``JobStore``."""
        with _external(f"No leader epoch can be claimed in {self._directory}"), self._locked():
            epoch = self._fence() + 1
            self._replace(self._directory / "epoch", str(epoch).encode())
            return epoch

    def recover(self) -> StoredJobs:
        """See ``JobStore``."""
        with _external(f"The job store in {self._directory} cannot be read"), self._locked():
            results = [self._read(path, JobResult) for path in self._entries("results")]
            ended = {result.job_id for result in results}
            graphs = [self._read(path, JobGraph) for path in self._entries("jobs") if path.name not in ended]
            commits = [self._read(path, JobCommit) for path in self._entries("commits") if path.name not in ended]
        for graph in graphs:
            if graph.format_version > FORMAT_VERSION:
                raise ExternalError(
                    f"Job {graph.job_id} in {self._directory} was stored by a newer version (graph format"
                    f" {graph.format_version}, this version reads up to {FORMAT_VERSION}): upgrade pyflow-yarn."
                )
        return StoredJobs(graphs=graphs, commits=commits, results=results)

    def put_job(self, graph: JobGraph, epoch: int) -> None:
        """See ``JobStore``."""
        name = _checked(graph.job_id)
        with _external(f"Job {name} cannot be stored in {self._directory}"), self._locked():
            self._check(epoch)
            if not (self._directory / "results" / name).exists():
                self._replace(self._directory / "jobs" / name, encode_entry(graph))

    def put_commit(self, commit: JobCommit, epoch: int) -> None:
        """See ``JobStore``."""
        name = _checked(commit.job_id)
        with _external(f"The commit of job {name} cannot be stored in {self._directory}"), self._locked():
            self._check(epoch)
            if not (self._directory / "results" / name).exists():
                self._replace(self._directory / "commits" / name, encode_entry(commit))

    def put_result(self, result: JobResult, epoch: int) -> None:
        """See ``JobStore``."""
        name = _checked(result.job_id)
        with _external(f"The result of job {name} cannot be stored in {self._directory}"), self._locked():
            self._check(epoch)
            self._replace(self._directory / "results" / name, encode_entry(result))
            for folder in ("jobs", "commits"):
                (self._directory / folder / name).unlink(missing_ok=True)

    # ---- inside ----

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _fence(self) -> int:
        path = self._directory / "epoch"
        try:
            text = path.read_text()
        except FileNotFoundError:
            return 0
        if not text.isdecimal():
            raise DamagedEntryError(
                f"{path} is damaged (it holds {text[:20]!r} instead of a number): write into it a number above"
                " every epoch in the JobManager's logs."
            )
        return int(text)

    def _check(self, epoch: int) -> None:
        fence = self._fence()
        if epoch < fence:
            raise StaleEpochError(f"Leader epoch {epoch} may not write any more: epoch {fence} has taken over.")

    def _entries(self, folder: str) -> list[Path]:
        return sorted(path for path in (self._directory / folder).iterdir() if not path.name.startswith("."))

    def _read(self, path: Path, expected: type[T]) -> T:
        return decode_entry(path.read_bytes(), expected, path)

    def _replace(self, path: Path, content: bytes) -> None:
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            with open(temporary, "wb", opener=_private) as file:
                file.write(content)
                file.flush()
                if self._sync:
                    os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if not self._sync:
            return
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _checked(job_id: str) -> str:
    if not _JOB_ID.fullmatch(job_id):
        raise ExternalError(f"{job_id!r} is no job id: 32 hexadecimal digits are wanted.")
    return job_id


@contextlib.contextmanager
def _external(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ExternalError(f"{what}: {error.strerror or error}.") from error
