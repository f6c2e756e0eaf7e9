"""The exchange of data between slot workers."""

from __future__ import annotations

from pyflow_runtime.network.batch import (
    Barrier,
    BarrierOptions,
    Batch,
    Element,
    EndOfInput,
    Watermark,
    WatermarkStatus,
)
from pyflow_runtime.network.channels import InputGate, OutputChannel
from pyflow_runtime.network.codec import EdgeCodec
from pyflow_runtime.network.errors import ChannelBroken, ChannelRefused
from pyflow_runtime.network.exchange import Exchange

__all__ = [
    "Barrier",
    "BarrierOptions",
    "Batch",
    "ChannelBroken",
    "ChannelRefused",
    "EdgeCodec",
    "Element",
    "EndOfInput",
    "Exchange",
    "InputGate",
    "OutputChannel",
    "Watermark",
    "WatermarkStatus",
]
