"""The user's private state directory: what a standing cluster of this host keeps between commands.

``$XDG_STATE_HOME/pyflow-yarn/<host>/``, else below ``~/.local/state``, of mode 0700:

secret, token       of the cluster (0600); they outlive it
lock                flock of whoever starts or stops something
jm.lock, t<n>.lock  flock of a JobManager or TaskManager and everything it forked: while held, somebody lives
jm/, t<n>/          their directories
run/, log/          pid files and logs, unless FLINK_PID_DIR and FLINK_LOG_DIR name other folders
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Iterator, Mapping

from pyflow_yarn.deployment.cluster import Endpoint
from pyflow_yarn.errors import ConfigurationError, ExternalError

JOB_MANAGER = "jm"
APPLICATION = "application"
"""File in the directory of a JobManager that takes no further programs."""

_HOST_LENGTH = 24
_PROBE_PAUSE = 0.05
LARGEST_PRIVATE = 65536


def state_directory(environment: Mapping[str, str]) -> str:
    """The directory, which need not exist; ``ConfigurationError`` if the environment names none."""
    chosen = environment.get("XDG_STATE_HOME", "")
    if not chosen.startswith("/"):
        home = environment.get("HOME", "")
        if not home.startswith("/"):
            raise ConfigurationError(
                "There is no place for the cluster's private files: set XDG_STATE_HOME (or HOME) to a folder of yours."
            )
        chosen = os.path.join(home, ".local", "state")
    # Part of the path of sockets, so a short one; by host, because several may share a home.
    return os.path.join(chosen, "pyflow-yarn", os.uname().nodename.partition(".")[0][:_HOST_LENGTH] or "localhost")


def private_folder(path: str) -> str:
    """Make the folder if need be; ``ConfigurationError`` unless it is this user's and nobody else can write there."""
    try:
        os.makedirs(path, 0o700, exist_ok=True)
        status = os.stat(path)
    except OSError as error:
        raise ExternalError(f"The folder {path} cannot be made: {error.strerror}.") from None
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise ConfigurationError(f"The folder {path} must belong to this user, and nobody else may write there.")
    return path


def take_lock(path: str, patience: float = 0.0) -> int | None:
    """A descriptor that holds the lock on a file, or None if another process has it for longer than ``patience``."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() >= deadline:
                os.close(descriptor)
                return None
            time.sleep(_PROBE_PAUSE)
        else:
            return descriptor


def lives(lock_file: str) -> bool:
    """Whether somebody holds the lock on that file. Asks for a share of it: who wants all of it is patient."""
    try:
        descriptor = os.open(lock_file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextlib.contextmanager
def exclusive(state: str, patience: float) -> Iterator[None]:
    """One command at a time starts and stops something."""
    descriptor = take_lock(os.path.join(state, "lock"), patience)
    if descriptor is None:
        raise ConfigurationError("Another command is starting or stopping this cluster: try again when it has ended.")
    try:
        yield
    finally:
        os.close(descriptor)


def read_private(path: str) -> str:
    """The text of a file that is this user's alone, else ""."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return ""
    try:
        status = os.fstat(descriptor)
        trusted = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022
        return os.read(descriptor, LARGEST_PRIVATE).decode(errors="replace") if trusted else ""
    finally:
        os.close(descriptor)


def write_private(path: str, content: str) -> None:
    """Put a file of mode 0600 in place, whole."""
    temporary = f"{path}.{os.urandom(4).hex()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
    try:
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


class Registered:
    """The cluster that was started on this host: where it is, and whether it still runs."""

    def __init__(self, endpoint: Endpoint, token_file: str, alive: bool, application: bool) -> None:
        self.endpoint = endpoint
        self.token_file = token_file
        self.alive = alive
        self.application = application


def registered_cluster(environment: Mapping[str, str]) -> Registered | None:
    """The cluster that ``jobmanager.sh`` started on this host, if one was and was not stopped."""
    import msgspec

    try:
        state = state_directory(environment)
    except ConfigurationError:
        return None
    directory = os.path.join(state, JOB_MANAGER)
    written = read_private(os.path.join(directory, "endpoint.json"))
    try:
        address = msgspec.json.decode(written, type=dict[str, object]).get("rest_address") if written else None
    except msgspec.DecodeError:
        return None
    if not isinstance(address, str):
        return None
    token_file = os.path.join(directory, "token")
    endpoint = Endpoint(address, read_private(token_file).strip())
    alive = lives(os.path.join(state, f"{JOB_MANAGER}.lock"))
    return Registered(endpoint, token_file, alive, os.path.exists(os.path.join(directory, APPLICATION)))
