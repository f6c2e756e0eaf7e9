"""Programs for graph tests, built without the DataStream API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyflow_yarn.graph.job_graph import Partitioning
from pyflow_yarn.graph.operators import FilterOperator, MapOperator, OperatorKind, PrintOperator, SourceOperator
from pyflow_yarn.graph.transformations import (
    ChainingStrategy,
    GraphSettings,
    OperatorTransformation,
    PartitionTransformation,
    Pipeline,
    Transformation,
    UnionTransformation,
)


class Nothing:
    """Stands for a source."""

    coordinated = False


class Builder:
    """Adds transformations and gives their ids."""

    def __init__(self) -> None:
        self.transformations: dict[int, Transformation] = {}

    def _next(self) -> int:
        return len(self.transformations) + 1

    def operator(self, kind: OperatorKind, inputs: Sequence[int], name: str, **settings: Any) -> int:
        """An operator of that kind."""
        definitions: dict[OperatorKind, Any] = {
            OperatorKind.SOURCE: SourceOperator(Nothing()),
            OperatorKind.MAP: MapOperator(len),
            OperatorKind.FILTER: FilterOperator(len),
            OperatorKind.PRINT: PrintOperator(),
        }
        transformation = OperatorTransformation(
            id=self._next(),
            inputs=tuple(inputs),
            kind=kind,
            name=name,
            definition=definitions[kind],
            declared_at=f"job.py:{self._next()}",
            **({"chaining": ChainingStrategy.HEAD} if kind is OperatorKind.SOURCE else {}) | settings,
        )
        self.transformations[transformation.id] = transformation
        return transformation.id

    def source(self, name: str = "in", **settings: Any) -> int:
        """A source."""
        return self.operator(OperatorKind.SOURCE, (), name, **settings)

    def map(self, upstream: int, name: str = "Map", **settings: Any) -> int:
        """A map."""
        return self.operator(OperatorKind.MAP, (upstream,), name, **settings)

    def print(self, upstream: int, name: str = "out", **settings: Any) -> int:
        """A sink."""
        return self.operator(OperatorKind.PRINT, (upstream,), name, **settings)

    def partition(self, upstream: int, partitioning: Partitioning, **details: Any) -> int:
        """A partitioning."""
        transformation = PartitionTransformation(
            id=self._next(), inputs=(upstream,), partitioning=partitioning, **details
        )
        self.transformations[transformation.id] = transformation
        return transformation.id

    def union(self, *upstream: int) -> int:
        """A union."""
        transformation = UnionTransformation(id=self._next(), inputs=upstream)
        self.transformations[transformation.id] = transformation
        return transformation.id

    def pipeline(self, **settings: Any) -> Pipeline:
        """The program: every operator that is not a source is wanted."""
        roots = tuple(
            each.id
            for each in self.transformations.values()
            if isinstance(each, OperatorTransformation) and each.kind is not OperatorKind.SOURCE
        )
        return Pipeline(self.transformations, roots, GraphSettings(**settings))
