"""Where a picture goes: a file, all of it or nothing, or the standard output, and then nothing but the picture."""

from __future__ import annotations

import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pyflow_yarn.errors import ExternalError

STANDARD_OUTPUT = "-"


def check(file: str) -> None:
    """``ExternalError`` if it is plain already that the picture cannot be written there."""
    if file == STANDARD_OUTPUT:
        return
    path = os.path.realpath(file)
    folder = os.path.dirname(path)
    if os.path.isdir(path):
        raise _unwritable(file, "it is a directory")
    if not os.path.isdir(folder):
        raise _unwritable(file, f"the directory '{folder}' does not exist")
    if not os.access(path if os.path.exists(path) else folder, os.W_OK):
        raise _unwritable(file, "permission denied")


def write(file: str, text: str) -> None:
    """Write all of it, or raise ``ExternalError`` and leave what was there."""
    if file == STANDARD_OUTPUT:
        # A reader takes XML for UTF-8; where that is not the terminal's encoding, references say the same in ASCII.
        utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
        sys.stdout.write(text if utf8 else text.encode("ascii", "xmlcharrefreplace").decode("ascii"))
        return
    path = os.path.realpath(file)
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            with open(path, "w", encoding="utf-8") as device:
                device.write(text)
        else:
            _replace(path, text.encode())
    except OSError as error:
        raise _unwritable(file, (error.strerror or str(error)).lower()) from None


def _replace(path: str, content: bytes) -> None:
    partial = os.path.join(os.path.dirname(path), f".plan-{secrets.token_hex(4)}.svg")
    try:
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as output:
            if os.path.exists(path):
                os.fchmod(output.fileno(), stat.S_IMODE(os.stat(path).st_mode))
            output.write(content)
        os.replace(partial, path)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(partial)


def _unwritable(file: str, reason: str) -> ExternalError:
    return ExternalError(f"The picture cannot be written to '{file}': {reason}.")


@contextmanager
def clean_output(file: str) -> Iterator[None]:
    """If a picture goes to the standard output: what the program's children write there goes to the standard error."""
    if file != STANDARD_OUTPUT:
        yield
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
