"""The transformations that a program has declared so far, and how streams refer to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from pyflow_yarn.errors import NotYetSupportedError, UserError
from pyflow_yarn.graph.stream_graph import MAX_MAX_PARALLELISM
from pyflow_yarn.graph.transformations import ChainingStrategy, OperatorTransformation, Transformation


class Program:
    """Transformations by id. ``pending`` are the operators that the next job has to contain."""

    def __init__(self) -> None:
        self.transformations: dict[int, Transformation] = {}
        self.pending: list[int] = []

    def add(self, make: Callable[[int], Transformation], pending: bool) -> int:
        """Keep ``make(id)`` under the next free id, and give the id."""
        transformation_id = len(self.transformations) + 1
        self.transformations[transformation_id] = make(transformation_id)
        if pending:
            self.pending.append(transformation_id)
        return transformation_id

    def operator(self, transformation_id: int, action: str) -> OperatorTransformation:
        """The operator of that id; ``UserError`` naming ``action`` when it is a partitioning or a union."""
        transformation = self.transformations[transformation_id]
        if not isinstance(transformation, OperatorTransformation):
            raise UserError(
                f"{action} applies to an operator, and the result of a partitioning, union or side output is none"
                f" ({transformation.declared_at}): call it before that, or on the operator that follows."
            )
        return transformation

    def change(self, transformation_id: int, action: str, **changes: Any) -> None:
        """Replace an operator by a changed copy."""
        self.transformations[transformation_id] = replace(self.operator(transformation_id, action), **changes)


class OperatorSettings:
    """What can be set on an operator after its declaration, for streams and sinks alike."""

    def __init__(self, program: Program, transformation_id: int) -> None:
        self._program = program
        self._id = transformation_id

    def _change(self, action: str, **changes: Any) -> None:
        self._program.change(self._id, f"{action}()", **changes)

    def _set_name(self, name: str) -> None:
        self._change("name", name=name)

    def _set_uid(self, uid: str) -> None:
        if not uid:
            raise ValueError("A uid must not be empty.")
        self._change("uid", uid=uid)

    def _set_uid_hash(self, uid_hash: str) -> None:
        if len(uid_hash) != 32 or not set(uid_hash) <= set("0123456789abcdef"):
            raise ValueError(f"'{uid_hash}' is not a uid hash: it must be 32 lower-case hexadecimal digits.")
        self._change("set_uid_hash", uid_hash=uid_hash)

    def _set_parallelism(self, parallelism: int) -> None:
        check_parallelism(parallelism)
        operator = self._program.operator(self._id, "set_parallelism()")
        if operator.non_parallel and parallelism != 1:
            raise ValueError("The parallelism of non parallel operator must be 1.")
        self._change("set_parallelism", parallelism=parallelism)

    def _set_max_parallelism(self, max_parallelism: int) -> None:
        check_max_parallelism(max_parallelism)
        operator = self._program.operator(self._id, "set_max_parallelism()")
        if operator.non_parallel and max_parallelism != 1:
            raise ValueError("The maximum parallelism of non parallel operator must be 1.")
        self._change("set_max_parallelism", max_parallelism=max_parallelism)

    def _set_description(self, description: str) -> None:
        self._change("set_description", description=description)

    def _disable_chaining(self) -> None:
        self._change("disable_chaining", chaining=ChainingStrategy.NEVER)

    def _set_slot_sharing_group(self, group: Any) -> None:
        self._change("slot_sharing_group", slot_sharing_group=slot_sharing_group_name(group))


def check_parallelism(parallelism: int) -> None:
    """``ValueError`` unless it is a possible parallelism."""
    if not _is_integer(parallelism) or not 1 <= parallelism <= MAX_MAX_PARALLELISM:
        raise ValueError(f"The parallelism must be from 1 to {MAX_MAX_PARALLELISM}, but was {parallelism!r}.")


def check_max_parallelism(max_parallelism: int) -> None:
    """``ValueError`` unless it is a possible maximum parallelism."""
    if not _is_integer(max_parallelism) or not 1 <= max_parallelism <= MAX_MAX_PARALLELISM:
        raise ValueError(
            f"The maximum parallelism must be from 1 to {MAX_MAX_PARALLELISM}, but was {max_parallelism!r}."
        )


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def slot_sharing_group_name(group: Any) -> str:
    """The name of a ``SlotSharingGroup`` or a text; groups that state resources are refused."""
    if isinstance(group, str):
        return group
    if group.has_resources:
        raise NotYetSupportedError(
            f"Resources of slot-sharing group '{group.get_name()}' are not supported yet: leave them out,"
            " every slot is of the size that the configuration gives."
        )
    return str(group.get_name())
