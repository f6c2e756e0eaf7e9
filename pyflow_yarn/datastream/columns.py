"""Rows that are still columns: the second kind of batch on the data path, beside lists of records.

Sources that read columns hand them out as ``Columns``. Whoever knows them takes the record batch: another worker gets
it in Arrow's stream format, a sink of columns writes it, no row being made. To everybody else they are a sequence of
rows, made all at once when the first is asked for: that is the border between the two kinds.

pyarrow is imported by whoever reads or writes columns, not before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, overload

from pyflow_yarn.common.typeinfo import RowTypeInfo
from pyflow_yarn.common.types import Row
from pyflow_yarn.errors import UserError


class MakeRows(Protocol):
    """Makes the rows of record batches whose columns are of a row type."""

    row_type: RowTypeInfo

    def __call__(self, batch: Any, /) -> list[Row]:
        """The rows; ``UserError`` if a value cannot be one of a row."""


class Columns(Sequence[Row]):
    """A ``pyarrow.RecordBatch`` and the rows it stands for. Slices without a step share the memory of the whole."""

    __slots__ = ("_rows", "batch", "make_rows")

    def __init__(self, batch: Any, make_rows: MakeRows) -> None:
        self.batch = batch
        self.make_rows = make_rows
        self._rows: list[Row] | None = None

    def rows(self) -> list[Row]:
        """The rows."""
        if self._rows is None:
            self._rows = self.make_rows(self.batch)
        return self._rows

    def __len__(self) -> int:
        return int(self.batch.num_rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows())

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> Columns: ...

    def __getitem__(self, index: int | slice) -> Row | Columns:
        if not isinstance(index, slice):
            return self.rows()[index]
        start, stop, step = index.indices(len(self))
        if step == 1:
            return Columns(self.batch.slice(start, max(0, stop - start)), self.make_rows)
        return Columns(self.batch.take(list(range(start, stop, step))), self.make_rows)

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (self.rows(),)


def encode(columns: Columns) -> bytes:
    """Schema and data in Arrow's stream format."""
    import pyarrow

    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, columns.batch.schema) as stream:
        stream.write_batch(columns.batch)
    encoded: bytes = sink.getvalue().to_pybytes()
    return encoded


def decode(payload: bytes | bytearray | memoryview, make_rows: MakeRows) -> Columns:
    """What ``encode`` made, without copying it; ``UserError`` if it is nothing of the kind."""
    import pyarrow

    try:
        with pyarrow.ipc.open_stream(pyarrow.py_buffer(payload)) as stream:
            return Columns(stream.read_next_batch(), make_rows)
    except (pyarrow.ArrowException, OSError, StopIteration) as error:
        raise UserError(f"A batch of columns could not be read: {error}.") from None
