"""Names of side outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

if TYPE_CHECKING:
    from pyflow_yarn.common.typeinfo import TypeInformation

T = TypeVar("T")


class OutputTag(Generic[T]):
    """Name and type of a side output: a process function writes to it by ``yield tag, value``."""

    __slots__ = ("tag_id", "type_info")
    exists: ClassVar[bool] = False
    """Whether this process has had any tag, unpickled ones included."""

    def __new__(cls, *_args: Any, **_named: Any) -> Self:
        OutputTag.exists = True
        return super().__new__(cls)

    def __init__(self, tag_id: str, type_info: TypeInformation | None = None) -> None:
        if not tag_id:
            raise ValueError("OutputTag tag_id cannot be None or empty string")
        self.tag_id = tag_id
        self.type_info = type_info

    def __repr__(self) -> str:
        return f"OutputTag({self.tag_id!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OutputTag) and self.tag_id == other.tag_id

    def __hash__(self) -> int:
        return hash(self.tag_id)
