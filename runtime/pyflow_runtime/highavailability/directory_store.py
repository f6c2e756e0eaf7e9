"""A JobStore in a directory of any file system.

    format              text: the version of this layout
    epoch-<n>/          everything, in the directory of the newest epoch that was claimed; 0 until one is
        job-<id>        entry: JobGraph
        commit-<id>     entry: JobCommit
        result-<id>     entry: JobResult
        blob-<sha256>   a blob as it is

An entry is ``pyflJS01``, the sha256 of the rest, and the rest in msgpack. Files appear by rename, after their content
is synced, and the directory is synced before a call returns.

The fence needs neither locks nor clocks, only a rename in one step. The store comes into being by the rename of a
directory that holds all this, so exactly one epoch directory ever exists. Who claims epoch n+1 renames ``epoch-<n>`` to
``epoch-<n+1>``: that succeeds for one claimant only, a name never comes back, and whatever a deposed leader begins
from then on finds no directory. What it had begun is a file with a temporary name, or one step of a file system that
has looked up its directory but not yet done its work. Claimants delete such files before they read: the rename that
would make an entry of one either has happened by then, and is read, or finds nothing to rename.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
from collections.abc import Iterable, Iterator
from typing import TypeVar

import msgspec

from pyflow_runtime.highavailability.job_store import (
    DamagedEntryError,
    JobCommit,
    JobResult,
    StaleEpochError,
    StoredJobs,
    UnreadableStoreError,
)
from pyflow_yarn.errors import ExternalError
from pyflow_yarn.filesystem import BUFFER_SIZE, FileSystem, file_system, join, parent, replace_file
from pyflow_yarn.graph.job_graph import FORMAT_VERSION, JobGraph

LAYOUT_VERSION = "2"
ENTRY_MAGIC = b"pyflJS01"
_DIGEST_SIZE = hashlib.sha256().digest_size
_JOB_ID = re.compile(r"[0-9a-f]{32}")
_BLOB_KEY = re.compile(r"[0-9a-f]{64}")
_EPOCH = re.compile(r"epoch-(\d+)")
# Each time somebody else has claimed an epoch in between.
_TRIES = 100
T = TypeVar("T")


def encode_entry(value: msgspec.Struct) -> bytes:
    """An entry's bytes."""
    payload = msgspec.msgpack.encode(value)
    return ENTRY_MAGIC + hashlib.sha256(payload).digest() + payload


def decode_entry(data: bytes, expected: type[T], path: str) -> T:
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

    def __init__(self, directory: str, *, sync: bool = True, files: FileSystem | None = None) -> None:
        self._directory = directory
        self._sync = sync
        self._files = files or file_system(directory)
        with _external(f"The job store in {directory} cannot be used"):
            if self._files.status(directory) is None:
                self._create()
            found = self._read(join(directory, "format")).decode(errors="replace").strip()
        if found != LAYOUT_VERSION:
            raise UnreadableStoreError(
                f"The job store in {directory} has layout version {found}, this version reads {LAYOUT_VERSION}:"
                " use the version of pyflow-yarn that wrote it, or another directory."
            )

    # ---- leadership ----

    def claim_epoch(self) -> int:
        """See ``JobStore``."""
        with _external(f"No leader epoch can be claimed in {self._directory}"):
            epoch = self._advance()
            # Somebody who claims the next epoch meanwhile does the same; this leader's first write will be refused.
            with contextlib.suppress(FileNotFoundError):
                self._clear(self._epoch_directory(epoch))
            return epoch

    def recover(self) -> StoredJobs:
        """See ``JobStore``."""
        with _external(f"The job store in {self._directory} cannot be read"):
            for _ in range(_TRIES):
                directory = self._epoch_directory(self._newest_epoch())
                # A name that is gone means a newer leader, or an entry that it has just deleted: look again.
                with contextlib.suppress(FileNotFoundError):
                    return self._load(directory)
        raise ExternalError(f"The job store in {self._directory} is changed all the time by others.")

    # ---- entries ----

    def put_job(self, graph: JobGraph, epoch: int) -> None:
        """See ``JobStore``."""
        self._put("job", graph.job_id, graph, epoch)

    def put_commit(self, commit: JobCommit, epoch: int) -> None:
        """See ``JobStore``."""
        self._put("commit", commit.job_id, commit, epoch)

    def put_result(self, result: JobResult, epoch: int) -> None:
        """See ``JobStore``."""
        self._put("result", result.job_id, result, epoch)
        with _external(f"The entries of job {result.job_id} cannot be deleted from {self._directory}"):
            for kind in ("job", "commit"):
                self._files.delete(join(self._epoch_directory(epoch), f"{kind}-{result.job_id}"))

    def _put(self, kind: str, job_id: str, value: msgspec.Struct, epoch: int) -> None:
        name = f"{kind}-{_checked(job_id)}"
        with self._fenced(f"The {kind} {job_id} cannot be stored in {self._directory}", epoch) as directory:
            self._replace(join(directory, name), [encode_entry(value)])

    # ---- blobs ----

    def put_blob(self, key: str, content: Iterable[bytes], epoch: int) -> None:
        """See ``JobStore``."""
        name = _blob(key)
        with self._fenced(f"Blob {key} cannot be stored in {self._directory}", epoch) as directory:
            self._replace(join(directory, name), content)

    def read_blob(self, key: str, epoch: int) -> Iterator[bytes]:
        """See ``JobStore``."""
        name = _blob(key)
        fenced = self._fenced(f"Blob {key} cannot be read from {self._directory}", epoch)
        with fenced as directory, self._files.open(join(directory, name)) as file:
            while piece := file.read(BUFFER_SIZE):
                yield piece

    def delete_blobs(self, keys: Iterable[str], epoch: int) -> None:
        """See ``JobStore``."""
        with _external(f"Blobs cannot be deleted from {self._directory}"):
            for key in keys:
                self._files.delete(join(self._epoch_directory(epoch), _blob(key)))

    # ---- inside ----

    def _create(self) -> None:
        """Make an empty store, unless somebody else is quicker."""
        above, _, name = self._directory.rpartition("/")
        prepared = join(above, f".{name}.{secrets.token_hex(4)}")
        self._files.make_directories(prepared, private=True)
        try:
            self._files.make_directories(join(prepared, "epoch-0"), private=True)
            self._replace(join(prepared, "format"), [LAYOUT_VERSION.encode()])
            self._files.rename(prepared, self._directory)
        except BaseException as error:
            self._files.delete(prepared, recursive=True)
            if not isinstance(error, FileExistsError):
                raise
        if self._sync:
            self._files.sync_directory(parent(self._directory))

    def _epoch_directory(self, epoch: int) -> str:
        return join(self._directory, f"epoch-{epoch}")

    def _newest_epoch(self) -> int:
        for _ in range(_TRIES):
            found = [_EPOCH.fullmatch(_name(each.path)) for each in self._files.list(self._directory)]
            # A local directory that is listed during a rename may show both names, or none.
            if epochs := [int(match[1]) for match in found if match]:
                return max(epochs)
        raise DamagedEntryError(
            f"{self._directory} is damaged (it has no directory epoch-<number>): restore it from a copy, or use another"
            " directory."
        )

    def _advance(self) -> int:
        for _ in range(_TRIES):
            epoch = self._newest_epoch()
            # The epoch has another number by now, or is about to.
            with contextlib.suppress(FileNotFoundError, FileExistsError):
                self._files.rename(self._epoch_directory(epoch), self._epoch_directory(epoch + 1))
                if self._sync:
                    self._files.sync_directory(self._directory)
                return epoch + 1
        raise ExternalError(f"The epochs in {self._directory} are claimed by others all the time.")

    def _clear(self, directory: str) -> None:
        for found in self._files.list(directory):
            if _name(found.path).startswith("."):
                self._files.delete(found.path)
        if self._sync:
            # A deposed leader may have renamed an entry and not have come to this.
            self._files.sync_directory(directory)

    def _load(self, directory: str) -> StoredJobs:
        names = [_name(found.path) for found in self._files.list(directory)]

        def entries(kind: str, expected: type[T], ended: set[str]) -> list[T]:
            jobs = [name.partition("-")[2] for name in names if name.startswith(f"{kind}-")]
            paths = [join(directory, f"{kind}-{job_id}") for job_id in sorted(set(jobs) - ended)]
            return [decode_entry(self._read(path), expected, path) for path in paths]

        results = entries("result", JobResult, set())
        ended = {result.job_id for result in results}
        graphs = entries("job", JobGraph, ended)
        for graph in graphs:
            if graph.format_version > FORMAT_VERSION:
                raise UnreadableStoreError(
                    f"Job {graph.job_id} in {self._directory} was stored by a newer version (graph format"
                    f" {graph.format_version}, this version reads up to {FORMAT_VERSION}): upgrade pyflow-yarn."
                )
        blobs = frozenset(name.partition("-")[2] for name in names if name.startswith("blob-"))
        return StoredJobs(graphs=graphs, commits=entries("commit", JobCommit, ended), results=results, blobs=blobs)

    @contextlib.contextmanager
    def _fenced(self, failure: str, epoch: int) -> Iterator[str]:
        with _external(failure):
            try:
                yield self._epoch_directory(epoch)
            except FileNotFoundError:
                newest = self._newest_epoch()
                if newest <= epoch:
                    raise
                raise StaleEpochError(
                    f"Leader epoch {epoch} may not write any more: epoch {newest} has taken over."
                ) from None

    def _read(self, path: str) -> bytes:
        with self._files.open(path) as file:
            return file.read()

    def _replace(self, path: str, content: Iterable[bytes]) -> None:
        replace_file(self._files, path, content, private=True, sync=self._sync)


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _checked(job_id: str) -> str:
    if not _JOB_ID.fullmatch(job_id):
        raise ExternalError(f"{job_id!r} is no job id: 32 hexadecimal digits are wanted.")
    return job_id


def _blob(key: str) -> str:
    if not _BLOB_KEY.fullmatch(key):
        raise ExternalError(f"{key[:80]!r} is no blob key: 64 hexadecimal digits are wanted.")
    return f"blob-{key}"


@contextlib.contextmanager
def _external(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ExternalError(f"{what}: {error.strerror or error}.") from error
