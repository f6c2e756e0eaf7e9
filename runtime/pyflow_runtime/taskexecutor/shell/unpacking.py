"""Unpacking what a program brought along, without letting it write anywhere else."""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
import zipfile
from pathlib import Path

from pyflow_yarn.errors import UserError

_COPY_SIZE = 1024 * 1024


def unpack(archive: Path, name: str, target: Path) -> None:
    """Unpack a zip or tar archive into ``target``; ``UserError`` naming ``name`` if it is neither, or unsafe.

    Modes are kept, and links too (environments are full of them) unless a member would be written through one.
    """
    target.mkdir(parents=True, exist_ok=True)
    try:
        if zipfile.is_zipfile(archive):
            _unpack_zip(archive, name, target)
        elif tarfile.is_tarfile(archive):
            _unpack_tar(archive, name, target)
        else:
            raise UserError(f"The archive {name} is neither a zip nor a tar archive.")
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise UserError(f"The archive {name} cannot be unpacked: {error}.") from error


def _checked(name: str, member: str, target: Path) -> Path:
    path = target / member
    parts = Path(member).parts
    if os.path.isabs(member) or ".." in parts:
        raise UserError(f"The archive {name} was not unpacked: its member {member!r} lies outside of it.")
    root = os.path.realpath(target)
    if os.path.commonpath((root, os.path.realpath(path.parent))) != root:
        raise UserError(f"The archive {name} was not unpacked: its member {member!r} would be written through a link.")
    return path


def _unpack_zip(archive: Path, name: str, target: Path) -> None:
    with zipfile.ZipFile(archive) as source:
        for info in source.infolist():
            path = _checked(name, info.filename, target)
            mode = info.external_attr >> 16
            if info.is_dir():
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            if stat.S_ISLNK(mode):
                _link(os.fsdecode(source.read(info)), path)
                continue
            _unlink(path)
            with source.open(info) as reading, open(path, "xb") as writing:
                shutil.copyfileobj(reading, writing, _COPY_SIZE)
            if mode & 0o777:
                os.chmod(path, mode & 0o777 | 0o600)


def _unpack_tar(archive: Path, name: str, target: Path) -> None:
    with tarfile.open(archive) as source:
        for info in source:
            path = _checked(name, info.name, target)
            if info.isdir():
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            if info.issym():
                _link(info.linkname, path)
            elif info.islnk():
                original = _checked(name, info.linkname, target)
                _unlink(path)
                os.link(original, path, follow_symlinks=False)
            elif info.isreg():
                _unlink(path)
                reading = source.extractfile(info)
                assert reading is not None
                with reading, open(path, "xb") as writing:
                    shutil.copyfileobj(reading, writing, _COPY_SIZE)
                os.chmod(path, info.mode & 0o777 | 0o600)
            else:
                raise UserError(f"The archive {name} was not unpacked: its member {info.name!r} is a device or a pipe.")


def _link(to: str, path: Path) -> None:
    _unlink(path)
    os.symlink(to, path)


def _unlink(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
