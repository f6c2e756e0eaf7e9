"""How a pipeline is executed."""

from __future__ import annotations

from enum import Enum


class RuntimeExecutionMode(Enum):
    """Streaming, batch, or batch exactly when all sources are bounded."""

    STREAMING = 0
    BATCH = 1
    AUTOMATIC = 2
