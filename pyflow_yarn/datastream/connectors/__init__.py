"""Sources and sinks. Each connector is a module; the names below are kept for programs that import them from here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyflow_yarn.datastream.connectors.base import DeliveryGuarantee
from pyflow_yarn.datastream.sink import Sink
from pyflow_yarn.datastream.source import Source

if TYPE_CHECKING:
    from pyflow_yarn.datastream.connectors.file_system import (
        BucketAssigner,
        BulkFormat,
        BulkWriterFactory,
        FileSink,
        FileSource,
        OutputFileConfig,
        RollingPolicy,
        StreamFormat,
    )
    from pyflow_yarn.datastream.connectors.number_seq import NumberSequenceSource

__all__ = [
    "BucketAssigner",
    "BulkFormat",
    "BulkWriterFactory",
    "DeliveryGuarantee",
    "FileSink",
    "FileSource",
    "NumberSequenceSource",
    "OutputFileConfig",
    "RollingPolicy",
    "Sink",
    "Source",
    "StreamFormat",
]

_FILE_SYSTEM = frozenset(
    {
        "BucketAssigner",
        "BulkFormat",
        "BulkWriterFactory",
        "FileSink",
        "FileSource",
        "OutputFileConfig",
        "RollingPolicy",
        "StreamFormat",
    }
)


def __getattr__(name: str) -> object:
    if name in _FILE_SYSTEM:
        from pyflow_yarn.datastream.connectors import file_system

        return getattr(file_system, name)
    if name == "NumberSequenceSource":
        from pyflow_yarn.datastream.connectors.number_seq import NumberSequenceSource

        return NumberSequenceSource
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
