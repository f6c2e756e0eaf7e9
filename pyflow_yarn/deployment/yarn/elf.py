"""ELF files, as far as an environment that runs elsewhere needs: where shared libraries are looked for, and what for.

A search path is of one of two kinds. ``RPATH`` holds for a file's own libraries and, where those have no ``RUNPATH``,
for what they need in turn; that of the program itself holds for everything it loads. ``RUNPATH`` holds for a
file's own libraries alone, and with it nothing else is asked. Both can be changed without moving a byte of the file.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from mmap import mmap
from typing import NamedTuple

_LOAD, _DYNAMIC, _NOTE = 1, 2, 4
_NULL, _STRTAB, _STRSZ, _RPATH, _RUNPATH = 0, 5, 10, 15, 29
_BUILD_ID = 3
_GLIBC = re.compile(rb"GLIBC_2\.(\d+)")


class NotElfError(ValueError):
    """The bytes are no ELF file of 64 bits, or a damaged one."""


class NoRoomError(ValueError):
    """The program has no place for a search path."""


class _Entry(NamedTuple):
    offset: int
    tag: int
    value: int


class _Segment(NamedTuple):
    kind: int
    offset: int
    address: int
    size: int


class Elf:
    """A program or shared library, changed in place."""

    def __init__(self, content: bytearray | mmap) -> None:
        self._content = content
        if len(content) < 64 or content[:5] != b"\x7fELF\x02":
            raise NotElfError("no ELF file of 64 bits")
        self._order = "<" if content[5] == 1 else ">"
        self.machine: int = self._unpack("H", 18)[0]
        self._segments = list(self._read_segments())
        self._dynamic = list(self._read_dynamic())

    def inherit_search_path(self) -> None:
        """Have its libraries looked for where the program's are, too: a ``RUNPATH`` becomes an ``RPATH``."""
        for entry in self._dynamic:
            if entry.tag == _RUNPATH:
                self._write(entry.offset, _RPATH, entry.value)

    def set_search_path(self, path: str) -> None:
        """Make this the ``RPATH`` of a program, in the place of one it has or of its build id."""
        text = path.encode() + b"\0"
        for entry in self._dynamic:
            if entry.tag in (_RPATH, _RUNPATH):
                start = self._strings() + entry.value
                if self._content.find(b"\0", start) - start + 1 >= len(text):
                    self._content[start : start + len(text)] = text
                    self._write(entry.offset, _RPATH, entry.value)
                    return
                # Its slot holds another place from now on.
                slot = entry.offset
                break
        else:
            slot = self._spare_slot()
        start = self._build_id(len(text))
        self._content[start : start + len(text)] = text
        # Offsets are counted from the table of strings, and wrap.
        self._write(slot, _RPATH, (self._address(start) - self._value(_STRTAB)) % 2**64)

    def required_glibc(self) -> int:
        """The y of the newest glibc 2.y that it asks for; 0 if it asks for none."""
        if not self._has(_STRTAB):
            return 0
        start = self._strings()
        names = self._content[start : start + self._value(_STRSZ)]
        return max((int(minor) for minor in _GLIBC.findall(names)), default=0)

    def _unpack(self, layout: str, offset: int) -> tuple[int, ...]:
        try:
            return struct.unpack_from(self._order + layout, self._content, offset)
        except (struct.error, OverflowError):
            raise NotElfError("a damaged ELF file") from None

    def _write(self, offset: int, tag: int, value: int) -> None:
        struct.pack_into(self._order + "QQ", self._content, offset, tag, value)

    def _read_segments(self) -> Iterator[_Segment]:
        (table,) = self._unpack("Q", 32)
        size, count = self._unpack("HH", 54)
        for index in range(count):
            kind, _, offset, address, _, in_file = self._unpack("IIQQQQ", table + index * size)
            yield _Segment(kind, offset, address, in_file)

    def _read_dynamic(self) -> Iterator[_Entry]:
        for segment in self._segments:
            if segment.kind == _DYNAMIC:
                for offset in range(segment.offset, segment.offset + segment.size, 16):
                    yield _Entry(offset, *self._unpack("QQ", offset))

    def _has(self, tag: int) -> bool:
        return any(entry.tag == tag for entry in self._dynamic)

    def _value(self, tag: int) -> int:
        for entry in self._dynamic:
            if entry.tag == tag:
                return entry.value
        raise NotElfError("a table of libraries without strings")

    def _strings(self) -> int:
        address = self._value(_STRTAB)
        for segment in self._segments:
            if segment.kind == _LOAD and segment.address <= address < segment.address + segment.size:
                return address - segment.address + segment.offset
        raise NotElfError("a table of strings that is not loaded")

    def _address(self, offset: int) -> int:
        for segment in self._segments:
            if segment.kind == _LOAD and segment.offset <= offset < segment.offset + segment.size:
                return offset - segment.offset + segment.address
        raise NoRoomError("its build id is not loaded")

    def _spare_slot(self) -> int:
        # The table ends with the first empty entry; linkers leave some more behind it.
        ends = [entry.offset for entry in self._dynamic if entry.tag == _NULL]
        if len(ends) < 2:
            raise NoRoomError("its table of libraries is full")
        return ends[0]

    def _build_id(self, length: int) -> int:
        for segment in self._segments:
            offset, end = segment.offset, segment.offset + segment.size
            while segment.kind == _NOTE and offset + 12 <= end:
                name, size, kind = self._unpack("III", offset)
                text = offset + 12 + (name + 3) // 4 * 4
                if kind == _BUILD_ID and self._content[offset + 12 : offset + 16] == b"GNU\0" and size >= length:
                    return text
                offset = text + (size + 3) // 4 * 4
        raise NoRoomError("it has neither a search path nor a build id")
