"""What a checkpoint guarantees."""

from __future__ import annotations

from enum import Enum


class CheckpointingMode(Enum):
    """Whether a record counts exactly once or at least once in state after a recovery."""

    EXACTLY_ONCE = 0
    AT_LEAST_ONCE = 1
