"""The file in which a session on YARN notes its id: commands that name no cluster go to that session.

    #Generated YARN properties file
    #Sat Jan 31 23:59:59 UTC 2026
    applicationID=application_1700000000000_0001
    dynamicPropertiesString=parallelism.default\\=2@@env.log.level\\=DEBUG

``<yarn.properties-file.location, else the temporary directory>/.yarn-properties-<user>``, in Java's format, as Flink's.
Everybody may write to the temporary directory: what is another user's is not believed.
"""

from __future__ import annotations

import errno
import os
import pwd
import re
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pyflow_yarn.configuration.options import YARN_PROPERTIES_FILE_LOCATION
from pyflow_yarn.errors import ConfigurationError, ExternalError
from pyflow_yarn.yarn import APPLICATION_ID

LARGEST = 65536
_APPLICATION_ID = "applicationID"
_DYNAMIC_PROPERTIES = "dynamicPropertiesString"
_SEPARATOR = "@@"
_LETTERS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_ESCAPES = {character: f"\\{letter}" for letter, character in _LETTERS.items()} | {
    sign: f"\\{sign}" for sign in "\\=:#!"
}
_ESCAPED = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_PAIR = re.compile(r"(?P<key>(?:\\.|[^\\=:\s])+)(?:\s*[=:]\s*|\s+|$)(?P<value>.*)", re.DOTALL)
_CONTINUED = re.compile(r"(?<!\\)(?:\\\\)*\\$")


class YarnSession(NamedTuple):
    """A session: its application, and the properties that were given to it with ``-D``."""

    application_id: str
    dynamic_properties: Mapping[str, str] = {}


def properties_file(configuration: Mapping[str, str]) -> Path:
    """Where this user's file is, or would be."""
    folder = YARN_PROPERTIES_FILE_LOCATION.read(configuration) or os.environ.get("TMPDIR") or "/tmp"
    return Path(folder) / f".yarn-properties-{_user()}"


def _user() -> str:
    """The name of the account, whatever the environment says, as Java's ``user.name``."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def read_properties_file(path: Path) -> YarnSession | None:
    """The session that the file names; None if there is no file."""
    try:
        # Neither a link to somewhere else nor the end of a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, f"cannot be read ({error.strerror})") from None
    try:
        status = os.fstat(descriptor)
        if status.st_uid != os.geteuid():
            raise _unusable(path, "belongs to another user")
        if not stat.S_ISREG(status.st_mode):
            raise _unusable(path, "is no file")
        content = os.read(descriptor, LARGEST).decode("latin-1")
    finally:
        os.close(descriptor)
    try:
        properties = dict(_pairs(content))
    except ValueError:
        raise _unusable(path, "cannot be understood") from None
    application_id = properties.get(_APPLICATION_ID, "").strip()
    if not application_id:
        raise _unusable(path, "names no application (applicationID)")
    if not APPLICATION_ID.fullmatch(application_id):
        raise _unusable(path, f"has an invalid applicationID ('{application_id}')")
    return YarnSession(application_id, _split(properties.get(_DYNAMIC_PROPERTIES, "")))


def write_properties_file(path: Path, session: YarnSession) -> None:
    """Put the file in place, whole and readable for everybody; one of this user's is replaced."""
    check_properties_file(path)
    dynamic = _SEPARATOR.join(f"{key}={value}" for key, value in session.dynamic_properties.items())
    lines = [
        "#Generated YARN properties file",
        time.strftime("#%a %b %d %H:%M:%S %Z %Y"),
        f"{_APPLICATION_ID}={_escaped(session.application_id)}",
        f"{_DYNAMIC_PROPERTIES}={_escaped(dynamic)}",
    ]
    temporary = path.with_name(f"{path.name}.{os.urandom(4).hex()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            with open(descriptor, "w", encoding="latin-1") as file:
                file.write("".join(f"{line}\n" for line in lines))
            os.rename(temporary, path)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise _unwritten(path, error.strerror) from None


def delete_properties_file(path: Path, application_id: str) -> bool:
    """Forget the session, if it is this one that the file names; whether it was."""
    try:
        session = read_properties_file(path)
        if session is None or session.application_id != application_id:
            return False
        os.unlink(path)
    except (OSError, ConfigurationError):
        return False  # another user's, or none that could be believed
    return True


def check_properties_file(path: Path) -> None:
    """Raise if the file could not be written: it is another user's, or its directory is not to be written to."""
    with suppress(OSError):
        if os.lstat(path).st_uid != os.geteuid():
            raise _unusable(path, "belongs to another user")
    if not os.path.isdir(path.parent):
        raise _unwritten(path, os.strerror(errno.ENOENT))
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise _unwritten(path, os.strerror(errno.EACCES))


def _unusable(path: Path, what: str) -> ConfigurationError:
    return ConfigurationError(
        f"The Yarn properties file {path} {what}. Please delete the file at {path}, or name another directory with"
        f" -D{YARN_PROPERTIES_FILE_LOCATION.key}=<directory>."
    )


def _unwritten(path: Path, why: str | None) -> ExternalError:
    return ExternalError(
        f"The session cannot be noted in {path} ({why}): name another directory with"
        f" -D{YARN_PROPERTIES_FILE_LOCATION.key}=<directory>."
    )


def _split(dynamic: str) -> dict[str, str]:
    pairs = (entry.partition("=") for entry in dynamic.split(_SEPARATOR) if entry.strip())
    return {key.strip(): value if separator else "true" for key, separator, value in pairs}


# ---- Java's format ----


def _escaped(value: str) -> str:
    body = value.lstrip(" ")
    text = "\\ " * (len(value) - len(body)) + "".join(_ESCAPES.get(character, character) for character in body)
    units = text.encode("utf-16-be", "surrogatepass")
    codes = (int.from_bytes(units[place : place + 2]) for place in range(0, len(units), 2))
    return "".join(chr(code) if 0x20 <= code <= 0x7E else f"\\u{code:04X}" for code in codes)


def _unescaped(text: str) -> str:
    def character(found: re.Match[str]) -> str:
        if found[1]:
            return chr(int(found[1], 16))
        if found[2] == "u":
            raise ValueError(found.string)
        return _LETTERS.get(found[2], found[2])

    # Java counts in UTF-16: pairs of surrogates are one character.
    return _ESCAPED.sub(character, text).encode("utf-16-be", "surrogatepass").decode("utf-16-be", "surrogatepass")


def _pairs(content: str) -> Iterator[tuple[str, str]]:
    """The keys and values of a file; ``ValueError`` for an escape that means nothing."""
    line = ""
    for natural in [*re.split(r"\r\n|\r|\n", content), ""]:
        text = natural.lstrip(" \t\f")
        if not line and text.startswith(("#", "!")):
            continue
        line += text
        if _CONTINUED.search(line):
            line = line[:-1]
            continue
        if found := _PAIR.fullmatch(line):
            yield _unescaped(found["key"]), _unescaped(found["value"])
        elif line:
            yield "", _unescaped(line.lstrip("=: \t\f"))
        line = ""
