"""What travels on a channel: batches of records, and the control elements between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec


class Batch:
    """Records with their timestamps (epoch milliseconds; None: the records have none).

    ``values`` is a list, a range or ``Columns``; ``timestamps`` is parallel to it. A batch is immutable once it was
    sent: channels within one worker pass the very object on.
    """

    __slots__ = ("timestamps", "values")

    def __init__(self, values: Sequence[Any], timestamps: list[int] | None = None) -> None:
        self.values = values
        self.timestamps = timestamps

    def __len__(self) -> int:
        return len(self.values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Batch):
            return NotImplemented
        return list(self.values) == list(other.values) and self.timestamps == other.timestamps

    __hash__ = None  # type: ignore[assignment]  # compared by content, which is not hashable

    def __repr__(self) -> str:
        stamped = "" if self.timestamps is None else ", with timestamps"
        return f"<Batch of {len(self.values)}{stamped}>"


class Watermark(msgspec.Struct, frozen=True):
    """No record with a timestamp up to this one follows on this channel."""

    timestamp: int


class WatermarkStatus(msgspec.Struct, frozen=True):
    """Whether the channel is idle: an idle channel holds no watermark back."""

    idle: bool


class BarrierOptions(msgspec.Struct, frozen=True):
    """How a checkpoint treats the data in flight; ``alignment_timeout`` in milliseconds, -1: none."""

    unaligned: bool = False
    savepoint: bool = False
    alignment_timeout: int = -1


class Barrier(msgspec.Struct, frozen=True):
    """Divides what belongs to a checkpoint from what follows."""

    checkpoint_id: int
    timestamp: int
    options: BarrierOptions = BarrierOptions()


class EndOfInput(msgspec.Struct, frozen=True):
    """Nothing follows on this channel."""


Element = Batch | Watermark | WatermarkStatus | Barrier | EndOfInput
