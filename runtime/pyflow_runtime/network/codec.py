"""How the records of an edge become bytes.

Where the edge declares a type that msgspec can express, records go as msgpack and are decoded by that type, at half the
cost of a pickle. A batch whose records do not fit the declaration (namedtuples declared as tuples, say), or that
msgpack cannot hold (integers beyond 64 bits, subclasses of str, numpy scalars, lone surrogates), goes by pickle instead
and arrives unchanged; each frame tells which it is.

Looking at every record would cost as much as pickling it. So the first batch is looked at as a whole and later ones by
a sample; where a single misfit hides between good records, the declared type is authoritative, as in Flink: an int that
was declared as float arrives as a float, and what cannot be read as declared fails the job with a sentence that names
both.

Without a declared type records are pickled (protocol 5), by cloudpickle if their classes live in the user's
``__main__``; rows of the same fields go as one value. Never ``marshal``: it turns numpy scalars into bytes without a
word.

Columns of the declared type go as they are, in Arrow's stream format, and arrive as columns; others, and very many, go
as rows.
"""

from __future__ import annotations

import pickle
import re
import types
import typing
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import msgspec

from pyflow_runtime.network.frames import Codec
from pyflow_yarn.common.typeinfo import RowTypeInfo
from pyflow_yarn.common.types import RowBatch
from pyflow_yarn.datastream import columns
from pyflow_yarn.datastream.columns import Columns
from pyflow_yarn.datastream.formats import arrow
from pyflow_yarn.errors import UserError

_INDEX = re.compile(r"`\$\[(\d+)\]")
_SHOWN = 200
_SAMPLE = 256
_MOST_COLUMNS = 500  # each frame has the schema, about 120 bytes a column


class EdgeCodec:
    """The codec of one edge at one task.

    ``type_info`` is ``EdgeDefinition.type_info``; ``place`` says in messages which records these are ("from Map",
    "for Sum"). A codec that ``remembers`` encodes a batch that is sent on several channels once.
    """

    def __init__(self, type_info: Any = None, place: str = "") -> None:
        self.remembers = False
        self._type_info = type_info
        self._place = f" {place}" if place else ""
        declare = getattr(type_info, "msgspec_type", None)
        self._declared = None if declare is None else declare()
        self._fits: Callable[[Sequence[Any]], bool] = getattr(type_info, "fits", lambda values: True)
        self._sample = 1  # look at every record of the first batch
        self._encode: Callable[[Any], bytes] = msgspec.msgpack.Encoder().encode
        batch = list if self._declared is None else types.GenericAlias(list, (self._declared,))
        self._decode: Callable[[Any], Any] = msgspec.msgpack.Decoder(batch).decode
        self._pickle: Callable[[Any], bytes] = _pickle
        self._remembered: tuple[Sequence[Any], tuple[Codec, bytes]] | None = None
        self._compared: tuple[columns.MakeRows, bool] | None = None  # the last type of columns, and whether it is ours

    def encode(self, values: Sequence[Any]) -> tuple[Codec, bytes]:
        """The records as bytes; ``UserError`` if they cannot be."""
        if not self.remembers:
            return self._encode_batch(values)
        remembered = self._remembered
        if remembered is None or remembered[0] is not values:
            remembered = self._remembered = (values, self._encode_batch(values))
        return remembered[1]

    def _encode_batch(self, values: Sequence[Any]) -> tuple[Codec, bytes]:
        if type(values) is Columns:
            if self._takes(values):
                return Codec.ARROW, columns.encode(values)
            values = values.rows()
        if self._declared is not None and type(values) is list and self._fits(values[:: self._sample]):
            try:
                self._sample = _SAMPLE
                return Codec.MSGPACK, self._encode(values)
            except (TypeError, OverflowError, ValueError, RecursionError):
                pass  # the declared type does not hold these records; a pickle may
        try:
            return Codec.PICKLE, self._pickle(values)
        except Exception:
            if self._pickle is _pickle_by_value:
                raise self._unpicklable(values) from None
        # Classes of the user's __main__ exist in no module here. Once there was one, do not try the fast way again.
        self._pickle = _pickle_by_value
        return self._encode_batch(values)

    def _takes(self, values: Columns) -> bool:
        """Whether columns go as they are: they are of the declared type, and their schema is small beside a frame."""
        # Row types that differ only in the names of fields are equal; their texts are not.
        if self._compared is None or self._compared[0] is not values.make_rows:
            few = int(values.batch.num_columns) <= _MOST_COLUMNS
            same = few and repr(values.make_rows.row_type) == repr(self._type_info)
            self._compared = values.make_rows, same
        return self._compared[1]

    def decode(self, codec: int, payload: bytes | bytearray | memoryview) -> Sequence[Any]:
        """The records of a payload; ``UserError`` if they do not fit the declared type or cannot be unpickled."""
        if codec == Codec.MSGPACK:
            try:
                values: Sequence[Any] = self._decode(payload)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                raise self._misfit(payload, error) from error
            return values
        if codec == Codec.ARROW:
            return columns.decode(payload, self._rows_of)
        try:
            values = pickle.loads(payload)
        except Exception as error:
            raise UserError(
                f"Records{self._place} could not be unpickled ({type(error).__name__}: {error});"
                " the modules of their classes must be importable by the workers, see -pyfs."
            ) from error
        return values

    @cached_property
    def _rows_of(self) -> columns.MakeRows:
        if not isinstance(self._type_info, RowTypeInfo):
            raise UserError(
                f"Columns{self._place} arrived for records of the type {self._type_info!r}: declare a row type."
            )
        pyarrow = arrow.import_pyarrow("Receiving columns")
        return arrow.RowMaker(pyarrow, self._type_info, f"the records{self._place}")

    def _unpicklable(self, values: Sequence[Any]) -> UserError:
        for value in values:
            try:
                _pickle_by_value(value)
            except Exception as error:
                return UserError(
                    f"A record of type {type(value).__qualname__}{self._place} cannot be pickled, so it cannot go to"
                    f" another worker ({type(error).__name__}: {error}): {_shown(value)}"
                )
        return UserError(f"A batch of {len(values)} records{self._place} cannot be pickled as a whole.")

    def _misfit(self, payload: bytes | bytearray | memoryview, error: Exception) -> UserError:
        index = _INDEX.search(str(error))
        try:
            record = msgspec.msgpack.decode(payload)
            if index is not None:
                record = record[int(index[1])]
                if isinstance(record, list) and typing.get_origin(self._declared) is tuple:
                    record = tuple(record)
            arrived = f" What arrived: {_shown(record)}"
        except Exception:
            arrived = f" What arrived: {len(payload)} bytes that are no records."
        reason = str(error).replace(index[0], "`record") if index is not None else str(error)
        return UserError(
            f"A record{self._place} does not fit the type declared for it, {self._type_info!r}: {reason}."
            f" Declare the type that the function returns, or none.{arrived}"
        )


def _pickle(values: Any) -> bytes:
    return pickle.dumps(RowBatch.of(values) or values, 5)


def _pickle_by_value(values: Any) -> bytes:
    import cloudpickle

    pickled: bytes = cloudpickle.dumps(values, 5)
    return pickled


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
