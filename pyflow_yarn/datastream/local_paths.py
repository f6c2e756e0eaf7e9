"""Paths as programs write them: plain, or as URIs."""

from __future__ import annotations

import os
import posixpath
import re

from pyflow_yarn.errors import NotYetSupportedError, UserError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(//)?")


def file_path(path: str | os.PathLike[str], purpose: str) -> str:
    """The absolute path of a local file, or the URI of one in HDFS, without doubled and trailing slashes."""
    text = os.fspath(path)
    if text[:7].lower() != "hdfs://":
        return local_path(text, purpose)
    authority, _, name = text[7:].partition("/")
    return f"hdfs://{authority}{posixpath.normpath('/' + name.lstrip('/'))}"


def local_path(path: str | os.PathLike[str], purpose: str) -> str:
    """The absolute local path; other file systems than the local one are refused, naming ``purpose``."""
    text = os.fspath(path)
    if not text:
        raise UserError(f"The path of {purpose} is empty.")
    scheme = _SCHEME.match(text)
    if scheme is not None and (scheme[2] or scheme[1].lower() == "file"):
        if scheme[1].lower() != "file":
            raise NotYetSupportedError(
                f"The file system '{scheme[1]}' of {purpose} '{text}' is not supported yet: use a local path or file://."
            )
        from urllib.parse import unquote, urlsplit

        parts = urlsplit(text)
        if parts.netloc not in ("", "localhost"):
            raise UserError(f"The path of {purpose} '{text}' names the host '{parts.netloc}': write file:///path.")
        text = unquote(parts.path)
    return os.path.abspath(text)
