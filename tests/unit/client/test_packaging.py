"""What travels with a job: modules, archives, files, sources."""

from __future__ import annotations

import hashlib
import io
import os
import sys
import types
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from python_multipart.multipart import FormParser, parse_options_header

from pyflow_yarn.client import sources
from pyflow_yarn.client.blobs import bytes_blob, directory_blob, file_blob
from pyflow_yarn.client.packaging import package, submission_body
from pyflow_yarn.datastream.execution import JobFile
from pyflow_yarn.errors import ExternalError, NotYetSupportedError, UserError
from pyflow_yarn.graph.job_graph import ArtifactKind


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A script that is ``__main__``, in a folder of its own which is on the path."""
    folder = tmp_path / "program"
    folder.mkdir()
    script = folder / "job.py"
    script.write_text("print('job')\n")
    main = types.ModuleType("__main__")
    main.__file__ = str(script)
    monkeypatch.setitem(sys.modules, "__main__", main)
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    yield script
    for name in set(sys.modules) - before:
        del sys.modules[name]


def content(blob: object) -> bytes:
    return b"".join(blob.chunks())  # type: ignore[attr-defined]


def test_blobs_are_named_by_their_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 700_000)
    blob = file_blob(str(path))
    assert (blob.key, blob.size) == (hashlib.sha256(b"x" * 700_000).hexdigest(), 700_000)
    assert content(blob) == content(blob) == b"x" * 700_000
    assert bytes_blob(b"x" * 700_000).key == blob.key
    path.write_bytes(b"x")
    with pytest.raises(ExternalError, match="changed while it was sent"):
        content(blob)


def test_a_directory_is_the_same_blob_whenever_its_content_is(tmp_path: Path) -> None:
    keys = set()
    for order, name in ((1, "one"), (-1, "two")):
        folder = tmp_path / name
        (folder / "b" / "__pycache__").mkdir(parents=True)
        (folder / "b" / "__pycache__" / f"{name}.pyc").write_text(name)
        for file in ["a.txt", "b/c.txt", "run"][::order]:
            (folder / file).write_text(file)
            os.utime(folder / file, (order + 1000, order + 1000))
        (folder / "run").chmod(0o755)
        (folder / "loop").symlink_to(folder)
        blob = directory_blob(str(folder))
        keys.add(blob.key)
        assert hashlib.sha256(content(blob)).hexdigest() == blob.key
        with zipfile.ZipFile(io.BytesIO(content(blob))) as archive:
            assert archive.namelist() == ["a.txt", "b/c.txt", "run"]
            assert archive.read("b/c.txt") == b"b/c.txt"
            assert archive.getinfo("run").external_attr >> 16 == 0o100755
    assert len(keys) == 1


def test_modules_beside_the_script_travel_with_it(program: Path) -> None:
    folder = program.parent
    (folder / "mine_imported.py").write_text("import mine_indirect\n")
    (folder / "mine_indirect.py").write_text("")
    (folder / "mine_lazy.py").write_text("def f():\n    from mine_package.inner import x\n")
    (folder / "mine_unused.py").write_text("")
    (folder / "mine_package").mkdir()
    (folder / "mine_package" / "__init__.py").write_text("")
    (folder / "mine_package" / "inner.py").write_text("x = 1\n")
    (folder / "site-packages").mkdir()
    (folder / "site-packages" / "mine_installed.py").write_text("")
    program.write_text("import json, mine_imported\ndef f(v):\n    import mine_lazy as lazy, os\n")
    sys.path.insert(1, str(folder / "site-packages"))
    try:
        __import__("mine_imported")
        __import__("mine_installed")
    finally:
        sys.path.remove(str(folder / "site-packages"))
    assert sorted(sources.local_modules(str(program))) == [
        "mine_imported.py",
        "mine_indirect.py",
        "mine_lazy.py",
        "mine_package/__init__.py",
        "mine_package/inner.py",
    ]


def test_a_package_holds_modules_and_sources(program: Path) -> None:
    (program.parent / "mine_neighbour.py").write_text("VALUE = 1\n")
    program.write_text("import mine_neighbour\n")
    __import__("mine_neighbour")
    result = package([])
    modules, texts = result.artifacts
    assert (modules.kind, modules.directory) == (ArtifactKind.PYTHON_FILE, True)
    with zipfile.ZipFile(io.BytesIO(content(result.blobs[modules.blob]))) as archive:
        assert archive.namelist() == ["mine_neighbour.py"]
    assert texts.kind is ArtifactKind.SOURCES
    decoded = msgspec.msgpack.decode(content(result.blobs[texts.blob]), type=dict[str, str])
    assert decoded[str(program)] == "import mine_neighbour\n"
    assert decoded[str(program.parent / "mine_neighbour.py")] == "VALUE = 1\n"
    assert [artifact.blob for artifact in package([]).artifacts] == [modules.blob, texts.blob]


def test_files_of_the_program(program: Path, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"zip")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "x").write_text("x")
    result = package(
        [
            JobFile(ArtifactKind.ARCHIVE, str(tmp_path / "a.zip"), "a.zip", "data"),
            JobFile(ArtifactKind.CACHED_FILE, f"file://{tmp_path}/folder", "words"),
        ]
    )
    archive, cached = result.artifacts[:2]
    assert (archive.name, archive.target, archive.size, archive.directory) == ("a.zip", "data", 3, False)
    assert (cached.name, cached.directory) == ("words", True)


def test_files_that_are_not_there(program: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"The archive '.*/a\.zip' does not exist\."):
        package([JobFile(ArtifactKind.ARCHIVE, str(tmp_path / "a.zip"), "a.zip")])
    with pytest.raises(NotYetSupportedError, match=r"The Python file 'hdfs:///a\.py' is not on this machine"):
        package([JobFile(ArtifactKind.PYTHON_FILE, "hdfs:///a.py", "a.py")])


def test_without_a_script_nothing_is_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))
    assert [artifact.kind for artifact in package([]).artifacts] in ([], [ArtifactKind.SOURCES])


def test_the_body_of_a_submission_is_multipart() -> None:
    blobs = {blob.key: blob for blob in (bytes_blob(b"one"), bytes_blob(b"\r\n--two"))}
    body = submission_body(b"graph\x00", blobs)
    whole = b"".join(body.parts())
    assert whole == b"".join(body.parts())
    assert len(whole) == body.length
    kind, parameters = parse_options_header(body.content_type)
    fields: dict[str, bytes] = {}
    files: dict[str, bytes] = {}

    def on_file(file: object) -> None:
        file.file_object.seek(0)  # type: ignore[attr-defined]
        assert file.field_name == b"file"  # type: ignore[attr-defined]
        files[file.file_name.decode()] = file.file_object.read()  # type: ignore[attr-defined]

    def on_field(field: Any) -> None:
        fields[field.field_name.decode()] = field.value

    parser = FormParser(
        kind.decode(), on_field, on_file,
        boundary=parameters[b"boundary"],
    )  # fmt: skip
    parser.write(whole)
    parser.finalize()
    assert msgspec.json.decode(fields["request"]) == {"executionPlanFileName": "job.graph", "jobArtifactFileNames": []}
    assert files == {"job.graph": b"graph\x00", **{key: content(blob) for key, blob in blobs.items()}}
