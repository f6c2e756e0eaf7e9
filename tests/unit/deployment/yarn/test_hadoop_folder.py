"""Where the Hadoop configuration is looked for, and what Flink's keys change of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyflow_yarn.deployment.yarn import hadoop
from pyflow_yarn.deployment.yarn.hadoop import hadoop_configuration
from pyflow_yarn.errors import ConfigurationError

SITE = "<configuration><property><name>yarn.acl.enable</name><value>false</value></property></configuration>"


@pytest.fixture(autouse=True)
def no_common_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(hadoop, "COMMON_FOLDER", str(tmp_path / "common"))
    return tmp_path / "common"


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    return tmp_path / "changed"


def _folder(path: Path) -> str:
    path.mkdir(parents=True)
    (path / "yarn-site.xml").write_text(SITE)
    return str(path)


def test_the_environment_comes_first(tmp_path: Path, changed: Path) -> None:
    named, other = _folder(tmp_path / "named"), _folder(tmp_path / "other")
    environment = {"HADOOP_CONF_DIR": named, "HADOOP_HOME": "/nowhere"}
    found = hadoop_configuration({"env.hadoop.conf.dir": other}, environment, changed)
    assert (found.folder, environment["HADOOP_CONF_DIR"]) == (Path(named), named)
    assert not changed.exists()


def test_what_it_does_not_name_is_in_the_configuration(tmp_path: Path, changed: Path) -> None:
    named = _folder(tmp_path / "named")
    environment = {"HADOOP_CONF_DIR": ""}
    assert hadoop_configuration({"env.hadoop.conf.dir": named}, environment, changed).folder == Path(named)
    assert environment == {"HADOOP_CONF_DIR": named}
    assert hadoop_configuration({"env.yarn.conf.dir": named}, {}, changed).folder == Path(named)


def test_or_below_the_home_of_hadoop(tmp_path: Path, changed: Path) -> None:
    named = _folder(tmp_path / "home" / "etc" / "hadoop")
    environment = {"HADOOP_HOME": str(tmp_path / "home")}
    assert hadoop_configuration({}, environment, changed).folder == Path(named)
    assert environment["HADOOP_CONF_DIR"] == named


def test_or_where_hadoop_is_usually_configured(
    no_common_folder: Path, changed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = _folder(no_common_folder)
    with pytest.raises(ConfigurationError, match="Neither HADOOP_CONF_DIR nor YARN_CONF_DIR is set"):
        hadoop_configuration({}, {"HADOOP_CLASSPATH": "x"}, changed)
    assert capsys.readouterr().out == ""
    assert hadoop_configuration({}, {}, changed).folder == Path(common)
    line = f"Setting HADOOP_CONF_DIR={common} because no HADOOP_CONF_DIR or HADOOP_CLASSPATH was set.\n"
    assert capsys.readouterr().out == line


def test_keys_of_flink_change_properties_for_everybody(tmp_path: Path, changed: Path) -> None:
    environment = {"YARN_CONF_DIR": _folder(tmp_path / "named")}
    keys = {"flink.yarn.acl.enable": "true", "flink.hadoop.dfs.replication": "1"}
    found = hadoop_configuration(keys, environment, changed)
    assert (found.get("yarn.acl.enable"), found.get("dfs.replication")) == ("true", "1")
    assert environment == {"YARN_CONF_DIR": str(changed), "HADOOP_CONF_DIR": str(changed)}
