"""Where keyed state is kept while a job runs."""

from __future__ import annotations

from pyflow_yarn.errors import NotYetSupportedError


class StateBackend:
    """Base of all state backends."""


class HashMapStateBackend(StateBackend):
    """Keyed state is kept in the memory of the workers. This is what every job has."""


class EmbeddedRocksDBStateBackend(StateBackend):
    """Not supported yet."""

    def __init__(self, enable_incremental_checkpointing: bool | None = None) -> None:
        raise NotYetSupportedError("The RocksDB state backend is not supported yet: state is kept in memory.")
