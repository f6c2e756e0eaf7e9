"""Multipart bodies, read as they come in: each byte is kept once, and hashed on its way."""

from __future__ import annotations

import hashlib
import io
from collections.abc import AsyncIterator

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from pyflow_runtime.rest.answers import RequestError
from pyflow_runtime.rest.parameters import shown

MAX_PARTS = 10_000


class Part:
    """One part: its name, its file name if it is a file, and its content."""

    __slots__ = ("_buffer", "_digest", "file_name", "name")

    def __init__(self) -> None:
        self.name = ""
        self.file_name: str | None = None
        self._buffer = io.BytesIO()
        self._digest = hashlib.sha256()

    def write(self, data: bytes | memoryview) -> None:
        """More of the content."""
        self._buffer.write(data)
        self._digest.update(data)

    @property
    def sha256(self) -> str:
        """The hexadecimal hash of the content."""
        return self._digest.hexdigest()

    def take(self) -> bytes:
        """The content, which the part no longer has afterwards; not copied."""
        buffer, self._buffer = self._buffer, io.BytesIO()
        return buffer.getvalue()


class _Assembly:
    """Builds parts from the parser's callbacks."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.complete = False
        self._header_name = b""
        self._header_value = b""
        self._disposition = b""

    def on_part_begin(self) -> None:
        if len(self.parts) >= MAX_PARTS:
            raise RequestError(400, f"A request has at most {MAX_PARTS} parts.")
        self.parts.append(Part())
        self._disposition = b""

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].write(memoryview(data)[start:end])

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def on_header_end(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_value
        self._header_name = self._header_value = b""

    def on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        part = self.parts[-1]
        part.name = options.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" in options:
            part.file_name = options[b"filename"].decode("utf-8", "replace")

    def on_end(self) -> None:
        self.complete = True


async def read_parts(content_type: str, stream: AsyncIterator[bytes]) -> list[Part]:
    """The parts of a body of that content type; ``RequestError`` if it is not multipart or is cut off."""
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        raise RequestError(
            400, f"A body of type multipart/form-data with a boundary is expected, not '{shown(content_type)}'."
        )
    assembly = _Assembly()
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": assembly.on_part_begin,
                "on_part_data": assembly.on_part_data,
                "on_header_field": assembly.on_header_field,
                "on_header_value": assembly.on_header_value,
                "on_header_end": assembly.on_header_end,
                "on_headers_finished": assembly.on_headers_finished,
                "on_end": assembly.on_end,
            },
        )
        async for chunk in stream:
            parser.write(chunk)
        parser.finalize()
    except FormParserError as error:
        raise RequestError(400, f"The multipart body cannot be read: {shown(str(error))}.") from None
    if not assembly.complete:
        raise RequestError(400, "The multipart body ends before its last boundary.")
    return assembly.parts
