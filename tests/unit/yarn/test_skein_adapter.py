"""What the adapter says before it reaches YARN."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pyflow_yarn.errors import ConfigurationError, ExternalError
from pyflow_yarn.yarn import Principals
from pyflow_yarn.yarn.hadoop_configuration import HadoopConfiguration
from pyflow_yarn.yarn.resource_manager import ResourceManager
from pyflow_yarn.yarn.skein_adapter import SkeinYarn
from tests.yarn.conformance import application


def test_a_dead_resource_manager_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "yarn-site.xml").write_text(
        "<configuration><property><name>yarn.resourcemanager.webapp.address</name><value>127.0.0.1:9</value></property>"
        "</configuration>"
    )
    yarn = SkeinYarn(tmp_path, HadoopConfiguration(tmp_path), "ann")
    with pytest.raises(ExternalError, match="is it running"):
        yarn.submit(application())


def test_who_else_may_see_and_end_an_application(tmp_path: Path) -> None:
    (tmp_path / "yarn-site.xml").write_text("<configuration/>")
    yarn = SkeinYarn(tmp_path, HadoopConfiguration(tmp_path), "ann")
    assert not yarn._specification(application()).acls.enable
    shared = replace(application(), viewers=Principals(("bob", "*"), ("ops",)), modifiers=Principals((), ("admins",)))
    acls = yarn._specification(shared).acls
    assert (acls.enable, acls.view_users, acls.view_groups) == (True, ["bob", "*"], ["ops"])
    assert (acls.modify_users, acls.modify_groups, acls.ui_users) == ([], ["admins"], ["bob", "*"])


@pytest.mark.parametrize(
    ("home", "path", "sentence"),
    [
        ("", "", "command yarn is not found: put Hadoop's bin"),
        ("/nowhere", "bin", "/nowhere/bin/java is not found: set JAVA_HOME"),
    ],
)
def test_what_the_driver_needs_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str, path: str, sentence: str
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "yarn").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / path))
    monkeypatch.setenv("JAVA_HOME", home)
    monkeypatch.setattr(ResourceManager, "check", lambda manager: None)
    with pytest.raises(ConfigurationError, match=sentence):
        SkeinYarn(tmp_path, HadoopConfiguration(tmp_path), "ann").submit(application())


def test_a_driver_that_does_not_start_tells_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    for name, script in (("yarn", "echo /classes"), ("java", "echo Error: no memory >&2; exit 1")):
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setattr(ResourceManager, "check", lambda manager: None)
    yarn = SkeinYarn(tmp_path, HadoopConfiguration(tmp_path), "ann")
    with pytest.raises(ExternalError, match=r"driver does not start \(.*\): Error: no memory"):
        yarn.submit(application())
    yarn.close()
