"""Records come out as they went in, whatever the declaration; what cannot travel is refused in one sentence."""

from __future__ import annotations

import collections
import decimal
import enum
import math
import pickle
import struct
import threading
from typing import Any

import cloudpickle
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyflow_runtime.network.codec import EdgeCodec
from pyflow_runtime.network.frames import Codec
from pyflow_yarn.common import Row, RowKind, Types
from pyflow_yarn.errors import UserError

Point = collections.namedtuple("Point", "name x")
PAIR = Types.TUPLE([Types.STRING(), Types.LONG()])


class Level(enum.IntEnum):
    LOW = 1


class Text(str):
    pass


def round_trip(codec: EdgeCodec, values: Any) -> tuple[Codec, list[Any]]:
    tag, payload = codec.encode(values)
    # Received payloads may be any of the three.
    decoded = [codec.decode(tag, form) for form in (payload, bytearray(payload), memoryview(payload))]
    assert list(map(list, decoded)) == [list(values)] * 3 or any(map(math.isnan, filter(lambda v: v != v, values)))
    return tag, list(decoded[0])


def same(left: Any, right: Any) -> bool:
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return struct.pack("d", left) == struct.pack("d", right)
    if isinstance(left, (tuple, list)):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


text = st.text(st.characters(codec="utf-8"))
pairs = st.tuples(text, st.integers(-(2**63), 2**63 - 1))


@given(st.lists(pairs, min_size=1))
def test_declared_records_travel_as_msgpack(values: list[Any]) -> None:
    tag, decoded = round_trip(EdgeCodec(PAIR), values)
    assert tag is Codec.MSGPACK
    assert same(decoded, values)


anything = st.recursive(
    st.one_of(text, st.integers(), st.floats(allow_nan=False), st.none(), st.booleans(), st.binary(), st.fractions()),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(text, inner) | st.frozensets(text),
    max_leaves=5,
)


@given(st.lists(anything, min_size=1))
def test_undeclared_records_travel_as_pickles(values: list[Any]) -> None:
    tag, decoded = round_trip(EdgeCodec(), values)
    assert tag is Codec.PICKLE
    assert same(decoded, values)


@given(st.lists(anything, min_size=1))
def test_records_that_do_not_fit_the_declaration_arrive_unchanged(values: list[Any]) -> None:
    for declared in (PAIR, Types.STRING(), Types.LONG(), Types.DOUBLE(), Types.BOOLEAN(), Types.LIST(Types.STRING())):
        codec = EdgeCodec(declared)
        decoded = codec.decode(*codec.encode(values))
        # The one conversion there is: an int in a stream declared as float, if a float holds it exactly.
        if not any(type(value) is float for value in decoded):
            assert same(list(decoded), values)
        assert decoded == values


@pytest.mark.parametrize(
    ("declared", "values"),
    [
        (PAIR, [Point("a", 1)]),
        (PAIR, [("a", 2**64)]),
        (PAIR, [("\ud800", 1)]),
        (PAIR, [(Text("a"), 1)]),
        (PAIR, [["a", 1]]),
        (PAIR, [("a", True)]),
        (PAIR, [("a", 1.5)]),
        (PAIR, [("a",)]),
        (PAIR, [None]),
        (PAIR, [Row("a", 1)]),
        (Types.LONG(), [Level.LOW]),
        (Types.LONG(), [2**63, 2**64]),
        (Types.ROW([Types.STRING(), Types.LONG()]), [Row("a", 1), Row(name="b", age=2)]),
        (Types.BIG_DEC(), [decimal.Decimal("0.10")]),
        (Types.PICKLED_BYTE_ARRAY(), [{"a": {1, 2}}]),
    ],
)
def test_misfits_are_pickled(declared: Any, values: list[Any]) -> None:
    codec = EdgeCodec(declared)
    tag, decoded = round_trip(codec, values)
    assert same(decoded, values)
    assert tag is Codec.PICKLE


@pytest.mark.parametrize(
    "values",
    [
        [Row(name="a", age=1), Row(name="b", age=None)],
        [Row("a", [Row(1)]), Row("b", {})],
        [Row(name="a"), Row(age=2), 3],
        [Row.of_kind(RowKind.DELETE, "a"), Row("a")],
    ],
)
def test_rows_arrive_as_they_were(values: list[Any]) -> None:
    tag, arrived = round_trip(EdgeCodec(Types.ROW([Types.STRING(), Types.LONG()])), values)
    assert (tag, arrived) == (Codec.PICKLE, values)


def test_one_misfit_does_not_change_the_batches_after_it() -> None:
    codec = EdgeCodec(PAIR)
    assert [codec.encode(values)[0] for values in ([("a", 1)], [("a", 2**70)], [("b", 2)])] == [
        Codec.MSGPACK,
        Codec.PICKLE,
        Codec.MSGPACK,
    ]


def test_a_range_travels_as_a_range() -> None:
    for codec in (EdgeCodec(), EdgeCodec(Types.LONG())):
        tag, payload = codec.encode(range(0, 8192))
        assert len(payload) < 100
        assert codec.decode(tag, payload) == range(0, 8192)


def test_a_misfit_hidden_from_the_sample_is_reported_with_type_and_record() -> None:
    codec = EdgeCodec(PAIR, "for Sum")
    codec.encode([("a", 1)])
    values: list[Any] = [("a", 1)] * 1000
    values[333] = ("b", "many")
    tag, payload = codec.encode(values)
    with pytest.raises(UserError) as caught:
        codec.decode(tag, payload)
    assert str(caught.value) == (
        "A record for Sum does not fit the type declared for it, TupleTypeInfo(String, Long):"
        " Expected `int`, got `str` - at `record[1]`. Declare the type that the function returns, or none."
        " What arrived: ('b', 'many')"
    )


def test_classes_of_the_users_main_module_travel_by_value() -> None:
    # As in a worker: the class came by cloudpickle and is importable nowhere.
    make = pickle.loads(
        cloudpickle.dumps(type("Event", (), {"__module__": "__main__", "__eq__": lambda a, b: vars(a) == vars(b)}))
    )
    event = make()
    event.name = "click"
    codec = EdgeCodec()
    for _ in range(2):
        tag, payload = codec.encode([event, event])
        assert tag is Codec.PICKLE
        decoded = codec.decode(tag, payload)
        assert decoded == [event, event]
        assert type(decoded[0]) is make


def test_a_record_that_cannot_be_pickled_is_named() -> None:
    with pytest.raises(UserError, match=r"A record of type lock from Map cannot be pickled.*TypeError"):
        EdgeCodec(None, "from Map").encode(["fine", threading.Lock()])


@pytest.mark.parametrize("payload", [b"", b"\x00\x01", b"\xff" * 20, b"cnowhere\nnothing\n.", pickle.dumps([1])[:-3]])
def test_damaged_pickles_are_reported(payload: bytes) -> None:
    with pytest.raises(UserError, match="could not be unpickled"):
        EdgeCodec().decode(Codec.PICKLE, payload)


@given(st.binary())
def test_damaged_msgpack_is_reported(payload: bytes) -> None:
    try:
        EdgeCodec(PAIR).decode(Codec.MSGPACK, payload)
    except UserError as error:
        assert "TupleTypeInfo(String, Long)" in str(error)


def test_decoded_records_keep_nothing_of_the_buffer() -> None:
    codec = EdgeCodec(Types.TUPLE([Types.STRING(), Types.PRIMITIVE_ARRAY(Types.BYTE())]))
    for values in ([("abc", b"x" * 100)], [("abc", b"x" * 100, 1)]):
        tag, payload = codec.encode(values)
        buffer = bytearray(payload)
        decoded = codec.decode(tag, memoryview(buffer))
        buffer[:] = bytes(len(buffer))
        assert decoded == values


def test_msgspec_writes_what_the_codec_relies_on() -> None:
    assert msgspec.msgpack.encode([("a", 1)]) == bytes.fromhex("9192a16101")


def test_a_broadcast_batch_is_encoded_once() -> None:
    codec = EdgeCodec(PAIR)
    codec.remembers = True
    first, second = [("a", 1)], [("a", 1)]
    payload = codec.encode(first)[1]
    assert codec.encode(first)[1] is payload
    again = codec.encode(second)[1]
    assert again == payload
    assert again is not payload
