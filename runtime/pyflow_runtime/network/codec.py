"""How the records of an edge become bytes."""

from __future__ import annotations

from typing import Any


class EdgeCodec:
    """The codec of one edge. ``type_info`` is ``EdgeDefinition.type_info``; ``edge`` names the edge in messages."""

    def __init__(self, type_info: Any = None, edge: str = "") -> None:
        raise NotImplementedError
