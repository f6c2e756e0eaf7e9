"""What processes in containers of YARN have in common."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from pyflow_runtime.entrypoint import container
from pyflow_yarn.errors import ConfigurationError


def test_the_node_and_the_log_folder_are_what_yarn_says() -> None:
    environment = {"NM_HOST": "node7", "LOG_DIRS": "/a/logs,/b/logs"}
    assert container.host(environment) == "node7"
    assert container.log_directory(environment) == Path("/a/logs")
    with pytest.raises(ConfigurationError, match="NM_HOST is not set: this program runs in containers of YARN"):
        container.host({})


def test_the_private_folder_has_a_short_name_and_lies_in_the_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    links, inside = tmp_path / "tmp", tmp_path / "container"
    links.mkdir()
    inside.mkdir()
    (links / "pyflow-dead").symlink_to(tmp_path / "gone")
    (links / "pyflow-living").symlink_to(tmp_path)
    (links / "other").symlink_to(tmp_path / "gone")
    monkeypatch.setattr(container, "LINKS", links)
    monkeypatch.chdir(inside)
    with container.private_folder() as folder:
        assert folder.resolve() == inside / "pyflow"
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
        assert sorted(os.listdir(links)) == sorted(["other", "pyflow-living", folder.name])
    assert sorted(os.listdir(links)) == ["other", "pyflow-living"]
