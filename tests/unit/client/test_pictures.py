"""Pictures are written as a whole or not at all."""

from __future__ import annotations

import io
import os
import stat
import sys
from pathlib import Path

import pytest

from pyflow_yarn.client import pictures
from pyflow_yarn.errors import ExternalError


def test_a_new_file_has_the_usual_permissions(tmp_path: Path) -> None:
    file = tmp_path / "plan.svg"
    pictures.write(str(file), "<svg/>\n")
    (tmp_path / "usual").touch()
    assert file.read_text() == "<svg/>\n"
    assert file.stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_an_old_file_keeps_its_permissions_and_its_links(tmp_path: Path) -> None:
    file, link = tmp_path / "plan.svg", tmp_path / "link.svg"
    file.write_text("old")
    file.chmod(0o640)
    link.symlink_to(file)
    pictures.check(str(link))
    pictures.write(str(link), "new")
    assert link.is_symlink()
    assert file.read_text() == "new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_a_failure_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: str, target: str) -> None:
        raise OSError(28, "No space left on device")

    file = tmp_path / "plan.svg"
    file.write_text("old")
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ExternalError, match=r"^The picture cannot be written to '.*': no space left on device\.$"):
        pictures.write(str(file), "new")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_what_is_no_regular_file_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        pictures.check(str(pipe))
        pictures.write(str(pipe), "<svg/>")
        assert os.read(reader, 100) == b"<svg/>"
    finally:
        os.close(reader)


def test_a_file_that_is_read_only(file_permissions: None, tmp_path: Path) -> None:
    file = tmp_path / "plan.svg"
    file.touch(0o400)
    with pytest.raises(ExternalError, match="permission denied"):
        pictures.check(str(file))


@pytest.mark.parametrize(("encoding", "expected"), [("utf-8", "é".encode()), ("latin-1", b"&#233;")])
def test_the_standard_output_is_read_as_utf8(monkeypatch: pytest.MonkeyPatch, encoding: str, expected: bytes) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    pictures.write(pictures.STANDARD_OUTPUT, "é")
    sys.stdout.flush()
    assert raw.getvalue() == expected
