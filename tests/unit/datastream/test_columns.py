"""Rows that are still columns behave as the sequence of their rows, and travel as columns."""

from __future__ import annotations

import base64
import contextlib
import pickle
from typing import Any

import pyarrow as pa
import pytest

from pyflow_runtime.network.codec import EdgeCodec
from pyflow_runtime.network.frames import Codec
from pyflow_runtime.network.memory import FRAME_SIZE
from pyflow_yarn.common.typeinfo import Types
from pyflow_yarn.common.types import Row, rows_of
from pyflow_yarn.datastream import columns
from pyflow_yarn.datastream.columns import Columns
from pyflow_yarn.datastream.formats import arrow
from pyflow_yarn.errors import UserError

PAIR = Types.ROW_NAMED(["word", "count"], [Types.STRING(), Types.LONG()])
GOLDEN = (
    "|NsC0umAu65C8xG000UA3;+fI1po*D3IG5A009I53;+NC2mlBG000C42mk;81ONa40ssI2Pyhe`1ONa4$p8QU000335C8xGAOHXW"
    "1ONa4000001poj5V{dhCbN~PV2mlNK2ml8F2mk;800001KmY&$5C9Ya2ml5E2LKEJ000mG5C8xG000365C8xG8~^|S1ONa400000"
    "1ONa4cW-iJ000001ONm81ONa400000|NsC0$N&HU6aWAK000003;-4Y1^@*B2mlNK3;+NC00RU77ytkONB{r;00000000UA7yt|a"
    "1ONyC3IG5AYybcN5C8xG1ONa400000000001poj500000000000RR91000002mk;8000006aWAK00000AOHXW000001^@s600000"
    "C;$Ke000000000000000C;$Ke00000AOHXW00000000000ssI21ONa4000000RR91000001ONa40000000000000002LJ#700000"
    "000000ssI21ONa41^@s61^@s600000cQAJ`cQOC~00000000000RR91000000ssI2000000{{R300000|NsC000000"
)


class Refused(arrow.RowMaker):
    def __call__(self, batch: Any) -> list[Row]:
        raise AssertionError("rows were made")


made, refused = arrow.RowMaker(pa, PAIR, "a test"), Refused(pa, PAIR, "a test")


def pairs(count: int, make_rows: columns.MakeRows = made) -> Columns:
    words = [None if number == 3 else f"w{number}" for number in range(count)]
    return Columns(
        pa.record_batch([pa.array(words, pa.string()), pa.array(range(count), pa.int64())], ["word", "count"]),
        make_rows,
    )


def rows(*numbers: int) -> list[Row]:
    return rows_of(["word", "count"], [(None if number == 3 else f"w{number}", number) for number in numbers])


def test_they_are_a_sequence_of_rows() -> None:
    some = pairs(6)
    assert len(some) == 6
    assert list(some) == rows(*range(6))
    assert (some[1], some[-1]) == (rows(1)[0], rows(5)[0])
    assert list(some[2:4]) == rows(2, 3)
    assert list(some[1::2]) == rows(1, 3, 5)
    assert list(some[4:2]) == []
    assert rows(3)[0] in some
    assert pickle.loads(pickle.dumps(some)) == rows(*range(6))


def test_slicing_makes_no_rows() -> None:
    part = pairs(6, refused)[2:5]
    assert isinstance(part, Columns)
    assert (len(part), part.batch.num_rows) == (3, 3)


@pytest.mark.parametrize("part", [slice(0, 10), slice(2, 5), slice(4, 4), slice(0, None, 3)])
def test_they_travel_as_columns(part: slice) -> None:
    codec, payload = EdgeCodec(PAIR).encode(pairs(10, refused)[part])
    assert codec is Codec.ARROW
    for buffer in (payload, bytearray(payload), memoryview(payload)):
        arrived = EdgeCodec(PAIR).decode(codec, buffer)
        assert type(arrived) is Columns
        assert list(arrived) == rows(*range(10))[part]


@pytest.mark.parametrize(
    "declared",
    [
        None,
        Types.PICKLED_BYTE_ARRAY(),
        Types.ROW([Types.STRING(), Types.LONG()]),
        Types.ROW_NAMED(["count", "word"], [Types.LONG(), Types.STRING()]),
        Types.ROW_NAMED(["word"], [Types.STRING()]),
        Types.TUPLE([Types.STRING(), Types.LONG()]),
        Types.LONG(),
    ],
)
def test_where_another_type_is_declared_they_travel_as_rows_do(declared: Any) -> None:
    sender, receiver = EdgeCodec(declared), EdgeCodec(declared)
    codec, payload = sender.encode(pairs(5))
    assert (codec, payload) == EdgeCodec(declared).encode(rows(*range(5)))
    assert codec is not Codec.ARROW
    with contextlib.suppress(UserError):
        assert len(receiver.decode(codec, payload)) == 5


@pytest.mark.parametrize(("width", "expected"), [(500, Codec.ARROW), (501, Codec.PICKLE)])
def test_very_many_columns_travel_as_rows_for_a_schema_in_each_frame_would_be_most_of_it(
    width: int, expected: Codec
) -> None:
    names = [f"column_{number}" for number in range(width)]
    row_type = Types.ROW_NAMED(names, [Types.LONG()] * width)
    some = Columns(pa.record_batch([pa.array([1, 2])] * width, names), arrow.RowMaker(pa, row_type, "a test"))
    codec, payload = EdgeCodec(row_type).encode(some)
    assert codec is expected
    assert len(payload) < FRAME_SIZE // 2
    assert list(EdgeCodec(row_type).decode(codec, payload)) == some.rows()


@pytest.mark.parametrize(
    ("column", "kind", "reason"),
    [
        (pa.array([None, 10**7], pa.date32()), Types.SQL_DATE(), "date value out of range"),
        (pa.array([None, 2**60], pa.timestamp("us")), Types.SQL_TIMESTAMP(), "date value out of range"),
        (
            pa.Array.from_buffers(
                pa.string(), 1, [None, pa.py_buffer(bytes([0] * 4 + [1, 0, 0, 0])), pa.py_buffer(b"\xff")]
            ),
            Types.STRING(),
            "'utf-8' codec can't decode byte 0xff",
        ),
    ],
)
def test_a_value_that_no_row_can_have_is_told_with_its_column(column: Any, kind: Any, reason: str) -> None:
    row_type = Types.ROW_NAMED(["a"], [kind])
    some = Columns(pa.record_batch([column], ["a"]), arrow.RowMaker(pa, row_type, "the input file 'x'"))
    with pytest.raises(UserError, match=f"The column 'a' of the input file 'x' has a value .*: {reason}"):
        some.rows()
    arrived = EdgeCodec(row_type, "for Map").decode(*EdgeCodec(row_type).encode(some))
    with pytest.raises(UserError, match=f"The column 'a' of the records for Map has a value .*: {reason}"):
        list(arrived)


def test_bytes_of_an_earlier_version_are_read() -> None:
    arrived = EdgeCodec(PAIR).decode(2, base64.b85decode(GOLDEN))
    assert list(arrived) == rows(0, 1, 2, 3)


def test_what_is_no_batch_of_columns_is_told() -> None:
    for payload in (b"", b"garbage" * 20, columns.encode(pairs(3))[:100]):
        with pytest.raises(UserError, match="batch of columns could not be read"):
            EdgeCodec(PAIR).decode(Codec.ARROW, payload)
    with pytest.raises(UserError, match=r"for Sum arrived for records of the type .*: declare a row type"):
        EdgeCodec(Types.LONG(), "for Sum").decode(Codec.ARROW, columns.encode(pairs(3)))
