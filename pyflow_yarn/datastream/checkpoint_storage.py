"""Checkpoints are not supported yet: importing the names of their storage says so."""

from __future__ import annotations

from pyflow_yarn.errors import NotYetSupportedError

_NAMES = frozenset(
    {"CheckpointStorage", "CustomCheckpointStorage", "FileSystemCheckpointStorage", "JobManagerCheckpointStorage"}
)


def __getattr__(name: str) -> object:
    if name in _NAMES:
        raise NotYetSupportedError(f"Checkpoints ({name}) are not supported yet.")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
