"""Our own packages for the nodes: an archive apart from the environment, small and another one with each version."""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import dataclass
from typing import BinaryIO

from pyflow_yarn.deployment.layout import source_roots
from pyflow_yarn.deployment.yarn.archive import Archive, compiled, compiled_place
from pyflow_yarn.deployment.yarn.contents import NEVER, OWN_PACKAGES, File, walk

FORMAT = 1
"""Counted up when the same files make another archive."""

ARCHIVE_NAME = "pyflow.tar.gz"
"""What the archive is called in the cache and in containers."""


@dataclass(frozen=True)
class OwnCode:
    """The code to be packed; ``key`` names what is in it."""

    key: str
    files: tuple[File, ...]

    @classmethod
    def of_this_installation(cls) -> OwnCode:
        """The code that this process runs."""
        files: list[File] = []
        for root in source_roots():
            for name in OWN_PACKAGES:
                if os.path.isdir(package := os.path.join(root, name)):
                    walk(package, name, NEVER | {"_dist"}, files)
        files.sort()
        digest = hashlib.sha256(f"{FORMAT} {sys.implementation.cache_tag}\n".encode())
        for file in files:
            with open(file.path, "rb") as source:
                content = hashlib.file_digest(source, "sha256").digest()
            digest.update(file.place.encode() + b"\0" + content)
        return cls(f"code-{FORMAT}-{digest.hexdigest()[:32]}", tuple(files))

    def pack(self, target: BinaryIO) -> None:
        """Write the archive."""
        modules = {compiled_place(file.place): file.path for file in self.files if file.place.endswith(".py")}
        files = {file.place: file for file in self.files}
        with Archive.writing(target) as archive:
            for place in sorted([*files, *modules]):
                if place in files:
                    with open(files[place].path, "rb") as source:
                        archive.add_bytes(place, source.read())
                elif (code := compiled(modules[place])) is not None:
                    archive.add_bytes(place, code)
