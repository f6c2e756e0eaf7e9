"""Where a job goes, from its configuration."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pyflow_yarn.deployment.cluster import Endpoint
from pyflow_yarn.deployment.remote import RemoteCluster
from pyflow_yarn.deployment.targets import chosen_target
from pyflow_yarn.errors import ConfigurationError, NotYetSupportedError


def test_available_targets() -> None:
    assert chosen_target({}) == "local"
    for name in ("Remote", "yarn-session", "yarn-application", "yarn-per-job"):
        assert chosen_target({"execution.target": name}) == name.lower()


def test_targets_that_come_later() -> None:
    with pytest.raises(
        NotYetSupportedError, match=r'^The target "kubernetes-session" is not available yet: .* "local", '
    ):
        chosen_target({"execution.target": "kubernetes-session"})


def test_a_wrong_name_lists_the_right_ones() -> None:
    with pytest.raises(ConfigurationError, match=r'^"yarn" is not a valid target\. Valid are "local", "remote", '):
        chosen_target({"execution.target": "yarn"})


def test_a_remote_cluster_is_where_the_configuration_says(tmp_path: Path) -> None:
    assert RemoteCluster({"rest.port": "1"}).endpoint() == Endpoint("localhost:1", "")
    (tmp_path / "token").write_text("secret\n")
    configuration = {
        "rest.address": "far.example",
        "rest.port": "80",
        "security.rest.token-file": str(tmp_path / "token"),
    }
    assert RemoteCluster(configuration).endpoint() == Endpoint("far.example:80", "secret")


def test_a_local_cluster_of_the_same_user_needs_no_token_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("pyflow_yarn.deployment.remote.base_directory", lambda: str(tmp_path))
    for name, port in (("pyflow-1", 1111), ("pyflow-2", 2222), ("other", 3333)):
        directory = tmp_path / name
        directory.mkdir()
        (directory / "endpoint.json").write_text(
            json.dumps({"epoch": 1, "rest_address": f"127.0.0.1:{port}", "rpc_address": "", "pid": os.getpid()})
        )
        (directory / "token").write_text(name)
    (tmp_path / "pyflow-3").mkdir()
    assert RemoteCluster({"rest.port": "2222"}).endpoint().token == "pyflow-2"
    assert RemoteCluster({"rest.address": "127.0.0.1", "rest.port": "1111"}).endpoint().token == "pyflow-1"
    assert RemoteCluster({"rest.port": "3333"}).endpoint().token == ""
    assert RemoteCluster({"rest.address": "far.example", "rest.port": "1111"}).endpoint().token == ""
