"""The Hadoop configuration of an edge node: the XML files in ``HADOOP_CONF_DIR`` or ``YARN_CONF_DIR``."""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

from pyflow_yarn.errors import ConfigurationError
from pyflow_yarn.filesystem.hadoop_properties import HadoopProperties, read_xml

FILES = ("core-site.xml", "hdfs-site.xml", "yarn-site.xml")


class HadoopConfiguration:
    """Properties of YARN and of the file systems."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._properties = HadoopProperties(folder, FILES)

    @classmethod
    def of_environment(cls, environment: Mapping[str, str]) -> HadoopConfiguration:
        """The one that the environment names."""
        name = environment.get("YARN_CONF_DIR") or environment.get("HADOOP_CONF_DIR")
        if not name:
            raise ConfigurationError(
                "Neither HADOOP_CONF_DIR nor YARN_CONF_DIR is set: "
                "set HADOOP_CONF_DIR to the folder that has the cluster's yarn-site.xml."
            )
        folder = Path(name)
        if not (folder / "yarn-site.xml").is_file():
            raise ConfigurationError(
                f"There is no yarn-site.xml in {folder}: set HADOOP_CONF_DIR to the folder it is in."
            )
        return cls(folder)

    def get(self, key: str, default: str = "") -> str:
        """The property's value, with what it refers to put in."""
        return self._properties.get(key, default)

    @property
    def web_scheme(self) -> str:
        """How YARN's daemons are asked: http or https."""
        return "https" if self.get("yarn.http.policy") == "HTTPS_ONLY" else "http"

    def web_addresses(self) -> list[str]:
        """Where the ResourceManagers answer HTTP, as URLs."""
        scheme = self.web_scheme
        key, port = ("webapp.https.address", 8090) if scheme == "https" else ("webapp.address", 8088)
        ids = (
            self.get("yarn.resourcemanager.ha.rm-ids") if self.get("yarn.resourcemanager.ha.enabled") == "true" else ""
        )
        suffixes = [f".{one.strip()}" for one in ids.split(",") if one.strip()] or [""]
        return [f"{scheme}://{self._web_address(key, port, suffix)}" for suffix in suffixes]

    def _web_address(self, key: str, port: int, suffix: str) -> str:
        host = self.get(f"yarn.resourcemanager.hostname{suffix}") or self.get(
            "yarn.resourcemanager.hostname", "127.0.0.1"
        )
        return self.get(f"yarn.resourcemanager.{key}{suffix}") or f"{host}:{port}"

    def changed(self, folder: Path, changes: Mapping[str, str]) -> HadoopConfiguration:
        """Its files, written into another folder, in which ``changes`` are properties."""
        folder.mkdir(exist_ok=True)
        for path in self.folder.iterdir():
            if path.is_file() and path.name not in FILES:
                shutil.copy(path, folder)
        for name in FILES:
            (folder / name).write_bytes(_changed(self.folder / name, changes))
        return HadoopConfiguration(folder)

    def archive(self, changes: Mapping[str, str]) -> bytes:
        """A zip of the folder's files in which ``changes`` are properties of yarn-site.xml."""
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(self.folder.iterdir()):
                if path.name == "yarn-site.xml":
                    archive.writestr(path.name, _changed(path, changes))
                elif path.suffix in (".xml", ".properties") and path.is_file():
                    archive.write(path, path.name)
        return target.getvalue()


def _changed(path: Path, changes: Mapping[str, str]) -> bytes:
    """The last property of a name is the one that counts, unless an earlier one is final."""
    root = read_xml(path) if path.is_file() else ElementTree.Element("configuration")
    for one in list(root.iter("property")):
        if (one.findtext("name") or "").strip() in changes:
            root.remove(one)
    for name, value in changes.items():
        added = ElementTree.SubElement(root, "property")
        ElementTree.SubElement(added, "name").text = name
        ElementTree.SubElement(added, "value").text = value
    return ElementTree.tostring(root)
