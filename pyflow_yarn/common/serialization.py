"""How records become bytes and bytes records, at the border of the system."""

from __future__ import annotations

import codecs
from abc import ABC, abstractmethod
from typing import Any

from pyflow_yarn.common.type_text import java_text
from pyflow_yarn.common.typeinfo import TypeInformation, Types
from pyflow_yarn.errors import ConfigurationError

__all__ = [
    "ByteArraySchema",
    "DeserializationSchema",
    "Encoder",
    "SerializationSchema",
    "SimpleStringEncoder",
    "SimpleStringSchema",
]


class SerializationSchema(ABC):
    """Turns records into bytes."""

    @abstractmethod
    def serialize(self, element: Any) -> bytes:
        """The bytes of a record."""


class DeserializationSchema(ABC):
    """Turns bytes into records."""

    @abstractmethod
    def deserialize(self, message: bytes) -> Any:
        """The record of some bytes."""

    def get_produced_type(self) -> TypeInformation | None:
        """The type of the records, if it is known."""
        return None


def _known_charset(charset: str) -> str:
    try:
        return codecs.lookup(charset).name
    except LookupError:
        raise ConfigurationError(f"'{charset}' is not a known character set.") from None


class SimpleStringSchema(SerializationSchema, DeserializationSchema):
    """Texts in a character set."""

    def __init__(self, charset: str = "UTF-8") -> None:
        self._charset = _known_charset(charset)

    def serialize(self, element: Any) -> bytes:
        return str(element).encode(self._charset)

    def deserialize(self, message: bytes) -> str:
        return message.decode(self._charset)

    def get_produced_type(self) -> TypeInformation:
        return Types.STRING()


class ByteArraySchema(SerializationSchema, DeserializationSchema):
    """Bytes as they are."""

    def serialize(self, element: Any) -> bytes:
        return bytes(element)

    def deserialize(self, message: bytes) -> bytes:
        return message

    def get_produced_type(self) -> TypeInformation:
        return Types.PRIMITIVE_ARRAY(Types.BYTE())


class Encoder(ABC):
    """What a file sink writes for each record."""

    @abstractmethod
    def encode(self, element: Any) -> bytes:
        """The bytes of a record, with whatever separates it from the next one."""

    @staticmethod
    def simple_string_encoder(charset_name: str = "UTF-8") -> Encoder:
        """The text of each record on a line of its own."""
        return SimpleStringEncoder(charset_name)


class SimpleStringEncoder(Encoder):
    """The text of each record on a line of its own."""

    def __init__(self, charset_name: str = "UTF-8") -> None:
        self.charset_name = _known_charset(charset_name)

    def encode(self, element: Any) -> bytes:
        return f"{java_text(element)}\n".encode(self.charset_name)
