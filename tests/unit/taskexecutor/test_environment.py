"""A job's files where its processes look for them; nothing gets out of its directory."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import stat
import sys
import tarfile
import zipfile
from pathlib import Path

import msgspec
import pytest

from pyflow_runtime.taskexecutor.messages import JobEnvironment
from pyflow_runtime.taskexecutor.shell.environment import PreparedEnvironment, prepare_environment
from pyflow_runtime.taskexecutor.shell.interpreters import interpreter_of
from pyflow_runtime.taskexecutor.shell.unpacking import unpack
from pyflow_yarn.errors import ExternalError, UserError
from pyflow_yarn.graph.job_graph import Artifact, ArtifactKind


class Blobs:
    """A folder of blobs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def add(self, kind: ArtifactKind, name: str, content: bytes, target: str = "", directory: bool = False) -> Artifact:
        key = hashlib.sha256(content).hexdigest()
        path = self.folder / key
        path.write_bytes(content)
        return Artifact(kind=kind, name=name, blob=key, size=len(content), target=target, directory=directory)

    async def fetch(self, key: str) -> Path:
        if not (self.folder / key).exists():
            raise ExternalError(f"There is no blob {key}.")
        return self.folder / key


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


def environment(artifacts: list[Artifact], python: str = "") -> JobEnvironment:
    return JobEnvironment(
        job_id="1" * 32,
        job_name="a job",
        python_executable=python,
        artifacts=artifacts,
        configuration={},
        job_parameters={},
    )


@pytest.mark.parametrize("shipped", [False, True])
def test_directories_of_the_machine_come_behind_what_was_shipped(tmp_path: Path, blobs: Blobs, shipped: bool) -> None:
    artifacts = [blobs.add(ArtifactKind.PYTHON_FILE, "a.py", b"x = 1")] if shipped else []
    job = msgspec.structs.replace(environment(artifacts), configuration={"python.pythonpath": "/opt/one::/opt/two"})
    path = prepare(job, tmp_path / "job", blobs).worker.python_path
    assert path[-2:] == ["/opt/one", "/opt/two"] and len(path) == 2 + len(artifacts)


def prepare(job: JobEnvironment, directory: Path, blobs: Blobs) -> PreparedEnvironment:
    return asyncio.run(prepare_environment(job, directory, blobs.fetch))


def zipped(files: dict[str, bytes], modes: dict[str, int] | None = None) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (modes or {}).get(name, 0o644) << 16
            archive.writestr(info, content)
    return stream.getvalue()


def tarred(members: list[tuple[tarfile.TarInfo, bytes]], mode: str = "w:gz") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:  # type: ignore[call-overload]
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def test_a_job_without_files(tmp_path: Path, blobs: Blobs) -> None:
    prepared = prepare(environment([]), tmp_path / "j", blobs)
    assert prepared.worker.python_path == []
    assert os.listdir(prepared.worker.working_directory) == []


def test_python_files(tmp_path: Path, blobs: Blobs) -> None:
    artifacts = [
        blobs.add(ArtifactKind.PYTHON_FILE, "first_module.py", b"A = 1"),
        blobs.add(ArtifactKind.PYTHON_FILE, "second_module.py", b"A = 2"),
        blobs.add(ArtifactKind.PYTHON_FILE, "packed.zip", zipped({"in_zip.py": b"A = 3"})),
        blobs.add(ArtifactKind.PYTHON_FILE, "native.whl", zipped({"in_wheel.py": b"A = 4", "x/_n.so": b"elf"})),
        blobs.add(ArtifactKind.PYTHON_FILE, "folder", zipped({"in_folder.py": b"A = 5"}), directory=True),
    ]
    prepared = prepare(environment(artifacts), tmp_path / "j", blobs)
    path = prepared.worker.python_path
    assert len(path) == 4
    assert path[1].endswith("/packed.zip")
    sys.path[:0] = path
    try:
        found = [__import__(name).A for name in ("first_module", "second_module", "in_zip", "in_wheel", "in_folder")]
    finally:
        del sys.path[: len(path)]
        sys.path_importer_cache.clear()
    assert found == [1, 2, 3, 4, 5]
    assert (Path(path[2]) / "x" / "_n.so").exists()


def test_archives_and_cached_files(tmp_path: Path, blobs: Blobs) -> None:
    member = tarfile.TarInfo("data/run.sh")
    member.mode = 0o755
    link = tarfile.TarInfo("data/python")
    link.type, link.linkname = tarfile.SYMTYPE, "/usr/bin/python3"
    hard = tarfile.TarInfo("data/again")
    hard.type, hard.linkname = tarfile.LNKTYPE, "data/run.sh"
    artifacts = [
        blobs.add(ArtifactKind.ARCHIVE, "a.zip", zipped({"d/x.txt": b"x", "bin/tool": b"#!"}, {"bin/tool": 0o755})),
        blobs.add(ArtifactKind.ARCHIVE, "b.tgz", tarred([(member, b"go"), (link, b""), (hard, b"")]), target="inner/b"),
        blobs.add(ArtifactKind.CACHED_FILE, "words", b"a b"),
        blobs.add(ArtifactKind.CACHED_FILE, "tree", zipped({"one": b"1", "sub/two": b"2"}), directory=True),
        blobs.add(ArtifactKind.SOURCES, "sources", b"\x80"),
    ]
    worker = prepare(environment(artifacts), tmp_path / "j", blobs).worker
    work = Path(worker.working_directory)
    assert (work / "a.zip" / "d" / "x.txt").read_bytes() == b"x"
    assert os.access(work / "a.zip" / "bin" / "tool", os.X_OK)
    assert os.access(work / "inner/b/data/run.sh", os.X_OK)
    assert (work / "inner/b/data/again").read_bytes() == b"go"
    assert os.readlink(work / "inner/b/data/python") == "/usr/bin/python3"
    assert Path(worker.cached_files["words"]).read_bytes() == b"a b"
    assert (Path(worker.cached_files["tree"]) / "sub" / "two").read_bytes() == b"2"
    assert Path(worker.sources).read_bytes() == b"\x80"


def symlink_zip() -> bytes:
    return zipped({"out": b"/tmp", "out/x": b"x"}, {"out": stat.S_IFLNK | 0o777})


def symlink_tar() -> bytes:
    link, member = tarfile.TarInfo("out"), tarfile.TarInfo("out/x")
    link.type, link.linkname = tarfile.SYMTYPE, "/tmp"
    return tarred([(link, b""), (member, b"x")])


def hard_link_out() -> bytes:
    link = tarfile.TarInfo("x")
    link.type, link.linkname = tarfile.LNKTYPE, "../secret"
    return tarred([(link, b"")])


def fifo() -> bytes:
    info = tarfile.TarInfo("pipe")
    info.type = tarfile.FIFOTYPE
    return tarred([(info, b"")])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (zipped({"../x": b"x"}), "outside"),
        (zipped({"/x": b"x"}), "outside"),
        (tarred([(tarfile.TarInfo("a/../../x"), b"x")]), "outside"),
        (tarred([(tarfile.TarInfo("/x"), b"x")], "w"), "outside"),
        (symlink_zip(), "through a link"),
        (symlink_tar(), "through a link"),
        (hard_link_out(), "outside"),
        (fifo(), "a device or a pipe"),
        (b"plain text", "neither a zip nor a tar"),
    ],
)
def test_unsafe_archives_are_refused(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "archive").write_bytes(content)
    (tmp_path / "secret").write_text("s")
    with pytest.raises(UserError, match=f"my.zip .*{reason}"):
        unpack(tmp_path / "archive", "my.zip", tmp_path / "target")
    assert not (tmp_path / "x").exists()
    assert not Path("/tmp/x").exists()


@pytest.mark.parametrize("name", ["../x.py", "/x.py", "a/../../x.py", ""])
def test_names_are_no_way_out(name: str, tmp_path: Path, blobs: Blobs) -> None:
    for kind in (ArtifactKind.PYTHON_FILE, ArtifactKind.CACHED_FILE):
        with pytest.raises(UserError, match="cannot be the name"):
            prepare(environment([blobs.add(kind, name, b"")]), tmp_path / "j", blobs)
    with pytest.raises(UserError, match="cannot be the name"):
        prepare(
            environment([blobs.add(ArtifactKind.ARCHIVE, "a", zipped({}), target=name or "..")]), tmp_path / "j", blobs
        )


def test_a_missing_blob_is_said(tmp_path: Path, blobs: Blobs) -> None:
    artifact = Artifact(kind=ArtifactKind.CACHED_FILE, name="x", blob="0" * 64, size=1)
    with pytest.raises(ExternalError, match="There is no blob"):
        prepare(environment([artifact]), tmp_path / "j", blobs)


def test_a_disk_that_refuses_is_said(tmp_path: Path, blobs: Blobs) -> None:
    (tmp_path / "j").write_text("in the way")
    with pytest.raises(ExternalError, match="The files of job 'a job' cannot be put into"):
        prepare(environment([blobs.add(ArtifactKind.CACHED_FILE, "x", b"")]), tmp_path / "j", blobs)


# ---- interpreters ----


async def no_program(*args: object, **kwargs: object) -> int:
    raise AssertionError("nothing is to be run")


def interpreter(python: str, tmp_path: Path, blobs: Blobs) -> str:
    prepared = prepare(environment([], python), tmp_path / "j", blobs)
    return asyncio.run(interpreter_of(prepared, tmp_path / "cache", tmp_path / "logs", no_program))


def test_our_own_interpreter_is_known_by_its_path(tmp_path: Path, blobs: Blobs) -> None:
    assert interpreter("", tmp_path, blobs) == ""
    assert interpreter(sys.executable, tmp_path, blobs) == ""


def test_other_interpreters(tmp_path: Path, blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "bin" / "python9"
    other.parent.mkdir()
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    assert interpreter(str(other), tmp_path, blobs) == str(other)
    monkeypatch.setenv("PATH", str(other.parent))
    assert interpreter("python9", tmp_path, blobs) == str(other)
    with pytest.raises(UserError, match=r"'python10' .* is not on the PATH"):
        interpreter("python10", tmp_path, blobs)
    with pytest.raises(UserError, match="is no program on this machine"):
        interpreter(str(tmp_path), tmp_path, blobs)
    with pytest.raises(UserError, match="looked for among the unpacked archives"):
        interpreter("env.zip/bin/python", tmp_path, blobs)


def test_an_interpreter_out_of_an_archive(tmp_path: Path, blobs: Blobs) -> None:
    archive = blobs.add(ArtifactKind.ARCHIVE, "env.zip", zipped({"bin/python": b"#!"}, {"bin/python": 0o755}))
    prepared = prepare(environment([archive], "env.zip/bin/python"), tmp_path / "j", blobs)
    found = asyncio.run(interpreter_of(prepared, tmp_path / "cache", tmp_path / "logs", no_program))
    assert found == f"{prepared.worker.working_directory}/env.zip/bin/python"
