"""A job's environment on this machine: its artifacts fetched and put where its processes look for them.

<directory>/python/           single .py files
<directory>/python.<i>/<name> a zip, wheel or egg under its own name, or an unpacked directory
<directory>/work/<target>/    unpacked archives; the working directory of its functions is work/
<directory>/cached.<i>/<name> files of the distributed cache
"""

from __future__ import annotations

import asyncio
import os
import zipfile
from collections.abc import Awaitable, Callable
from pathlib import Path, PurePosixPath

import msgspec

from pyflow_runtime.taskexecutor.messages import JobEnvironment
from pyflow_runtime.taskexecutor.shell.unpacking import unpack
from pyflow_runtime.worker.messages import WorkerEnvironment
from pyflow_yarn.configuration.options import PYTHON_PYTHONPATH
from pyflow_yarn.errors import ExternalError, UserError
from pyflow_yarn.graph.job_graph import Artifact, ArtifactKind

FetchBlob = Callable[[str], Awaitable[Path]]


class PreparedEnvironment(msgspec.Struct, frozen=True, kw_only=True):
    """``requirements``: the requirements file, if any; ``packages``: a directory to install them from, if any."""

    worker: WorkerEnvironment
    requirements: Path | None = None
    packages: Path | None = None


async def prepare_environment(job: JobEnvironment, directory: Path, fetch: FetchBlob) -> PreparedEnvironment:
    """Fetch all artifacts of a job and lay them out; ``PyflowError`` with a sentence if that fails."""
    blobs = await asyncio.gather(*(fetch(artifact.blob) for artifact in job.artifacts))
    if not job.artifacts:
        work = directory / "work"
        work.mkdir(mode=0o700, parents=True, exist_ok=True)
        worker = WorkerEnvironment(job=job, python_path=_configured_path(job), working_directory=str(work))
        return PreparedEnvironment(worker=worker)
    try:
        return await asyncio.to_thread(_lay_out, job, directory, blobs)
    except OSError as error:
        raise ExternalError(
            f"The files of job '{job.job_name}' cannot be put into {directory}: {error.strerror or error}."
        ) from error


def _configured_path(job: JobEnvironment) -> list[str]:
    """Directories that are on the workers' machines already."""
    return [entry for entry in (PYTHON_PYTHONPATH.read(job.configuration) or "").split(os.pathsep) if entry]


def _lay_out(job: JobEnvironment, directory: Path, blobs: list[Path]) -> PreparedEnvironment:
    work = directory / "work"
    work.mkdir(mode=0o700, parents=True, exist_ok=True)
    python_path: list[str] = []
    cached_files: dict[str, str] = {}
    sources = ""
    requirements = packages = None
    for index, (artifact, blob) in enumerate(zip(job.artifacts, blobs, strict=True)):
        match artifact.kind:
            case ArtifactKind.PYTHON_FILE:
                entry = str(_python_file(directory, index, artifact, blob))
                if entry not in python_path:
                    python_path.append(entry)
            case ArtifactKind.ARCHIVE:
                unpack(blob, artifact.name, _inside(work, artifact.target or artifact.name))
            case ArtifactKind.CACHED_FILE:
                cached_files[artifact.name] = str(_place(directory / f"cached.{index}", artifact, blob))
            case ArtifactKind.SOURCES:
                sources = str(blob)
            case ArtifactKind.REQUIREMENTS if artifact.directory:
                packages = _place(directory / f"packages.{index}", artifact, blob)
            case ArtifactKind.REQUIREMENTS:
                requirements = _place(directory / f"requirements.{index}", artifact, blob)
    python_path += _configured_path(job)
    worker = WorkerEnvironment(
        job=job, python_path=python_path, working_directory=str(work), cached_files=cached_files, sources=sources
    )
    return PreparedEnvironment(worker=worker, requirements=requirements, packages=packages)


def _python_file(directory: Path, index: int, artifact: Artifact, blob: Path) -> Path:
    """Where on ``sys.path`` the artifact is found."""
    if not artifact.directory and artifact.name.endswith(".py"):
        folder = directory / "python"
        _place(folder, artifact, blob)
        return folder
    folder = directory / f"python.{index}"
    if not artifact.directory and not _has_binaries(blob):
        return _place(folder, artifact, blob)
    path = _inside(folder, artifact.name)
    unpack(blob, artifact.name, path)
    return path


def _has_binaries(blob: Path) -> bool:
    """Whether a zip holds extension modules, which Python cannot load out of it."""
    if not zipfile.is_zipfile(blob):
        return False
    with zipfile.ZipFile(blob) as archive:
        return any(PurePosixPath(name).suffix == ".so" for name in archive.namelist())


def _place(folder: Path, artifact: Artifact, blob: Path) -> Path:
    path = _inside(folder, artifact.name)
    if artifact.directory:
        unpack(blob, artifact.name, path)
        return path
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    os.symlink(blob, path)
    return path


def _inside(folder: Path, name: str) -> Path:
    relative = PurePosixPath(name)
    if not relative.parts or relative.is_absolute() or ".." in relative.parts:
        raise UserError(f"{name!r} cannot be the name of a file that travels with a job.")
    return folder / relative
