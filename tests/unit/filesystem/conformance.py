"""What every file system must do; ``folder`` is a new and empty directory of it."""

from __future__ import annotations

import errno
import io
import time
from collections.abc import Iterator

import pytest

from pyflow_yarn.filesystem import file_system, join, parent, put_once, replace_file


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


def a_directory_is_renamed_whole_and_takes_no_other_place(folder: str) -> None:
    files = file_system(folder)
    first, second, third = (join(folder, name) for name in ("first", "second", "third"))
    for directory in (first, second):
        files.make_directories(join(directory, "inner"))
        files.create(join(directory, f"inner/{directory[-1]}")).close()
    with pytest.raises(FileExistsError):
        files.rename(first, second)
    files.create(third).close()
    with pytest.raises(FileExistsError):
        files.rename(first, third)
    files.delete(third)
    files.rename(first, third)
    assert [found.path for found in files.list(join(third, "inner"))] == [join(third, "inner/t")]
    with pytest.raises(FileNotFoundError):
        files.rename(first, third)


def what_is_written_needs_its_directory(folder: str) -> None:
    files = file_system(folder)
    old, new = join(folder, "old"), join(folder, "new")
    files.make_directories(old)
    files.create(join(old, "there")).close()
    file = files.create(join(old, "file"))
    file.write(b"written")
    files.rename(old, new)
    file.close()
    for write in (
        lambda: files.create(join(old, "other")),
        lambda: files.replace(join(old, "there"), join(old, "other")),
        lambda: files.rename(join(old, "there"), join(old, "other")),
        lambda: files.replace(join(new, "there"), join(old, "other")),
        lambda: files.list(old),
    ):
        with pytest.raises(FileNotFoundError):
            write()
    assert not files.delete(join(old, "there"))
    assert files.status(old) is None


def a_file_takes_the_place_of_another_in_one_step(folder: str) -> None:
    files = file_system(folder)
    path = join(folder, "file")

    def interrupted() -> Iterator[bytes]:
        yield b"half"
        raise OSError(errno.ENOSPC, "no space")

    for content in ((b"0123456789" * 100_000, b"end"), (b"second",), ()):
        for sync in (True, False):
            replace_file(files, path, content, sync=sync)
            with pytest.raises(OSError, match="no space"):
                replace_file(files, path, interrupted(), sync=sync)
            with files.open(path) as file:
                assert file.read() == b"".join(content)
    with pytest.raises(FileNotFoundError):
        replace_file(files, join(folder, "nowhere/file"), [b""])
    assert [found.path for found in files.list(folder)] == [path]


def a_file_is_put_once(folder: str) -> None:
    files = file_system(folder)
    path = join(folder, "above/own/file")

    def interrupted() -> Iterator[bytes]:
        yield b"half"
        raise OSError(errno.ENOSPC, "no space")

    with pytest.raises(OSError, match="no space"):
        put_once(files, path, interrupted())
    assert not files.list(parent(path))

    def overtaken() -> Iterator[bytes]:
        assert put_once(files, path, [b"fi", b"rst"])
        yield b"second"

    assert not put_once(files, path, overtaken())
    before = files.status(path)
    assert not put_once(files, path, interrupted()), "nothing is even read of it"
    assert files.list(parent(path)) == [before]
    assert before is not None and before.mode == 0o600
    with files.open(path) as file:
        assert file.read() == b"first"
    assert [entry.mode for entry in files.list(folder)] == [0o700]


def what_is_private_is_its_owners(folder: str) -> None:
    files = file_system(folder)
    files.make_directories(join(folder, "above/private"), private=True)
    files.create(join(folder, "above/private/file"), private=True).close()
    replace_file(files, join(folder, "above/private/replaced"), [b""], private=True)
    found = [files.status(join(folder, name)) for name in ("above/private", "above/private/file")]
    assert [entry and entry.mode for entry in found] == [0o700, 0o600]
    above = files.status(join(folder, "above"))
    assert above is not None
    assert above.mode & 0o055 == 0o055, "what is above is for others, too"
    assert [entry.mode for entry in files.list(join(folder, "above/private"))] == [0o600, 0o600]


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
    a_directory_is_renamed_whole_and_takes_no_other_place,
    what_is_written_needs_its_directory,
    a_file_takes_the_place_of_another_in_one_step,
    a_file_is_put_once,
    what_is_private_is_its_owners,
    a_file_is_read_from_wherever_it_is_sought_to,
    a_discarded_file_leaves_nothing,
)
