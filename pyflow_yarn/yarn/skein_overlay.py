"""A copy of skein.jar that shows on YARN what Flink shows: docs/adr/0007-what-yarn-shows-of-an-application.md.

In the copy a few string constants of three classes are others, one page, and one comparison: at the end of the
ApplicationMaster.
"""

from __future__ import annotations

import hashlib
import shutil
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

from pyflow_yarn.errors import ConfigurationError

DRIVER = "com/anaconda/skein/Driver.class"
DRIVER_CALLS = "com/anaconda/skein/Driver$DriverImpl.class"
WEB_UI = "com/anaconda/skein/WebUI.class"
MASTER = "com/anaconda/skein/ApplicationMaster.class"
HOMEPAGE = "overview.mustache.html"
HOMEPAGE_ROUTE = "web"
FOLDER = ".flink"
CACHE = "cache"
"""In that folder: what applications share."""
# Of skein 0.8.2: that a constant serves one purpose only, and where which instructions are, is known of these alone.
_DIGESTS = {
    MASTER: "b0018461578cdb77034fa05623c7ed679adba38f947d62eb034763e67e1776c9",
    DRIVER: "60f7ba664c67b49d4ea630532165fc224376c7bd6ad5a2074cfa9dd51dcd1358",
    DRIVER_CALLS: "2e881748136e6c255cbc777c617fce8c7a3705c82115b03e6974f5a92cd4bb7a",
    WEB_UI: "2701549d44a9721188093a1f6078ba805a62fb3bb434b8af2d42e6c0b20dd953",
}
# In runOnExit: `finalStatus == SUCCEEDED || currentAttempt >= maxAttempts` is when the application is unregistered, and
# its folder removed, instead of left to another attempt. It becomes `exitCode == 0 || …`: so it is after `finish`
# with whatever status, and where the supervisor has ended the application. aload_0, getfield finalStatus,
# getstatic SUCCEEDED, if_acmpeq; aload_0, getfield exitCode, three times nop, ifeq: as long, and to the same place.
_WHEN_IT_SUCCEEDED = bytes.fromhex("2a b40109 b203c7 a50008")
_WHEN_IT_ENDED_IN_ORDER = bytes.fromhex("2a b40102 000000 990008")
_PAGE = f'<!DOCTYPE html><title>pyflow</title><meta http-equiv="refresh" content="0; url={HOMEPAGE_ROUTE}/">\n'
_UTF8 = 1
# Sizes of the constants by their tag, after the tag; JVM specification, 4.4.
_SIZES = {3: 4, 4: 4, 5: 8, 6: 8, 7: 2, 8: 2, 9: 4, 10: 4, 11: 4, 12: 4, 15: 3, 16: 2, 18: 4}
_TAKES_TWO = (5, 6)


def write_overlay(source: Path, target: Path, application_type: str, folder: str = FOLDER) -> None:
    """Copy skein's jar: what it submits is of that type, and the route of a page is a path below the proxy link.

    ``folder``: where the driver makes a folder for each application; a URI, or a path below the user's home.
    """
    changes = _changes(application_type, folder)
    shutil.copyfile(source, target)
    with zipfile.ZipFile(target, "a") as jar:
        contents = {name: _checked(name, jar.read(name)) for name in changes}
        master = _checked(MASTER, jar.read(MASTER)).replace(_WHEN_IT_SUCCEEDED, _WHEN_IT_ENDED_IN_ORDER)
        # The old content stays in the file without being listed: a Java archive is what its directory says.
        for name in (*changes, MASTER, HOMEPAGE):
            jar.filelist.remove(jar.NameToInfo.pop(name))
        for name, content in contents.items():
            jar.writestr(name, replace_constants(content, changes[name]), zipfile.ZIP_DEFLATED)
        jar.writestr(MASTER, master, zipfile.ZIP_DEFLATED)
        jar.writestr(HOMEPAGE, _PAGE)


def overlay_key(application_type: str, folder: str = FOLDER) -> str:
    """A name for the content of the copy, which follows from the original and what is changed in it."""
    told = repr((sorted(_DIGESTS.items()), _changes(application_type, folder), _WHEN_IT_ENDED_IN_ORDER, _PAGE))
    return hashlib.sha256(told.encode()).hexdigest()


def _changes(application_type: str, folder: str) -> dict[str, dict[str, str]]:
    return {
        # The id of the application is appended to the second.
        DRIVER: {"skein": application_type, ".skein/": f"{folder}/"},
        # What the driver lists and ends is of that type as well.
        DRIVER_CALLS: {"skein": application_type},
        # The servlet of pages serves every path, and the homepage redirects to a path that no page of Flink's has.
        WEB_UI: {"/pages/*": "/*", "/overview": "/index.html"},
    }


def replace_constants(code: bytes, changes: Mapping[str, str]) -> bytes:
    """A class file in which these string constants are others; each has to be there once."""
    (count,) = struct.unpack_from(">H", code, 8)
    parts, position, index, left = [code[:10]], 10, 1, dict(changes)
    while index < count:
        tag = code[position]
        size = 2 + struct.unpack_from(">H", code, position + 1)[0] if tag == _UTF8 else _SIZES[tag]
        constant = code[position : position + 1 + size]
        new = left.pop(constant[3:].decode("utf-8", "replace"), None) if tag == _UTF8 else None
        if new is not None:
            constant = struct.pack(">BH", _UTF8, len(new.encode())) + new.encode()
        parts.append(constant)
        position += 1 + size
        index += 2 if tag in _TAKES_TWO else 1
    if left:
        raise ConfigurationError(f"The class has no constant {', '.join(left)}: it is not the one of skein 0.8.2.")
    return b"".join(parts) + code[position:]


def _checked(name: str, content: bytes) -> bytes:
    if hashlib.sha256(content).hexdigest() != _DIGESTS[name]:
        raise ConfigurationError(f"skein.jar is not the one of skein 0.8.2 ({name} differs): install skein==0.8.2.")
    return content
