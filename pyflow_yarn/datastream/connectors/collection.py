"""Elements that the program brings along."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from pyflow_yarn.common.typeinfo import ListTypeInfo, MapTypeInfo, RowTypeInfo, TupleTypeInfo, TypeInformation
from pyflow_yarn.common.types import Row
from pyflow_yarn.datastream.source import EndOfInput, ReaderContext, Source, SourceReader

__all__ = ["CollectionSource"]

T = TypeVar("T")


class CollectionSource(Source[T]):
    """The elements of a list, read by one subtask."""

    def __init__(self, elements: list[T]) -> None:
        self.elements = elements

    @staticmethod
    def of(collection: Iterable[T], type_info: TypeInformation | None) -> CollectionSource[T]:
        """A source of these elements, as ``type_info`` wants them."""
        if isinstance(collection, str | bytes) or not isinstance(collection, Iterable):
            raise TypeError(f"from_collection() takes a list of elements, not {type(collection).__name__}.")
        elements = list(collection)
        if type_info is not None and _converts(type_info):
            elements = [coerced(element, type_info) for element in elements]
        return CollectionSource(elements)

    def create_reader(self, context: ReaderContext) -> SourceReader[T]:
        return CollectionReader(self.elements if context.subtask == 0 else [])


class CollectionReader(SourceReader[T]):
    """Reads a list in slices."""

    def __init__(self, elements: list[T]) -> None:
        self._elements = elements
        self._position = 0

    def read_batch(self, max_records: int) -> Sequence[T]:
        batch = self._elements[self._position : self._position + max_records]
        if not batch:
            raise EndOfInput
        self._position += len(batch)
        return batch


def _converts(type_info: TypeInformation) -> bool:
    return isinstance(type_info, RowTypeInfo | TupleTypeInfo | ListTypeInfo | MapTypeInfo)


def coerced(element: Any, type_info: Any) -> Any:
    """``element`` with its lists, tuples and dicts as rows or tuples where ``type_info`` declares those."""
    if element is None:
        return None
    if isinstance(type_info, RowTypeInfo):
        return _row(element, type_info)
    if isinstance(type_info, TupleTypeInfo):
        types = type_info.get_field_types()
        if not isinstance(element, tuple | list | Row) or len(element) != len(types):
            raise _mismatch(element, type_info)
        return tuple([coerced(field, field_type) for field, field_type in zip(element, types, strict=True)])
    if isinstance(type_info, ListTypeInfo) and isinstance(element, list | tuple):
        return [coerced(each, type_info.elem_type) for each in element]
    if isinstance(type_info, MapTypeInfo) and isinstance(element, dict):
        return {
            coerced(key, type_info.key_type): coerced(value, type_info.value_type) for key, value in element.items()
        }
    return element


def _row(element: Any, type_info: RowTypeInfo) -> Row:
    types, names = type_info.get_field_types(), type_info.get_field_names()
    named = bool(type_info._field_names)
    if isinstance(element, dict):
        fields: Sequence[Any] = [element.get(name) for name in names]
    elif isinstance(element, Row) and element._fields and named and set(element._fields) == set(names):
        fields = [element[name] for name in names]
    elif isinstance(element, tuple | list | Row):
        fields = list(element)
    else:
        raise _mismatch(element, type_info)
    if len(fields) != len(types):
        raise _mismatch(element, type_info)
    row = Row(*[coerced(field, field_type) for field, field_type in zip(fields, types, strict=True)])
    if isinstance(element, Row):
        row.set_row_kind(element.get_row_kind())
    if named:
        row.set_field_names(names)
    return row


def _mismatch(element: Any, type_info: TypeInformation) -> TypeError:
    text = repr(element)
    shown = text if len(text) <= 100 else f"{text[:97]}..."
    return TypeError(f"The element {shown} of from_collection() does not have the declared type {type_info}.")
