"""Objects that Java has serialized, read as plain data: no class is looked for, and nothing of them is run.

The stream is that of the Java Object Serialization Specification, section 6, as far as collections, strings, numbers,
enumerations and classes of such fields need it.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

_HEADER = bytes.fromhex("aced0005")
_FIRST_HANDLE = 0x7E0000
_WRITES_ITSELF = 1
_SERIALIZABLE = 2
_ENDS = object()
_PRIMITIVES = {"B": ">b", "C": ">H", "D": ">d", "F": ">f", "I": ">i", "J": ">q", "S": ">h", "Z": ">?"}
_DEPTH = 100


class NotReadableError(ValueError):
    """The bytes are no serialized object, or one of a kind that is not read here."""


class JavaObject(NamedTuple):
    """An object: its class, its fields by name, and what its class wrote in its own way."""

    type: str
    fields: dict[str, Any]
    written: list[Any]

    def items(self) -> list[Any]:
        """What a list holds; of a map, keys and values in turn."""
        return [one for one in self.written if not isinstance(one, bytes)]


class _Class(NamedTuple):
    name: str
    flags: int
    fields: list[tuple[str, str]]
    parent: _Class | None


def load(content: bytes) -> Any:
    """The object in these bytes: text, a number, a ``JavaObject``, a list for an array, None."""
    if not content.startswith(_HEADER):
        raise NotReadableError("they do not begin as serialized objects do")
    return _Reader(content).object()


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self._position = len(_HEADER)
        self._handles: list[Any] = []
        self._depth = 0

    def object(self) -> Any:
        """The next object."""
        read = {
            0x70: lambda: None,
            0x71: self._reference,
            0x72: self._class,
            0x73: self._instance,
            0x74: lambda: self._known(self._text(">H")),
            0x75: self._array,
            0x77: lambda: self._bytes(self._number(">B")),
            0x78: lambda: _ENDS,
            0x7A: lambda: self._bytes(self._number(">i")),
            0x7C: lambda: self._known(self._text(">q")),
            0x7E: self._constant,
        }.get(tag := self._number(">B"))
        if read is None:
            raise NotReadableError(f"they have an element of kind {tag:#x}")
        self._depth += 1
        if self._depth > _DEPTH:
            raise NotReadableError("their objects are nested too deeply")
        found = read()
        self._depth -= 1
        return found

    def _class(self) -> _Class:
        name = self._text(">H")
        self._bytes(8)  # the version of the class
        place = self._place()
        flags = self._number(">B")
        fields = []
        for _ in range(self._number(">H")):
            kind, field = chr(self._number(">B")), self._text(">H")
            if kind not in _PRIMITIVES:
                self.object()  # the field's type
            fields.append((field, kind))
        self._until_the_end()
        parent = self.object()
        if parent is not None and not isinstance(parent, _Class):
            raise NotReadableError(f"the class {name} has no parent")
        self._handles[place] = found = _Class(name, flags, fields, parent)
        return found

    def _instance(self) -> JavaObject:
        line = [self._described()]
        found: JavaObject = self._known(JavaObject(line[0].name, {}, []))
        while (parent := line[0].parent) is not None:
            line.insert(0, parent)
        for one in line:
            if not one.flags & _SERIALIZABLE:
                raise NotReadableError(f"the class {one.name} has a format of its own")
            found.fields.update({name: self._value(type_) for name, type_ in one.fields})
            if one.flags & _WRITES_ITSELF:
                found.written.extend(self._until_the_end())
        return found

    def _array(self) -> list[Any]:
        kind = self._described()
        found: list[Any] = self._known([])
        found.extend(self._value(kind.name[1:2]) for _ in range(self._number(">i")))
        return found

    def _constant(self) -> str:
        self._described()
        place = self._place()
        self._handles[place] = found = str(self.object())
        return found

    def _described(self) -> _Class:
        kind = self.object()
        if not isinstance(kind, _Class):
            raise NotReadableError("an object has no class")
        return kind

    def _value(self, kind: str) -> Any:
        return self._number(_PRIMITIVES[kind]) if kind in _PRIMITIVES else self.object()

    def _until_the_end(self) -> list[Any]:
        found = []
        while (one := self.object()) is not _ENDS:
            found.append(one)
        return found

    def _reference(self) -> Any:
        place = self._number(">i") - _FIRST_HANDLE
        if not 0 <= place < len(self._handles):
            raise NotReadableError("a reference leads nowhere")
        return self._handles[place]

    def _place(self) -> int:
        """A handle for what is still being read."""
        self._handles.append(None)
        return len(self._handles) - 1

    def _known(self, found: Any) -> Any:
        self._handles.append(found)
        return found

    def _text(self, length: str) -> str:
        return self._bytes(self._number(length)).decode("utf-8", "replace")

    def _number(self, form: str) -> Any:
        (found,) = struct.unpack(form, self._bytes(struct.calcsize(form)))
        return found

    def _bytes(self, count: int) -> bytes:
        found = self._content[self._position : self._position + max(0, count)]
        if len(found) != count:
            raise NotReadableError("they end too early")
        self._position += count
        return found
