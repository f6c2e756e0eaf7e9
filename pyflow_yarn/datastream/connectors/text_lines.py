"""Reads the lines of text files, part by part and chunk by chunk.

A part (``FileSplit``) owns the lines that start in its range of bytes: it skips the line that an earlier part began,
and reads its own last line to the end, beyond its range. Lines end with ``\\n`` or ``\\r\\n``.
"""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import Sequence
from contextlib import closing
from typing import Protocol

from pyflow_yarn.datastream.connectors.file_splits import FileSplit
from pyflow_yarn.datastream.source import EndOfInput, SourceReader
from pyflow_yarn.errors import ExternalError, UserError

CHUNK_SIZE = 1 << 20
TAIL_SIZE = 1 << 16
SHOWN_BYTES = 60
_NOT_BY_BYTES = ("utf-16", "utf-32", "utf-7", "iso2022", "hz", "punycode", "idna")


class BinaryFile(Protocol):
    """What plain and compressed files have in common."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most ``size``."""

    def seek(self, offset: int, /) -> int:
        """Go to a byte."""

    def close(self) -> None:
        """Close it."""


def splits_by_bytes(charset: str) -> bool:
    """Whether a byte ``\\n`` is always the end of a line in this character set."""
    name = codecs.lookup(charset).name
    return "\n".encode(charset) == b"\n" and not name.startswith(_NOT_BY_BYTES)


class TextLineReader(SourceReader[str]):
    """Reads the lines of the splits it is given."""

    blocking = True
    needs_splits = True

    def __init__(self, charset: str) -> None:
        self._charset = charset
        self._by_bytes = splits_by_bytes(charset)
        self._splits: deque[FileSplit] = deque()
        self._no_more = False
        self._current: _ByteLines | _DecodedLines | None = None
        self._lines: list[str] = []
        self._position = 0

    def add_split(self, split: FileSplit) -> None:
        self._splits.append(split)

    def no_more_splits(self) -> None:
        self._no_more = True

    def read_batch(self, max_records: int) -> Sequence[str] | None:
        while self._position >= len(self._lines):
            if self._current is None:
                if not self._splits:
                    if self._no_more:
                        raise EndOfInput
                    return None
                kind = _ByteLines if self._by_bytes else _DecodedLines
                self._current = kind(self._splits.popleft(), self._charset)
            lines = self._current.read()
            if lines is None:
                self._current.close()
                self._current = None
                lines = []
            self._lines = lines
            self._position = 0
        position = self._position
        self._position = position + max_records
        if position == 0 and len(self._lines) <= max_records:
            return self._lines
        return self._lines[position : self._position]

    def close(self) -> None:
        if self._current is not None:
            self._current.close()
            self._current = None


class _Lines:
    """An open split."""

    def __init__(self, split: FileSplit, charset: str) -> None:
        self._split = split
        self._charset = charset
        self._file = open_input(split)

    def _read(self, size: int) -> bytes:
        try:
            return self._file.read(size)
        except (OSError, EOFError) as error:
            raise ExternalError(f"The input file '{self._split.path}' cannot be read: {error}.") from None
        except Exception as error:  # the decompressors have no common error
            raise UserError(f"The input file '{self._split.path}' cannot be unpacked: {error}.") from None

    def close(self) -> None:
        self._file.close()

    def _undecodable(self, error: UnicodeDecodeError, offset: int) -> UserError:
        """The sentence for bytes of ``error.object``, which begins at byte ``offset`` of the file."""
        data, position = error.object, error.start
        begin = data.rfind(b"\n", 0, position) + 1
        end = data.find(b"\n", position)
        line = data[max(begin, position - SHOWN_BYTES // 2) : end if end >= 0 else len(data)][:SHOWN_BYTES]
        number = count_lines(self._split, offset + begin) + 1
        return UserError(
            f"The input file '{self._split.path}' is not valid {self._charset} at byte {offset + position}"
            f" (line {number}): {line!r}. Name the character set of the file, as in"
            " StreamFormat.text_line_format('ISO-8859-1'), or repair the file."
        )


class _ByteLines(_Lines):
    """A split of a file whose lines can be found in its bytes."""

    def __init__(self, split: FileSplit, charset: str) -> None:
        super().__init__(split, charset)
        self._offset = 0
        """Of the next byte to read."""
        self._parts: list[bytes] = []
        """The beginning of a line whose end has not been read yet."""
        self._parts_size = 0
        self._done = False
        self._at_start = split.start == 0

    def _skip_begun_line(self) -> None:
        """Go to the first line that starts in the range: behind the first line end at or after the byte before it."""
        self._offset = self._split.start - 1
        self._file.seek(self._offset)
        while True:
            chunk = self._read(TAIL_SIZE)
            end = chunk.find(b"\n")
            if end >= 0:
                self._offset += end + 1
                self._file.seek(self._offset)
                break
            self._offset += len(chunk)
            if not chunk:
                break
        self._done = self._offset >= self._split.end >= 0

    def read(self) -> list[str] | None:
        """Some lines; None at the end of the split."""
        if not self._at_start:
            self._at_start = True
            self._skip_begun_line()
        while not self._done:
            block = self._next_block()
            if block:
                return self._decode(block, self._offset - self._parts_size - len(block))
        return None

    def _next_block(self) -> bytes:
        """Whole lines, the last one perhaps without its end; empty: read on, or done."""
        end = self._split.end
        beyond = 0 <= end <= self._offset
        if beyond and not self._parts:
            self._done = True
            return b""
        chunk = self._read(TAIL_SIZE if beyond else CHUNK_SIZE if end < 0 else min(CHUNK_SIZE, end - self._offset))
        if not chunk:
            self._done = True
            return self._take_parts(b"")
        if beyond:
            cut = chunk.find(b"\n") + 1
            if cut:
                self._done = True
                chunk = chunk[:cut]
        else:
            cut = chunk.rfind(b"\n") + 1
        self._offset += len(chunk)
        if not cut:
            self._keep(chunk)
            return b""
        block = self._take_parts(chunk[:cut])
        if cut < len(chunk):
            self._keep(chunk[cut:])
        return block

    def _keep(self, part: bytes) -> None:
        self._parts.append(part)
        self._parts_size += len(part)

    def _take_parts(self, rest: bytes) -> bytes:
        block = b"".join((*self._parts, rest)) if self._parts else rest
        self._parts = []
        self._parts_size = 0
        return block

    def _decode(self, block: bytes, offset: int) -> list[str]:
        try:
            text = block.decode(self._charset)
        except UnicodeDecodeError as error:
            raise self._undecodable(error, offset) from None
        return split_lines(text)


class _DecodedLines(_Lines):
    """A whole file in a character set whose lines must be decoded to be found."""

    def __init__(self, split: FileSplit, charset: str) -> None:
        super().__init__(split, charset)
        self._decoder = codecs.getincrementaldecoder(charset)()
        self._offset = 0
        self._parts: list[str] = []
        self._done = False

    def read(self) -> list[str] | None:
        """Some lines; None at the end of the file."""
        while not self._done:
            chunk = self._read(CHUNK_SIZE)
            pending = len(self._decoder.getstate()[0])
            try:
                text = self._decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                raise self._undecodable(error, self._offset - pending) from None
            self._offset += len(chunk)
            self._done = not chunk
            cut = len(text) if self._done else text.rfind("\n") + 1
            if not cut and not self._done:
                self._parts.append(text)
                continue
            block = "".join((*self._parts, text[:cut]))
            self._parts = [text[cut:]]
            if block:
                return split_lines(block)
        return None


def split_lines(text: str) -> list[str]:
    """The lines of ``text``, without their ends."""
    if "\r" in text:
        text = text.replace("\r\n", "\n")
        if text[-1] == "\r":  # the last line of a file, cut inside its end
            text = text[:-1]
            if not text:
                return [""]
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return lines


def open_input(split: FileSplit) -> BinaryFile:
    """The file of a split, unpacked; ``UserError`` when it cannot be opened."""
    try:
        match split.compression:
            case "gzip":
                import gzip

                return gzip.open(split.path)
            case "bz2":
                import bz2

                return bz2.open(split.path)
            case "xz":
                import lzma

                return lzma.open(split.path)
            case _:
                return open(split.path, "rb", buffering=0)
    except OSError as error:
        raise UserError(f"The input file '{split.path}' cannot be read: {error.strerror or error}.") from None


def count_lines(split: FileSplit, offset: int) -> int:
    """How many lines end in the first ``offset`` bytes of a split's file."""
    lines = 0
    with closing(open_input(split)) as file:
        while offset > 0:
            chunk = file.read(min(CHUNK_SIZE, offset))
            if not chunk:
                break
            lines += chunk.count(b"\n")
            offset -= len(chunk)
    return lines
