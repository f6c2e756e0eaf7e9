"""Permissions of files hold where a test wants them to, and only there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.privileges import let_permissions_hold, permissions_hold


def test_in_this_thread_for_a_while(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("content")
    path.chmod(0)
    may_read = os.access(path, os.R_OK)
    with permissions_hold():
        assert not os.access(path, os.R_OK)
        with pytest.raises(PermissionError):
            path.read_text()
    assert os.access(path, os.R_OK) == may_read


def test_in_a_child(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("content")
    path.chmod(0)
    done = subprocess.run(["cat", path], capture_output=True, text=True, preexec_fn=let_permissions_hold, check=False)
    assert done.returncode != 0
    assert "ermission denied" in done.stderr
