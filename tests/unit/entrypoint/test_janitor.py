"""Directories of dead clusters are swept, those of living ones are not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pyflow_runtime.entrypoint.janitor import lock, sweep
from pyflow_runtime.processes.layout import Layout, read_configuration, read_secret
from pyflow_yarn.errors import ConfigurationError


def cluster(path: Path) -> Layout:
    path.mkdir(mode=0o700)
    return Layout(path)


def test_only_the_dead_are_swept(tmp_path: Path) -> None:
    living, dead = cluster(tmp_path / "living"), cluster(tmp_path / "dead")
    held = lock(living)
    os.close(lock(dead))
    (dead.directory / "file").write_text("")
    (tmp_path / "other").mkdir(mode=0o700)
    (tmp_path / "file").write_text("")
    open_to_others = cluster(tmp_path / "open")
    os.close(lock(open_to_others))
    open_to_others.directory.chmod(0o755)
    os.symlink(tmp_path / "open", tmp_path / "link")
    assert sweep(tmp_path) == [dead.directory]
    assert sorted(os.listdir(tmp_path)) == ["file", "link", "living", "open", "other"]
    os.close(held)
    assert sweep(tmp_path) == [living.directory]
    assert sweep(tmp_path / "nothing") == []


def test_a_cluster_directory_must_be_private_and_short(tmp_path: Path) -> None:
    layout = cluster(tmp_path / "d")
    if len(str(layout.directory)) < 80:
        layout.check()
    layout.directory.chmod(0o750)
    with pytest.raises(ConfigurationError, match="mode 0700"):
        layout.check()
    with pytest.raises(ConfigurationError, match="too long for Unix sockets"):
        cluster(tmp_path / ("x" * 100)).check()
    with pytest.raises(ConfigurationError, match="No such file"):
        Layout(tmp_path / "none").check()


def test_configuration_and_secret_files(tmp_path: Path) -> None:
    file = tmp_path / "conf.json"
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_configuration(file)
    file.write_text('{"a": 1}')
    with pytest.raises(ConfigurationError, match="no JSON map of texts"):
        read_configuration(file)
    file.write_text('{"a": "1"}')
    assert read_configuration(file) == {"a": "1"}
    with pytest.raises(ConfigurationError, match="does not exist"):
        read_secret(tmp_path / "secret", create=False)
    secret = read_secret(tmp_path / "secret", create=True)
    assert len(secret) == 64
    assert read_secret(tmp_path / "secret", create=True) == secret
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
