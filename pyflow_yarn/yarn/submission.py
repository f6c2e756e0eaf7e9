"""Submits an application of skein's over the ResourceManager's REST API: what skein's driver does, without its JVM.

docs/adr/0009-applications-are-submitted-over-rest.md says when the driver is started all the same.

The folder of an application holds what the driver would lay there: files of this machine that containers want, the
script of workers, a certificate with its key for gRPC, and the specification for skein's ApplicationMaster.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from pyflow_yarn.errors import ExternalError, PyflowError
from pyflow_yarn.filesystem import BUFFER_SIZE, FileStatus, FileSystem, file_system, join
from pyflow_yarn.yarn.hadoop_configuration import HadoopConfiguration
from pyflow_yarn.yarn.resource_manager import ResourceManager

POLL_SECONDS = 0.05
UPLOADS_AT_ONCE = 8
HDFS = "hdfs"
NOT_TAKEN_YET = ("NEW", "NEW_SAVING", "SUBMITTED")
CERTIFICATE, KEY, JAR, SPECIFICATION, SCRIPT = ".skein.crt", ".skein.pem", ".skein.jar", ".skein.proto", ".skein.sh"
_COMMAND = (
    "{{{{JAVA_HOME}}}}/bin/java -Xmx128M -Dskein.log.level={level} -Dskein.log.directory=<LOG_DIR>"
    " com.anaconda.skein.ApplicationMaster {folder} ><LOG_DIR>/application.master.log 2>&1"
)
# Where nodes have Hadoop's jars unless yarn.application.classpath says something else.
_CLASSPATH = (
    "{{HADOOP_CONF_DIR}}",
    "{{HADOOP_COMMON_HOME}}/share/hadoop/common/*",
    "{{HADOOP_COMMON_HOME}}/share/hadoop/common/lib/*",
    "{{HADOOP_HDFS_HOME}}/share/hadoop/hdfs/*",
    "{{HADOOP_HDFS_HOME}}/share/hadoop/hdfs/lib/*",
    "{{HADOOP_YARN_HOME}}/share/hadoop/yarn/*",
    "{{HADOOP_YARN_HOME}}/share/hadoop/yarn/lib/*",
)


class Place(NamedTuple):
    """What skein's specification does not say: folder, jar of the master, type, user, priority; and skein itself."""

    skein: Any
    folder: str
    jar: str
    application_type: str
    user: str
    priority: int


def can_submit(configuration: HadoopConfiguration, folders: str) -> bool:
    """Whether no tokens are wanted, and applications have their folders where we can make them."""
    secure = configuration.get("hadoop.security.authentication", "simple") != "simple"
    return not secure and urlsplit(folders).scheme == HDFS


def can_be_looked_at(specification: Any) -> bool:
    """Whether we know the file systems of all its files."""
    sources = [file.source for files in _files(specification) for file in files.values()]
    return {urlsplit(source).scheme for source in sources} <= {"file", HDFS}


def submit(
    manager: ResourceManager,
    configuration: HadoopConfiguration,
    key: str,
    specification: Any,
    security: Any,
    place: Place,
) -> None:
    """Submit what a ``skein.ApplicationSpec`` describes under an id that YARN has given; return when it is taken."""
    try:
        files = _lay_out(place, specification, security)
        manager.submit(_request(key, place, specification, files, configuration))
        while (report := manager.report(key)).state in NOT_TAKEN_YET:
            time.sleep(POLL_SECONDS)
        if report.state == "FAILED":
            raise ExternalError(f"YARN does not take the application: {report.diagnostics.removesuffix('.')}.")
    except BaseException as failure:
        with suppress(PyflowError):
            manager.kill(key)
        with suppress(OSError):
            file_system(place.folder).delete(place.folder, recursive=True)
        if isinstance(failure, OSError):
            told = f"The application's files cannot be laid into {place.folder}: {failure.strerror}."
            raise ExternalError(told) from None
        raise


def _files(specification: Any) -> list[dict[str, Any]]:
    """The files of each kind of container."""
    return [specification.master.files, *(service.files for service in specification.services.values())]


def _lay_out(place: Place, specification: Any, security: Any) -> dict[str, Any]:
    """Make the application's folder; the files of the master's container, as skein describes them."""
    skein, folder = place.skein, place.folder
    files = file_system(folder)
    files.make_directories(folder, private=True)
    sources = list({file.source for each in _files(specification) for file in each.values()})
    contents = {CERTIFICATE: security.cert_bytes, KEY: security.key_bytes}
    contents |= {f"{name}.sh": service.script.encode() for name, service in specification.services.items()}
    # Closing a file of HDFS may take half a second: they are written at the same time.
    with ThreadPoolExecutor(UPLOADS_AT_ONCE) as pool:
        placing = pool.map(lambda source: _placed(files, folder, source), sources)
        putting = pool.map(lambda item: _put(files, join(folder, item[0]), item[1]), contents.items())
        found = dict(zip(sources, placing, strict=True)) | dict(zip(contents, putting, strict=True))

    def described(name: str, kind: str = "FILE", visibility: str = "APPLICATION") -> Any:
        status = found[name]
        return skein.File(status.path, kind, visibility, status.length, status.modified)

    for each in _files(specification):
        for name, file in each.items():
            each[name] = described(file.source, str(file.type), str(file.visibility))
    security_files = {CERTIFICATE: described(CERTIFICATE), KEY: described(KEY)}
    specification.master.security = skein.Security(*security_files.values())
    language = {"LANG": os.environ["LANG"]} if "LANG" in os.environ else {}
    for name, service in specification.services.items():
        service.files.update({SCRIPT: described(f"{name}.sh"), **security_files})
        service.script = f"bash {SCRIPT} ><LOG_DIR>/{name}.log 2>&1"
        service.env.update(language)
    specification.master.env.update(language)
    # As the driver does; so the specification tells all files that the application shares with others.
    found[JAR] = _placed(files, folder, place.jar)
    specification.master.files[JAR] = described(JAR)
    found[SPECIFICATION] = _put(files, join(folder, SPECIFICATION), specification.to_protobuf().SerializeToString())
    return {**specification.master.files, **security_files, SPECIFICATION: described(SPECIFICATION)}


def _put(files: FileSystem, path: str, content: bytes) -> FileStatus:
    with files.create(path, private=True) as file:
        file.write(content)
    return _status(files, path)


def _placed(files: FileSystem, folder: str, source: str) -> FileStatus:
    """A file where containers can read it: where it is, or its copy in the folder."""
    url = urlsplit(source)
    if url.scheme != "file":
        return _status(file_system(source), source)
    own = join(folder, hashlib.sha256(source.encode()).hexdigest()[:16])
    files.make_directories(own, private=True)
    path = join(own, os.path.basename(url.path))
    with open(url.path, "rb") as original, files.create(path, private=True) as copy:
        shutil.copyfileobj(original, copy, BUFFER_SIZE)
    return _status(files, path)


def _status(files: FileSystem, path: str) -> FileStatus:
    if (status := files.status(path)) is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    return status


def _request(
    key: str, place: Place, specification: Any, files: Mapping[str, Any], configuration: HadoopConfiguration
) -> dict[str, Any]:
    """The body of the request that submits it."""
    master = specification.master
    given = [part.strip() for part in configuration.get("yarn.application.classpath").split(",") if part.strip()]
    environment = {
        **master.env,
        "CLASSPATH": "<CPS>".join(["{{PWD}}", "./*", *(given or _CLASSPATH)]),
        "SKEIN_APPLICATION_ID": key,
        # Without Kerberos containers run as the NodeManager's user, and HDFS believes this.
        "HADOOP_USER_NAME": place.user,
    }
    acls = specification.acls
    allowed = {
        "VIEW_APP": (acls.view_users, acls.view_groups),
        "MODIFY_APP": (acls.modify_users, acls.modify_groups),
    }
    labelled = {"app-node-label-expression": specification.node_label} if specification.node_label else {}
    ranked = {"priority": place.priority} if place.priority >= 0 else {}
    return {
        "application-id": key,
        "application-name": specification.name,
        "application-type": place.application_type,
        "application-tags": {"tag": sorted(specification.tags)},
        "queue": specification.queue,
        "max-app-attempts": specification.max_attempts,
        "resource": {"memory": master.resources.memory, "vCores": master.resources.vcores},
        **labelled,
        **ranked,
        "am-container-spec": {
            "local-resources": _entries({name: _described(file) for name, file in files.items()}),
            "environment": _entries(environment),
            "commands": {"command": _COMMAND.format(level=str(master.log_level).upper(), folder=place.folder)},
            "application-acls": _entries(
                {kind: " ".join(map(",".join, who)) for kind, who in allowed.items()} if acls.enable else {}
            ),
        },
    }


def _entries(values: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """A map, as the REST API writes it."""
    return {"entry": [{"key": key, "value": value} for key, value in values.items()]}


def _described(file: Any) -> dict[str, Any]:
    return {
        "resource": file.source,
        "type": str(file.type),
        "visibility": str(file.visibility),
        "size": file.size,
        "timestamp": file.timestamp,
    }
