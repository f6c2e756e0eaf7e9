"""The Cassandra connector is not supported yet: what is imported from here says so when it is used."""

from __future__ import annotations

from typing import Any

from pyflow_yarn.datastream.not_yet import missing

_NAMES = frozenset(
    {
        "CassandraCommitter",
        "CassandraFailureHandler",
        "CassandraSink",
        "ClusterBuilder",
        "ConsistencyLevel",
        "MapperOptions",
    }
)


def __getattr__(name: str) -> Any:
    return missing(__name__, name, _NAMES, "The Cassandra connector ({}) is")
