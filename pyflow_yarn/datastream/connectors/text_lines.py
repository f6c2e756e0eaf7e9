"""Reads the lines of text files, part by part and chunk by chunk.

A part (``FileSplit``) owns the lines that start in its range of bytes: it skips the line that an earlier part began,
and reads its own last line to the end, beyond its range. Lines end with ``\\n`` or ``\\r\\n``.
"""

from __future__ import annotations

import codecs
import sys
from collections.abc import Callable
from contextlib import closing
from typing import Any, Protocol

from pyflow_yarn.common.typeinfo import TypeInformation, Types
from pyflow_yarn.datastream.connectors.bad_records import BadRecordLog
from pyflow_yarn.datastream.connectors.file_formats import SplitRecords, StreamFormat
from pyflow_yarn.datastream.connectors.file_splits import FileSplit, input_failure
from pyflow_yarn.errors import ConfigurationError, ExternalError, NotYetSupportedError, UserError
from pyflow_yarn.filesystem import file_system, is_local

CHUNK_SIZE = 1 << 18
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


class TextLineFormat(StreamFormat):
    """Each line is a record, without its end."""

    def __init__(self, charset_name: str) -> None:
        try:
            self.charset_name = codecs.lookup(charset_name).name
        except LookupError:
            raise ConfigurationError(f"'{charset_name}' is not a known character set.") from None
        self.splittable = splits_by_bytes(self.charset_name)

    @property
    def produced_type(self) -> TypeInformation:
        return Types.STRING()

    def opener(self, bad: BadRecordLog) -> Callable[[FileSplit], SplitRecords]:
        kind = _ByteLines if self.splittable else _DecodedLines
        charset = self.charset_name
        return lambda split: kind(split, charset)


class LineBlocks:
    """The bytes of a split, in blocks of whole lines; the last line of the file may lack its end."""

    def __init__(self, split: FileSplit) -> None:
        self.split = split
        self.offset = 0
        """Where in the file the block begins that was read last."""
        self._file = open_input(split)
        self._position = 0
        """Of the next byte to read."""
        self._lines_before = 0
        """How many lines the blocks before this one had."""
        self._lines = 0
        self._first_line: int | None = 1 if split.start == 0 else None
        self._first_offset = -1
        self._parts: list[bytes] = []
        """The beginning of a line whose end has not been read yet."""
        self._parts_size = 0
        self._done = False
        self._at_start = split.start == 0

    def read(self) -> bytes | None:
        """Some lines; None at the end of the split."""
        if not self._at_start:
            self._at_start = True
            self._skip_begun_line()
        while not self._done:
            block = self._next_block()
            if block:
                self.offset = self._position - self._parts_size - len(block)
                if self._first_offset < 0:
                    self._first_offset = self.offset
                self._lines_before += self._lines
                self._lines = block.count(b"\n")
                return block
        return None

    def first_line(self) -> int:
        """The number in the file, from 1, of the first line of the block that was read last."""
        if self._first_line is None:
            self._first_line = count_lines(self.split, self._first_offset) + 1
        return self._first_line + self._lines_before

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _skip_begun_line(self) -> None:
        """Go to the first line that starts in the range: behind the first line end at or after the byte before it."""
        self._position = self.split.start - 1
        self._file.seek(self._position)
        while True:
            chunk = read_input(self._file, self.split, TAIL_SIZE)
            end = chunk.find(b"\n")
            if end >= 0:
                self._position += end + 1
                self._file.seek(self._position)
                break
            self._position += len(chunk)
            if not chunk:
                break
        self._done = self._position >= self.split.end >= 0

    def _next_block(self) -> bytes:
        """Whole lines, the last one perhaps without its end; empty: read on, or done."""
        end = self.split.end
        beyond = 0 <= end <= self._position
        if beyond and not self._parts:
            self._done = True
            return b""
        size = TAIL_SIZE if beyond else CHUNK_SIZE if end < 0 else min(CHUNK_SIZE, end - self._position)
        chunk = read_input(self._file, self.split, size)
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
        self._position += len(chunk)
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


class _ByteLines(SplitRecords):
    """A split of a file whose lines can be found in its bytes."""

    def __init__(self, split: FileSplit, charset: str) -> None:
        self._blocks = LineBlocks(split)
        self._charset = charset

    def read(self) -> list[str] | None:
        block = self._blocks.read()
        if block is None:
            return None
        try:
            text = block.decode(self._charset)
        except UnicodeDecodeError as error:
            raise undecodable(self._blocks.split, self._charset, error, self._blocks.offset) from None
        return split_lines(text)

    def close(self) -> None:
        self._blocks.close()


class _DecodedLines(SplitRecords):
    """A whole file in a character set whose lines must be decoded to be found."""

    def __init__(self, split: FileSplit, charset: str) -> None:
        self._split = split
        self._charset = charset
        self._file = open_input(split)
        self._decoder = codecs.getincrementaldecoder(charset)()
        self._offset = 0
        self._parts: list[str] = []
        self._done = False

    def read(self) -> list[str] | None:
        while not self._done:
            chunk = read_input(self._file, self._split, CHUNK_SIZE)
            pending = len(self._decoder.getstate()[0])
            try:
                text = self._decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                raise undecodable(self._split, self._charset, error, self._offset - pending) from None
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

    def close(self) -> None:
        self._file.close()


def undecodable(
    split: FileSplit,
    charset: str,
    error: UnicodeDecodeError,
    offset: int,
    advice: str = "StreamFormat.text_line_format('ISO-8859-1')",
) -> UserError:
    """The sentence for bytes of ``error.object``, which begins at byte ``offset`` of the file."""
    data, position = error.object, error.start
    begin = data.rfind(b"\n", 0, position) + 1
    end = data.find(b"\n", position)
    line = data[max(begin, position - SHOWN_BYTES // 2) : end if end >= 0 else len(data)][:SHOWN_BYTES]
    number = count_lines(split, offset + begin) + 1
    return UserError(
        f"The input file '{split.path}' is not valid {charset} at byte {offset + position}"
        f" (line {number}): {line!r}. Name the character set of the file, as in {advice}, or repair the file."
    )


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
        compressed = bool(split.compression) and is_local(split.path)
        file: Any = split.path if compressed else file_system(split.path).open(split.path)
        match split.compression:
            case "gzip":
                import gzip

                return gzip.open(file)
            case "bz2":
                import bz2

                return bz2.open(file)
            case "xz":
                import lzma

                return lzma.open(file)
            case "zstd":
                return _open_zstd(split.path, file)
            case _:
                opened: BinaryFile = file
                return opened
    except OSError as error:
        raise input_failure(split.path, error) from None


def _open_zstd(path: str, file: Any) -> BinaryFile:
    """Python 3.14 reads Zstandard itself, others through pyarrow if it is there."""
    if sys.version_info >= (3, 14):
        from compression import zstd

        return zstd.open(file)
    try:
        import pyarrow
    except ImportError:
        raise NotYetSupportedError(
            f"The input file '{path}' is compressed with Zstandard, which this Python cannot unpack: unpack it first,"
            f" or run {sys.executable} -m pip install pyarrow."
        ) from None
    packed = pyarrow.OSFile(file) if isinstance(file, str) else pyarrow.PythonFile(file)
    unpacked: BinaryFile = pyarrow.CompressedInputStream(packed, "zstd")
    return unpacked


def read_input(file: BinaryFile, split: FileSplit, size: int) -> bytes:
    """The next bytes of a split's file, with a sentence for what can go wrong."""
    try:
        return file.read(size)
    except (OSError, EOFError) as error:
        raise ExternalError(
            f"The input file '{split.path}' cannot be read: {getattr(error, 'strerror', None) or error}."
        ) from None
    except Exception as error:  # the decompressors have no common error
        raise UserError(f"The input file '{split.path}' cannot be unpacked: {error}.") from None


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
