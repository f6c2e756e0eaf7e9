"""Transformations: what the calls of a program left behind, before any decision about how to run it.

They are immutable and name their inputs by id. A call such as ``stream.name("x")`` replaces a transformation by a
changed copy under the same id, so that streams already derived from it see the change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import msgspec

from pyflow_yarn.graph.job_graph import Partitioning
from pyflow_yarn.graph.operators import OperatorKind


class ChainingStrategy(StrEnum):
    """How an operator may be chained to the one that feeds it: always, never, or only others to it."""

    ALWAYS = "ALWAYS"
    HEAD = "HEAD"
    NEVER = "NEVER"


class Transformation(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all; ``declared_at`` is ``job.py:9``, the user's call."""

    id: int
    inputs: tuple[int, ...]
    output_type: Any = None
    declared_at: str = ""


class OperatorTransformation(Transformation, frozen=True, kw_only=True):
    """An operator. ``definition`` is of ``pyflow_yarn.graph.operators``; None means "not said", to be inherited.

    ``non_parallel`` operators have parallelism 1 for good. ``uid_hash`` is an operator id given literally.
    """

    kind: OperatorKind
    name: str
    definition: Any
    parallelism: int | None = None
    max_parallelism: int | None = None
    non_parallel: bool = False
    uid: str = ""
    uid_hash: str = ""
    description: str = ""
    slot_sharing_group: str | None = None
    chaining: ChainingStrategy = ChainingStrategy.ALWAYS
    buffer_timeout: int | None = None


class PartitionTransformation(Transformation, frozen=True, kw_only=True):
    """``rebalance()``, ``key_by()`` and the like: says how its output reaches the next operator."""

    partitioning: Partitioning
    key_selector: Callable[[Any], Any] | None = None
    partitioner: Any = None
    key_type: Any = None


class UnionTransformation(Transformation, frozen=True, kw_only=True):
    """``union()``: its output is the output of all its inputs."""


class SideOutputTransformation(Transformation, frozen=True, kw_only=True):
    """``get_side_output()``: the records that the operator before it emits with a tag of that id."""

    tag_id: str


class GraphSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a program and its configuration say about all operators.

    ``max_parallelism`` None: derived from each operator's parallelism. ``buffer_timeout`` is milliseconds.
    """

    parallelism: int = 1
    max_parallelism: int | None = None
    chaining: bool = True
    chain_different_max_parallelism: bool = True
    buffer_timeout: int = 100
    auto_generate_uids: bool = True


class Pipeline(msgspec.Struct, frozen=True):
    """A program's transformations by id, and the ids that a job has to contain (``roots``, in order of declaration)."""

    transformations: Mapping[int, Transformation]
    roots: tuple[int, ...]
    settings: GraphSettings = GraphSettings()
