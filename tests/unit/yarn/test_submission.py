"""What is laid into an application's folder and sent to YARN, with a folder of this machine for one of HDFS."""

from __future__ import annotations

import stat
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pyflow_yarn.errors import ExternalError
from pyflow_yarn.yarn import ApplicationReport
from pyflow_yarn.yarn.hadoop_configuration import HadoopConfiguration
from pyflow_yarn.yarn.resource_manager import ResourceManager
from pyflow_yarn.yarn.submission import Place, can_be_looked_at, can_submit, submit

KEY = "application_1_0001"


def library() -> Any:
    """skein, imported by the first test that wants it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import skein
    return skein


class Manager(ResourceManager):
    """Takes applications, and shows them in these states one after the other."""

    def __init__(self, *states: str, refusal: ExternalError | None = None) -> None:
        super().__init__([], "ann")
        self.submitted: list[Mapping[str, Any]] = []
        self.killed: list[str] = []
        self._states = list(states)
        self._refusal = refusal

    def submit(self, application: Mapping[str, Any]) -> None:
        if self._refusal:
            raise self._refusal
        self.submitted.append(application)

    def report(self, application_id: str) -> ApplicationReport:
        state = self._states.pop(0)
        return ApplicationReport(KEY, "", "", "", "", frozenset(), state, "", "no room.", "", "")

    def kill(self, application_id: str) -> None:
        self.killed.append(application_id)


def configuration(folder: Path, **properties: str) -> HadoopConfiguration:
    """A Hadoop configuration with these properties, `_` for `.` in their names."""
    folder.mkdir()
    lines = [
        f"<property><name>{name.replace('_', '.')}</name><value>{value}</value></property>"
        for name, value in properties.items()
    ]
    (folder / "yarn-site.xml").write_text(f"<configuration>{''.join(lines)}</configuration>")
    return HadoopConfiguration(folder)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "skein.jar").write_bytes(b"jar")
    return Place(library(), str(tmp_path / KEY), str(tmp_path / "skein.jar"), "Apache Flink", "ann", 7)


def specification(folder: Path) -> Any:
    """One with a file of this machine for both kinds of containers."""
    (folder / "words.txt").write_text("to be")
    resources = library().Resources(memory="64 MiB", vcores=2)
    files = {"words": library().File(str(folder / "words.txt"), visibility="PRIVATE")}
    master = library().Master(script="echo master", resources=resources, files=dict(files), env={"A": "1"})
    worker = library().Service(script="echo worker", resources=resources, files=dict(files), instances=0)
    return library().ApplicationSpec(
        name="words",
        queue="etl",
        node_label="fast",
        tags={"b", "a"},
        max_attempts=2,
        acls=library().ACLs(enable=True, view_users=["bea", "cem"], modify_groups=["ops"]),
        master=master,
        services={"taskmanager": worker},
    )


def security() -> Any:
    """A certificate and a key, of which only the bytes count here."""
    return library().Security(cert_bytes=b"certificate", key_bytes=b"key")


def entries(map_: Mapping[str, Any]) -> dict[str, Any]:
    """A map of the REST API."""
    return {each["key"]: each["value"] for each in map_["entry"]}


def test_the_request_describes_the_application(tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "C.UTF-8")
    manager = Manager("NEW_SAVING", "SUBMITTED", "ACCEPTED")
    submit(manager, configuration(tmp_path / "c"), KEY, specification(tmp_path), security(), place)
    request = dict(manager.submitted[0])
    container = request.pop("am-container-spec")
    assert request == {
        "application-id": KEY,
        "application-name": "words",
        "application-type": "Apache Flink",
        "application-tags": {"tag": ["a", "b"]},
        "queue": "etl",
        "max-app-attempts": 2,
        "priority": 7,
        "resource": {"memory": 64, "vCores": 2},
        "app-node-label-expression": "fast",
    }
    environment = entries(container["environment"])
    assert environment.pop("CLASSPATH").startswith(
        "{{PWD}}<CPS>./*<CPS>{{HADOOP_CONF_DIR}}<CPS>{{HADOOP_COMMON_HOME}}/"
    )
    assert environment == {"A": "1", "LANG": "C.UTF-8", "SKEIN_APPLICATION_ID": KEY, "HADOOP_USER_NAME": "ann"}
    assert entries(container["application-acls"]) == {"VIEW_APP": "bea,cem ", "MODIFY_APP": " ops"}
    assert container["commands"]["command"].startswith("{{JAVA_HOME}}/bin/java -Xmx128M -Dskein.log.level=INFO ")
    assert f"ApplicationMaster {place.folder} ><LOG_DIR>/application.master.log" in container["commands"]["command"]
    resources = entries(container["local-resources"])
    assert resources.keys() == {".skein.crt", ".skein.pem", ".skein.jar", ".skein.proto", "words"}
    assert (resources["words"]["size"], resources["words"]["visibility"]) == (5, "PRIVATE")
    assert not manager.killed


def test_the_folder_holds_what_containers_read(tmp_path: Path, place: Place) -> None:
    submit(Manager("ACCEPTED"), configuration(tmp_path / "c"), KEY, specification(tmp_path), security(), place)
    folder = Path(place.folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (folder / ".skein.crt").read_bytes() == b"certificate"
    assert (folder / ".skein.pem").read_bytes() == b"key"
    assert (folder / "taskmanager.sh").read_text() == "echo worker"
    written = library().proto.ApplicationSpec.FromString((folder / ".skein.proto").read_bytes())
    found = library().ApplicationSpec.from_protobuf(written)
    assert found.master.script == "echo master"
    # What applications share is kept as long as specifications name it.
    assert found.master.files.keys() == {".skein.jar", "words"}
    assert found.master.files[".skein.jar"].source == f"file://{place.jar}"
    worker = found.services["taskmanager"]
    assert worker.script == "bash .skein.sh ><LOG_DIR>/taskmanager.log 2>&1"
    assert worker.files.keys() == {".skein.sh", ".skein.crt", ".skein.pem", "words"}
    copy = Path(worker.files["words"].source.removeprefix("file://"))
    assert (copy.parent.parent, copy.name, copy.read_text()) == (folder, "words.txt", "to be")
    assert worker.files["words"].timestamp == int(copy.stat().st_mtime_ns // 1_000_000)


def test_the_class_path_of_the_configuration_counts(tmp_path: Path, place: Place) -> None:
    manager = Manager("ACCEPTED")
    hadoop = configuration(tmp_path / "c", yarn_application_classpath="/a/*, /b/*,")
    submit(manager, hadoop, KEY, specification(tmp_path), security(), place)
    environment = entries(manager.submitted[0]["am-container-spec"]["environment"])
    assert environment["CLASSPATH"] == "{{PWD}}<CPS>./*<CPS>/a/*<CPS>/b/*"


def test_what_yarn_refuses_leaves_nothing(tmp_path: Path, place: Place) -> None:
    manager = Manager(refusal=ExternalError("YARN refuses it."))
    with pytest.raises(ExternalError, match="refuses"):
        submit(manager, configuration(tmp_path / "c"), KEY, specification(tmp_path), security(), place)
    assert not Path(place.folder).exists()
    assert manager.killed == [KEY]


def test_what_yarn_does_not_take_is_told_with_its_reason(tmp_path: Path, place: Place) -> None:
    with pytest.raises(ExternalError, match=r"^YARN does not take the application: no room\.$"):
        submit(Manager("NEW", "FAILED"), configuration(tmp_path / "c"), KEY, specification(tmp_path), security(), place)
    assert not Path(place.folder).exists()


def test_a_missing_file_is_told(tmp_path: Path, place: Place) -> None:
    words = specification(tmp_path)
    (tmp_path / "words.txt").unlink()
    with pytest.raises(ExternalError, match="cannot be laid into"):
        submit(Manager(), configuration(tmp_path / "c"), KEY, words, security(), place)


def test_the_driver_is_wanted_for_tokens_and_for_files_that_we_cannot_look_at(tmp_path: Path) -> None:
    simple, folders = configuration(tmp_path / "simple"), "hdfs://nn/user/ann/.flink"
    assert can_submit(simple, folders)
    assert not can_submit(configuration(tmp_path / "secure", hadoop_security_authentication="kerberos"), folders)
    assert not any(can_submit(simple, other) for other in (".flink", "s3a://bucket/.flink"))
    words = specification(tmp_path)
    assert can_be_looked_at(words)
    words.services["taskmanager"].files["bucket"] = library().File("s3a://bucket/file")
    assert not can_be_looked_at(words)
