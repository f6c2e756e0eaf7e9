"""Records as sequences of values, in the order of a format's fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyflow_yarn.common.types import Row
from pyflow_yarn.datastream.formats.bad_records import described
from pyflow_yarn.errors import UserError


def values_of(records: Sequence[Any], names: list[str]) -> list[Sequence[Any]]:
    """The values of rows, tuples, lists and dicts: by name where the record has names, else by position."""
    count = len(names)
    values = []
    known = None
    for record in records:
        if type(record) is Row:
            fields = record._fields
            if fields is None or fields is known or fields == names:
                known = fields
                found: Sequence[Any] = record._values
            else:
                found = _by_name(dict(zip(fields, record._values, strict=False)), record, names)
        elif isinstance(record, (tuple, list)):
            found = record
        elif isinstance(record, dict):
            found = _by_name(record, record, names)
        else:
            raise UserError(
                f"A record of the type {type(record).__name__} cannot be written to the fields {', '.join(names)}:"
                " the sink takes rows, tuples, lists and dicts."
            )
        if len(found) != count:
            raise UserError(
                f"A record has {len(found)} fields, but {count} are to be written ({', '.join(names)}):"
                f" {described(record)}."
            )
        values.append(found)
    return values


def _by_name(values: dict[str, Any], record: Any, names: list[str]) -> list[Any]:
    missing = [name for name in names if name not in values]
    if missing:
        raise UserError(
            f"A record has no field {', '.join(missing)}, which is to be written; it has {', '.join(map(str, values))}:"
            f" {described(record)}."
        )
    return [values[name] for name in names]
