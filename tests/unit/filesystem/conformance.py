"""What every file system must do; ``folder`` is a new and empty directory of it."""

from __future__ import annotations

import errno
import io
import time

import pytest

from pyflow_yarn.filesystem import file_system, join, parent


def a_file_is_made_once_and_renamed_without_replacing_another(folder: str) -> None:
    files = file_system(folder)
    inner = join(folder, "a b/c")
    assert files.status(inner) is None
    files.make_directories(inner)
    files.make_directories(inner)
    source, target, other = (join(inner, name) for name in ("source", "target", "other"))
    with files.create(source) as file:
        file.write(b"0123456789")
        files.sync(file)
    with pytest.raises(FileExistsError):
        files.create(source)
    files.create(other).close()
    with pytest.raises(FileExistsError):
        files.rename(source, other)
    files.rename(source, target)
    with pytest.raises(FileNotFoundError):
        files.rename(source, target)
    assert [(found.path, found.length, found.is_directory) for found in files.list(inner)] == [
        (other, 0, False),
        (target, 10, False),
    ]
    found = files.status(target)
    assert found is not None
    assert abs(found.modified - time.time() * 1000) < 60_000
    directory = files.status(inner)
    assert directory is not None and directory.is_directory
    assert files.status(join(target, "below")) is None
    with pytest.raises(OSError) as error:
        files.delete(parent(inner))
    assert error.value.errno == errno.ENOTEMPTY
    assert files.delete(parent(inner), recursive=True)
    assert not files.delete(inner)


def a_file_is_read_from_wherever_it_is_sought_to(folder: str) -> None:
    files = file_system(folder)
    path = join(folder, "file")
    content = bytes(range(256)) * 4096
    with files.create(path) as file:
        for start in range(0, len(content), 70_000):
            file.write(content[start : start + 70_000])
    with files.open(path) as opened:
        for offset in (0, 1, 262_143, 1_000_000, len(content) - 3, len(content), len(content) + 10):
            opened.seek(offset)
            assert opened.read(5) == content[offset : offset + 5]
        opened.seek(-4, io.SEEK_END)
        assert opened.read() == content[-4:]
    with pytest.raises(FileNotFoundError):
        files.open(join(folder, "nothing"))
    with pytest.raises(OSError) as error:
        files.open(folder).read(1)
    assert error.value.errno == errno.EISDIR


def a_discarded_file_leaves_nothing(folder: str) -> None:
    files = file_system(folder)
    file = files.create(join(folder, "x"))
    file.write(b"buffered")
    files.discard(file, join(folder, "x"))
    assert files.list(folder) == []


ALL = (
    a_file_is_made_once_and_renamed_without_replacing_another,
    a_file_is_read_from_wherever_it_is_sought_to,
    a_discarded_file_leaves_nothing,
)
