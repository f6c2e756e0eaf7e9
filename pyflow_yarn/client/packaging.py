"""Everything that travels with a job, as artifacts and their blobs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from pyflow_yarn.client import sources
from pyflow_yarn.client.blobs import Blob, bytes_blob, directory_blob, file_blob, zip_blob
from pyflow_yarn.client.program import is_remote, local_path
from pyflow_yarn.client.rest import Body
from pyflow_yarn.datastream.execution import JobFile
from pyflow_yarn.errors import NotYetSupportedError, UserError
from pyflow_yarn.graph.job_graph import Artifact, ArtifactKind

MODULES_NAME = "program-modules"
SOURCES_NAME = "program-sources"
GRAPH_FILE = "job.graph"

_ORIGIN = {
    ArtifactKind.PYTHON_FILE: "The Python file",
    ArtifactKind.ARCHIVE: "The archive",
    ArtifactKind.CACHED_FILE: "The cached file",
    ArtifactKind.REQUIREMENTS: "The requirements file",
    ArtifactKind.SOURCES: "The source file",
}


class Package:
    """The artifacts of a job with their content by key."""

    def __init__(self) -> None:
        self.artifacts: list[Artifact] = []
        self.blobs: dict[str, Blob] = {}

    def add(self, kind: ArtifactKind, name: str, blob: Blob, target: str = "", directory: bool = False) -> None:
        """Add one artifact."""
        self.blobs[blob.key] = blob
        self.artifacts.append(
            Artifact(kind=kind, name=name, blob=blob.key, size=blob.size, target=target, directory=directory)
        )


def package(files: Iterable[JobFile]) -> Package:
    """The files that the program named, and the program's own modules and sources."""
    result = Package()
    for file in files:
        path = _checked(file)
        if os.path.isdir(path):
            result.add(file.kind, file.name, directory_blob(path), file.target, directory=True)
        else:
            result.add(file.kind, file.name, file_blob(path), file.target)
    script = sources.main_file()
    modules = sources.local_modules(script) if script else {}
    if modules:
        result.add(ArtifactKind.PYTHON_FILE, MODULES_NAME, zip_blob(modules), directory=True)
    texts = sources.source_texts(script, modules)
    if texts:
        result.add(ArtifactKind.SOURCES, SOURCES_NAME, bytes_blob(msgspec.msgpack.encode(texts, order="sorted")))
    return result


def _checked(file: JobFile) -> str:
    what = f"{_ORIGIN[file.kind]} '{file.path}'"
    if is_remote(file.path):
        raise NotYetSupportedError(f"{what} is not on this machine: remote files come in a later version.")
    path = local_path(file.path)
    if not os.path.exists(path):
        raise UserError(f"{what} does not exist.")
    if not os.access(path, os.R_OK):
        raise UserError(f"{what} cannot be read: permission denied.")
    return path


def submission_body(graph: bytes, blobs: Mapping[str, Blob]) -> Body:
    """The multipart body of ``POST /jobs``: a JSON part ``request``, the graph, and each blob under its key."""
    boundary = "pyflow-" + os.urandom(12).hex()
    request = msgspec.json.encode({"executionPlanFileName": GRAPH_FILE, "jobArtifactFileNames": []})
    heads = [_file_head(boundary, name) for name in (GRAPH_FILE, *blobs)]
    first = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="request"\r\nContent-Type: application/json\r\n\r\n'
    ).encode() + request
    end = f"\r\n--{boundary}--\r\n".encode()

    def parts() -> Iterator[bytes]:
        yield first + heads[0] + graph
        for head, blob in zip(heads[1:], blobs.values(), strict=True):
            yield head
            yield from blob.chunks()
        yield end

    length = len(first) + sum(map(len, heads)) + len(graph) + sum(blob.size for blob in blobs.values()) + len(end)
    return Body(parts, length, f"multipart/form-data; boundary={boundary}")


def _file_head(boundary: str, name: str) -> bytes:
    return (
        f'\r\n--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()
