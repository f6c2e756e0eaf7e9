"""What connectors have in common."""

from __future__ import annotations

from enum import Enum

from pyflow_yarn.datastream.sink import Sink
from pyflow_yarn.datastream.source import Source

__all__ = ["DeliveryGuarantee", "Sink", "Source"]


class DeliveryGuarantee(Enum):
    """What a sink promises after a failure."""

    EXACTLY_ONCE = 0
    AT_LEAST_ONCE = 1
    NONE = 2
