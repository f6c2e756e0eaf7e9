"""The directory of a cluster on one machine: what lies where.

conf.json           the effective configuration, as the client wrote it
token               of the REST interface (0600)
pages               secret first part of the paths of pages that YARN's proxy may read without the token (0600)
secret              of the cluster, for connections by TCP (0600)
ca/                 ca.pem, ca-key.pem (0600) of the cluster's certificate authority, if there is TLS
tls/                ca.pem, cert.pem, key.pem (0600) of a member
jm.sock             RPC of the JobManager
endpoint.json       where the leading JobManager is: epoch, rest_address, rpc_address, pid
supervisor.lock     flock of the supervisor and everything it forked: while held, somebody lives
jobstore/ blobs/    of the JobManager;  c<n>/ a job coordinator's environment
logs/               jobmanager.log, taskmanager-<n>.log, supervisor.log
t<n>/               of TaskManager n: ctl.sock, w<k>/ for each worker, cache/, jobs/
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import msgspec

from pyflow_yarn.errors import ConfigurationError

UNIX_PATH_LIMIT = 107
_LONGEST_SUFFIX = len("/t999/w99999/d.sock")


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Content of ``endpoint.json``."""

    epoch: int
    rest_address: str
    rpc_address: str
    pid: int


class Layout:
    """Paths in a cluster's directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.configuration = directory / "conf.json"
        self.token = directory / "token"
        self.secret = directory / "secret"
        self.pages = directory / "pages"
        self.authority = directory / "ca"
        self.certificates = directory / "tls"
        self.rpc_socket = directory / "jm.sock"
        self.endpoint = directory / "endpoint.json"
        self.lock = directory / "supervisor.lock"
        self.job_store = directory / "jobstore"
        self.blobs = directory / "blobs"
        self.logs = directory / "logs"

    def task_manager(self, number: int) -> Path:
        """The directory of one TaskManager."""
        return self.directory / f"t{number}"

    def check(self) -> None:
        """``ConfigurationError`` unless the directory is ours, private and short enough for Unix sockets."""
        try:
            status = os.stat(self.directory)
        except OSError as error:
            raise ConfigurationError(f"The cluster's directory {self.directory}: {error.strerror}.") from error
        if status.st_uid != os.geteuid() or status.st_mode & 0o077:
            raise ConfigurationError(
                f"The cluster's directory {self.directory} must belong to this user alone (mode 0700)."
            )
        if len(os.fsencode(self.directory)) + _LONGEST_SUFFIX > UNIX_PATH_LIMIT:
            raise ConfigurationError(
                f"The path of the cluster's directory {self.directory} is too long for Unix sockets"
                f" ({UNIX_PATH_LIMIT - _LONGEST_SUFFIX} bytes at most): set TMPDIR to a shorter one."
            )


def read_configuration(file: Path) -> dict[str, str]:
    """An effective configuration from its JSON file."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, str])
    except OSError as error:
        raise ConfigurationError(f"The configuration {file} cannot be read: {error.strerror}.") from error
    except msgspec.DecodeError as error:
        raise ConfigurationError(f"The configuration {file} is no JSON map of texts: {error}.") from error


def read_secret(file: Path, *, create: bool) -> str:
    """The secret in a file of mode 0600; a new one if there is no file and ``create``."""
    try:
        return file.read_text().strip()
    except FileNotFoundError:
        if not create:
            raise ConfigurationError(f"The secret file {file} does not exist.") from None
    text = secrets.token_hex(32)
    write_atomically(file, text.encode())
    return text


def write_atomically(file: Path, content: bytes) -> None:
    """Put a private file in place, whole."""
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as handle:
        handle.write(content)
    os.replace(temporary, file)
