"""Search paths of programs and libraries."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyflow_yarn.deployment.yarn.elf import Elf, NoRoomError, NotElfError

BASE = 0x400000
PATH = "$ORIGIN/../lib"
RPATH, RUNPATH = 15, 29
LONG = b"/opt/python/3.11/lib"


def made(
    search: bytes | None = None, tag: int = RUNPATH, spare: int = 1, build_id: int = 20, order: str = "<"
) -> bytearray:
    """A program of nothing but its headers, a build id and the table of what it needs."""
    strings = b"\0libc.so.6\0GLIBC_2.17\0GLIBC_2.34\0GLIBC_PRIVATE\0" + (search + b"\0" if search is not None else b"")
    note = struct.pack(order + "III", 4, build_id, 3) + b"GNU\0" + bytes(build_id)
    entries = [(1, 1), (5, BASE + 1024), (10, len(strings))]
    if search is not None:
        entries.insert(1, (tag, strings.index(search + b"\0")))
    entries += [(0, 0)] * (1 + spare)
    dynamic = b"".join(struct.pack(order + "QQ", *entry) for entry in entries)
    segments = [(1, 0, BASE, 2048), (4, 512, BASE + 512, len(note)), (2, 1536, BASE + 1536, len(dynamic))]
    content = bytearray(2048)
    content[:6] = b"\x7fELF\x02" + (b"\1" if order == "<" else b"\2")
    struct.pack_into(order + "HH", content, 16, 3, 62)
    struct.pack_into(order + "Q", content, 32, 64)
    struct.pack_into(order + "HH", content, 54, 56, len(segments))
    for index, (kind, offset, address, size) in enumerate(segments):
        struct.pack_into(order + "IIQQQQQQ", content, 64 + 56 * index, kind, 4, offset, address, address, size, size, 8)
    content[512 : 512 + len(note)] = note
    content[1024 : 1024 + len(strings)] = strings
    content[1536 : 1536 + len(dynamic)] = dynamic
    return content


def search_paths(content: bytearray, order: str = "<") -> list[tuple[int, bytes]]:
    """What a loader reads: kind and text of the search paths."""
    result = list[tuple[int, bytes]]()
    for offset in range(1536, 2048, 16):
        tag, value = struct.unpack_from(order + "QQ", content, offset)
        if tag == 0:
            return result
        if tag in (RPATH, RUNPATH):
            start = (BASE + 1024 + value) % 2**64 - BASE
            result.append((tag, bytes(content[start : content.index(b"\0", start)])))
    raise AssertionError("the table has no end")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("search", "tag", "spare"),
    [(LONG, RUNPATH, 0), (LONG, RPATH, 0), (b"/lib", RUNPATH, 0), (PATH.encode(), RPATH, 0), (None, 0, 1)],
)
def test_a_program_gets_a_search_path(search: bytes | None, tag: int, spare: int, order: str) -> None:
    content = made(search, tag, spare, order=order)
    size = len(content)
    Elf(content).set_search_path(PATH)
    assert search_paths(content, order) == [(RPATH, PATH.encode())]
    assert len(content) == size


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (made(spare=0), "its table of libraries is full"),
        (made(build_id=8), "it has neither a search path nor a build id"),
        (made(b"/lib", build_id=8), "it has neither a search path nor a build id"),
    ],
)
def test_a_program_without_room(content: bytearray, reason: str) -> None:
    before = bytes(content)
    with pytest.raises(NoRoomError, match=reason):
        Elf(content).set_search_path(PATH)
    assert content == before


def test_a_library_inherits_the_search_path_of_the_program() -> None:
    content = made(b"$ORIGIN", RUNPATH)
    Elf(content).inherit_search_path()
    assert search_paths(content) == [(RPATH, b"$ORIGIN")]
    for other in (made(b"$ORIGIN", RPATH), made()):
        before = bytes(other)
        Elf(other).inherit_search_path()
        assert other == before


def test_what_is_needed_of_glibc() -> None:
    assert Elf(made()).required_glibc() == 34
    assert Elf(made()).machine == 62


def test_the_loader_looks_where_a_copy_of_this_interpreter_says(tmp_path: Path) -> None:
    content = bytearray(Path("/proc/self/exe").read_bytes())
    Elf(content).set_search_path(PATH)
    copy = tmp_path / "bin" / "python"
    copy.parent.mkdir()
    copy.write_bytes(content)
    copy.chmod(0o755)
    done = subprocess.run([copy, "-V"], env={"LD_DEBUG": "libs"}, capture_output=True, text=True, check=False)
    searched = [line for line in done.stderr.splitlines() if f"(RPATH from file {copy})" in line]
    assert searched and f"{copy.parent}/../lib" in searched[0]


@settings(max_examples=500)
@given(st.binary(max_size=200), st.integers(0, 2047), st.binary(min_size=1, max_size=8))
def test_damaged_files_are_refused_or_read(beginning: bytes, place: int, change: bytes) -> None:
    for content in (bytearray(beginning), bytearray(b"\x7fELF\x02\x01" + beginning), made(LONG)):
        content[place : place + len(change)] = change[: max(0, len(content) - place)]
        try:
            elf = Elf(content)
            elf.required_glibc()
            elf.inherit_search_path()
            elf.set_search_path(PATH)
        except (NotElfError, NoRoomError):
            continue
