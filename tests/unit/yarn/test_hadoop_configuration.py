"""The Hadoop configuration of an edge node."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pyflow_yarn.errors import ConfigurationError
from pyflow_yarn.yarn.hadoop_configuration import HadoopConfiguration


def _configuration(folder: Path, **properties: str) -> HadoopConfiguration:
    root = ElementTree.Element("configuration")
    for name, value in properties.items():
        one = ElementTree.SubElement(root, "property")
        ElementTree.SubElement(one, "name").text = name
        ElementTree.SubElement(one, "value").text = value
    (folder / "yarn-site.xml").write_bytes(ElementTree.tostring(root))
    return HadoopConfiguration.of_environment({"HADOOP_CONF_DIR": str(folder)})


@pytest.mark.parametrize(
    ("properties", "addresses"),
    [
        ({}, ["http://127.0.0.1:8088"]),
        ({"hostname": "rm.example"}, ["http://rm.example:8088"]),
        ({"hostname": "rm", "webapp.address": "${yarn.resourcemanager.hostname}:1"}, ["http://rm:1"]),
        (
            {"ha.enabled": "true", "ha.rm-ids": "a, b", "hostname.a": "x", "webapp.address.b": "y:2"},
            ["http://x:8088", "http://y:2"],
        ),
    ],
)
def test_where_resource_managers_answer(tmp_path: Path, properties: dict[str, str], addresses: list[str]) -> None:
    named = {f"yarn.resourcemanager.{key}": value for key, value in properties.items()}
    assert _configuration(tmp_path, **named).web_addresses() == addresses


def test_https(tmp_path: Path) -> None:
    configuration = _configuration(
        tmp_path, **{"yarn.http.policy": "HTTPS_ONLY", "yarn.resourcemanager.hostname": "rm"}
    )
    assert configuration.web_addresses() == ["https://rm:8090"]


def test_a_reference_to_itself_ends(tmp_path: Path) -> None:
    assert _configuration(tmp_path, a="${a}").get("a") == "${a}"


def test_an_archive_has_changed_properties(tmp_path: Path) -> None:
    configuration = _configuration(tmp_path, a="1", b="2")
    (tmp_path / "keys").write_text("secret")
    (tmp_path / "other").mkdir()
    with zipfile.ZipFile(io.BytesIO(configuration.archive({"a": "3", "c": "4"}))) as archive:
        archive.extractall(tmp_path / "other")
        assert archive.namelist() == ["yarn-site.xml"]
    changed = HadoopConfiguration(tmp_path / "other")
    assert [changed.get(key) for key in "abc"] == ["3", "2", "4"]


def test_another_folder_has_changed_properties_in_each_file(tmp_path: Path) -> None:
    original = tmp_path / "conf"
    original.mkdir()
    configuration = _configuration(original, a="1", b="2")
    (original / "core-site.xml").write_text(
        "<configuration><property><name>a</name><value>0</value><final>true</final></property></configuration>"
    )
    (original / "topology.map").write_text("x")
    (original / "shellprofile.d").mkdir()
    target = tmp_path / "changed"
    changed = configuration.changed(target, {"a": "3", "c": "4"})
    assert [changed.get(key) for key in "abc"] == ["3", "2", "4"]
    assert [HadoopConfiguration(original).get(key) for key in "abc"] == ["1", "2", ""]
    names = ["core-site.xml", "hdfs-site.xml", "topology.map", "yarn-site.xml"]
    assert sorted(path.name for path in target.iterdir()) == names
    assert "final" not in (target / "core-site.xml").read_text()


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [({}, "Neither HADOOP_CONF_DIR nor"), ({"HADOOP_CONF_DIR": "/nowhere"}, "There is no yarn-site.xml in /nowhere")],
)
def test_no_configuration_is_a_sentence(environment: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        HadoopConfiguration.of_environment(environment)


def test_broken_files_are_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "yarn-site.xml").write_text("<configuration>")
    with pytest.raises(ConfigurationError, match=r"yarn-site\.xml cannot be read"):
        HadoopConfiguration(tmp_path)
