"""``Row`` and ``RowKind``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from typing import Any

__all__ = ["Row", "RowKind"]


class RowKind(Enum):
    """What a row does to the result it belongs to; ``str`` gives the short form."""

    INSERT = 0
    UPDATE_BEFORE = 1
    UPDATE_AFTER = 2
    DELETE = 3

    def __str__(self) -> str:
        return _SHORT_FORMS[self.value]


_SHORT_FORMS = ("+I", "-U", "+U", "-D")
_KINDS = tuple(RowKind)
_INSERT = RowKind.INSERT


def _create_row(fields: list[str] | None, values: Iterable[Any], row_kind: RowKind | int | None = None) -> Row:
    row = Row(*values)
    row._fields = fields
    if row_kind is not None:
        row._row_kind = _KINDS[row_kind] if isinstance(row_kind, int) else row_kind
    return row


class Row:
    """A record of fields, by position and, if they have names, by name.

    ``Row(1, 'a')`` has positions only, ``Row(name='a', age=1)`` names in sorted order. A row of names makes rows:
    ``Person = Row('name', 'age'); Person('Alice', 11)`` is ``Row(name='Alice', age=11)``.
    """

    __slots__ = ("_fields", "_row_kind", "_values")

    _fields: list[str] | None
    _row_kind: RowKind
    _values: list[Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        set_attribute = object.__setattr__
        if kwargs:
            if args:
                raise ValueError("Can not use both args and kwargs to create Row")
            names = sorted(kwargs)
            set_attribute(self, "_fields", names)
            set_attribute(self, "_values", [kwargs[name] for name in names])
        else:
            set_attribute(self, "_fields", None)
            set_attribute(self, "_values", list(args))
        set_attribute(self, "_row_kind", _INSERT)

    @staticmethod
    def of_kind(row_kind: RowKind, *args: Any, **kwargs: Any) -> Row:
        """A row of that kind."""
        row = Row(*args, **kwargs)
        row.set_row_kind(row_kind)
        return row

    def as_dict(self, recursive: bool = False) -> dict[str, Any]:
        """Values by name; ``recursive`` turns nested rows, also in lists and dicts, into dicts as well."""
        if self._fields is None:
            raise TypeError("Cannot convert a Row without field names into a dict; name the fields first.")
        return dict(zip(self._fields, map(_as_dict, self._values) if recursive else self._values, strict=False))

    def get_row_kind(self) -> RowKind:
        """The kind of change this row stands for."""
        return self._row_kind

    def set_row_kind(self, row_kind: RowKind) -> None:
        """Change the kind."""
        self._row_kind = row_kind

    def set_field_names(self, field_names: list[str]) -> None:
        """Name the fields."""
        self._fields = field_names

    def get_fields_by_names(self, names: list[str]) -> Row:
        """A row of the named fields only."""
        values = [self[name] for name in names]
        return _create_row(list(names), values, self._row_kind)

    def _index(self, name: str) -> int:
        if self._fields is None:
            raise ValueError(name)
        return self._fields.index(name)

    def __contains__(self, item: object) -> bool:
        return item in self._values

    def __call__(self, *args: Any) -> Row:
        """A row whose names are this row's values."""
        if len(args) > len(self):
            raise ValueError(f"Can not create Row with fields {self}, expected {len(self)} values but got {args}")
        return _create_row(self._values, args, self._row_kind)

    def __getitem__(self, item: Any) -> Any:
        if isinstance(item, (int, slice)):
            return self._values[item]
        try:
            return self._values[self._index(item)]
        except IndexError:
            raise KeyError(item) from None
        except ValueError:
            raise ValueError(item) from None

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(key, (int, slice)):
            self._values[key] = value
            return
        try:
            self._values[self._index(key)] = value
        except IndexError:
            raise KeyError(key) from None
        except ValueError:
            raise ValueError(key) from None

    def __getattr__(self, item: str) -> Any:
        if item.startswith("_"):
            raise AttributeError(item)
        try:
            return self._values[self._index(item)]
        except (IndexError, ValueError):
            raise AttributeError(item) from None

    def __setattr__(self, key: str, value: Any) -> None:
        if key not in Row.__slots__:
            raise AttributeError(key)
        object.__setattr__(self, key, value)

    def __reduce__(self) -> tuple[Any, ...]:
        return _create_row, (self._fields, tuple(self._values), self._row_kind.value)

    def __repr__(self) -> str:
        names = self._fields or [f"f{index}" for index in range(len(self._values))]
        return f"Row({', '.join(f'{name}={value!r}' for name, value in zip(names, self._values, strict=False))})"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Row)
            and self._fields == other._fields
            and self._row_kind is other._row_kind
            and self._values == other._values
        )

    def __hash__(self) -> int:
        return hash(tuple(self._values))

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


_new_row = Row.__new__
_set_fields = Row.__dict__["_fields"].__set__
_set_values = Row.__dict__["_values"].__set__
_set_kind = Row.__dict__["_row_kind"].__set__


def rows_of(fields: list[str] | None, records: Iterable[Iterable[Any]]) -> list[Row]:
    """Rows with these field names, one for the values of each record: several times faster than making each alone."""
    rows = []
    for values in records:
        row = _new_row(Row)
        _set_fields(row, fields)
        _set_values(row, list(values))
        _set_kind(row, _INSERT)
        rows.append(row)
    return rows


class RowBatch:
    """Rows of the same fields, to be pickled as one, which costs half as much; unpickled they are a list of rows."""

    __slots__ = ("_fields", "_values")

    def __init__(self, fields: list[str] | None, values: list[list[Any]]) -> None:
        self._fields = fields
        self._values = values

    @staticmethod
    def of(records: Sequence[Any]) -> RowBatch | None:
        """The batch of these records, or None if one is no row, has other fields, or is of another kind than INSERT."""
        if not len(records) or type(records[0]) is not Row:
            return None
        fields = records[0]._fields
        values = []
        for row in records:
            if type(row) is not Row or row._row_kind is not _INSERT:
                return None
            if row._fields is not fields and row._fields != fields:
                return None
            values.append(row._values)
        return RowBatch(fields, values)

    def __reduce__(self) -> tuple[Any, ...]:
        return rows_of, (self._fields, self._values)


def _as_dict(value: Any) -> Any:
    if isinstance(value, Row):
        return value.as_dict(True)
    if isinstance(value, list):
        return [_as_dict(element) for element in value]
    if isinstance(value, dict):
        return {key: _as_dict(entry) for key, entry in value.items()}
    return value
