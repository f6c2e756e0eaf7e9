"""From a key to its hash, its key group and the subtask that owns it.

The hash decides where the state of a key lives, also in savepoints: whoever changes it changes ``FORMAT_VERSION`` and
breaks ``tests/unit/state/key_groups_golden.json`` on purpose. Python's own ``hash()`` is never used (it differs between
processes and versions).

    str, bytes       murmur3_32 of the (UTF-8) bytes
    integers         the high half of x · 0x9E3779B97F4A7C15 mod 2⁶⁴ (multiply-shift; x is taken modulo 2⁶⁴)
    everything else  murmur3_32 of the canonical encoding: msgpack of the normalised key

Keys that are equal in Python hash equally, whatever their types: ``1 == 1.0 == True == Decimal(1)``, ``0.0 == -0.0``,
a namedtuple and a tuple, a ``StrEnum`` and its text, one instant in two time zones. All NaNs hash alike. Supported:
str, bytes, bool, int, float, complex, Decimal, Fraction, None, date, datetime, time, timedelta, UUID, Enum, tuple,
frozenset, Row, and numpy's scalars of these; tuples, frozensets and rows may nest. Anything else is refused.

A key group is the hash scaled to the maximum parallelism (its leading bits, if that is a power of two): the leading
bits are the ones that depend on all bits of an integer.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import sys
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import mmh3
import msgspec

from pyflow_yarn.errors import UserError

if TYPE_CHECKING:
    import numpy as np

FORMAT_VERSION = 1
MAX_PARALLELISM = 32768
MULTIPLIER = 0x9E3779B97F4A7C15
_MASK_64 = 0xFFFFFFFFFFFFFFFF
_MODULUS = (1 << 61) - 1  # residue of the numbers that are no integers

# Not mmh3.hash(str): in mmh3 5.3 a lone surrogate makes it dereference a null pointer. str.encode() raises instead.
murmur: Callable[[bytes], int] = mmh3.mmh3_32_uintdigest
_encode: Callable[[Any], bytes] = msgspec.msgpack.Encoder().encode
_PLAIN = frozenset({str, int, type(None)})  # types whose msgpack form is canonical already


# ---- hash of a key ---------------------------------------------------------------------------------


def key_hash(key: Any) -> int:
    """The hash of a key, 0 to 2³² - 1; ``UserError`` for a type that cannot be a key."""
    kind = type(key)
    try:
        if kind is str:
            return murmur(key.encode())
        if kind is int:
            return int(key * MULTIPLIER & _MASK_64) >> 32
        if kind is bytes:
            return murmur(key)
        if kind is tuple and _PLAIN.issuperset(map(type, key)):
            try:
                return murmur(_encode(key))
            except OverflowError:
                pass  # an integer beyond 64 bits: normalised below
        normal = _normalise(key)
        kind = type(normal)
        if kind is str or kind is int or kind is bytes:
            return key_hash(normal)
        return murmur(_encode(normal))
    except UnicodeEncodeError as error:
        raise UserError(
            f"The key {_shown(key)} contains a lone surrogate, which has no UTF-8 form;"
            " decode the input with errors='replace' or key by its bytes."
        ) from error
    except RecursionError as error:
        raise UserError("A key is nested too deeply to be hashed; key by something flatter.") from error


def key_group(key: Any, max_parallelism: int) -> int:
    """The key group of a key, 0 to ``max_parallelism`` - 1."""
    return key_hash(key) * max_parallelism >> 32


def operator_index(group: int, max_parallelism: int, parallelism: int) -> int:
    """The subtask that owns a key group."""
    return group * parallelism // max_parallelism


class KeyGroupRange(NamedTuple):
    """Key groups ``start`` to ``end``, both inclusive."""

    start: int
    end: int

    @property
    def groups(self) -> range:
        """The key groups of the range in order."""
        return range(self.start, self.end + 1)


def key_group_range(max_parallelism: int, parallelism: int, index: int) -> KeyGroupRange:
    """The key groups that subtask ``index`` of ``parallelism`` owns: those that ``operator_index`` gives it."""
    if not 0 <= index < parallelism <= max_parallelism <= MAX_PARALLELISM:
        raise ValueError(
            f"subtask {index} of {parallelism} with {max_parallelism} key groups: must be"
            f" 0 <= subtask < parallelism <= key groups <= {MAX_PARALLELISM}"
        )
    start = (index * max_parallelism + parallelism - 1) // parallelism
    end = ((index + 1) * max_parallelism - 1) // parallelism
    return KeyGroupRange(start, end)


def default_max_parallelism(parallelism: int) -> int:
    """The number of key groups of an operator that declares none: 128 to 32768, 1.5 times the parallelism or more."""
    wanted = parallelism + parallelism // 2
    return min(max(1 << (wanted - 1).bit_length(), 128), MAX_PARALLELISM)


# ---- source text for generated loops -----------------------------------------------------------------

EXPRESSION_GLOBALS: dict[str, Any] = {"_murmur": murmur, "_key_hash": key_hash}
"""The names that the expressions below use; merge them into the globals of the generated code."""


def hash_expression(key: str) -> str:
    """Python source of ``key_hash(key)`` for a variable named ``key``, without a call for str and int.

    Measured on one core: a loop that takes the key of a record, and appends the record to the list of its key group,
    needs 49 ns for a str of 12 characters and 57 ns for an int, with ``key_group`` 85 ns and more; a tuple of a str and
    an int takes 170 ns, a float 600 ns.

    The expression raises ``UnicodeEncodeError`` for a str with a lone surrogate: on an error of it, call ``key_hash``
    on the key for the ``UserError`` to report.
    """
    return (
        f"(_murmur({key}.encode()) if type({key}) is str else"
        f" ({key} * {MULTIPLIER:#x} & {_MASK_64:#x}) >> 32 if type({key}) is int else _key_hash({key}))"
    )


def key_group_expression(key: str, max_parallelism: int) -> str:
    """Python source of ``key_group(key, max_parallelism)`` for a variable named ``key``; see ``hash_expression``."""
    bits = max_parallelism.bit_length() - 1
    if max_parallelism != 1 << bits:
        return f"({hash_expression(key)} * {max_parallelism} >> 32)"
    return (
        f"(_murmur({key}.encode()) >> {32 - bits} if type({key}) is str else"
        f" ({key} * {MULTIPLIER:#x} & {_MASK_64:#x}) >> {64 - bits} if type({key}) is int else"
        f" _key_hash({key}) >> {32 - bits})"
    )


def channel_table(max_parallelism: int, parallelism: int) -> tuple[int, ...]:
    """The subtask of each key group: ``table[key_group]``, for loops that route records."""
    return tuple(operator_index(group, max_parallelism, parallelism) for group in range(max_parallelism))


# ---- normal form -------------------------------------------------------------------------------------


class _Code(enum.IntEnum):
    """msgpack extension codes of the canonical encoding. Values are part of the format."""

    NUMBER = 1
    COMPLEX = 2
    DATE = 3
    NAIVE_DATETIME = 4
    AWARE_DATETIME = 5
    NAIVE_TIME = 6
    AWARE_TIME = 7
    TIMEDELTA = 8
    UUID = 9
    ENUM = 10
    FROZENSET = 11
    ROW = 12


def _extension(code: _Code, payload: Any) -> msgspec.msgpack.Ext:
    return msgspec.msgpack.Ext(int(code), _encode(payload))


_Normaliser = Callable[[Any], Any]


def _normalise(key: Any) -> Any:
    """The key in the form whose msgpack bytes are canonical; str, int and bytes stand for themselves."""
    normaliser = _NORMALISERS.get(type(key))
    if normaliser is None:
        normaliser = _NORMALISERS[type(key)] = _find_normaliser(type(key))
    return normaliser(key)


def _find_normaliser(kind: type) -> _Normaliser:
    numpy = sys.modules.get("numpy")
    if numpy is not None and issubclass(kind, numpy.generic):
        return _numpy_scalar
    for base in kind.__mro__:
        normaliser = _BASES.get(base)
        if normaliser is not None:
            if getattr(kind, "__eq__") is not getattr(base, "__eq__"):  # noqa: B009 - mypy calls them disjoint
                _refuse(kind, f" because it redefines the equality of {base.__name__}")
            return normaliser
        if base.__name__ == "Row" and base.__module__.startswith("pyflow_yarn.common"):
            return _row
        if base is enum.Enum:
            if getattr(kind, "__eq__") is not object.__eq__:  # noqa: B009
                _refuse(kind, " because it redefines the equality of Enum")
            return _member
    _refuse(kind, "")


_WHAT_CAN_BE_A_KEY = (
    "the key selector must return, and key_type= declare, a str, bytes, bool, int, float, complex, Decimal, Fraction,"
    " None, date, datetime, time, timedelta, UUID, Enum, Row, or a tuple or frozenset of these;"
    " return a tuple of the fields that make up the key."
)


def _refuse(kind: type, why: str) -> NoReturn:
    if kind.__module__ in ("builtins", "__main__"):
        name = kind.__qualname__
    else:
        name = f"{kind.__module__}.{kind.__qualname__}"
    raise UserError(f"A key of type {name} cannot be hashed{why}: {_WHAT_CAN_BE_A_KEY}")


def _shown(key: Any) -> str:
    text = ascii(key)
    return text if len(text) <= 80 else text[:77] + "..."


def _integer(key: int) -> int:
    """The integers that msgpack has stand for themselves, others for their residue modulo 2⁶⁴."""
    return int(key) if -(1 << 63) <= key <= _MASK_64 else int(key) & _MASK_64


def _rational(numerator: int, denominator: int) -> Any:
    """An integer stands for itself; another number for its residue modulo the prime 2⁶¹ - 1."""
    if denominator == 1:
        return _integer(numerator)
    if denominator % _MODULUS == 0:
        return _extension(_Code.NUMBER, "none")
    return _extension(_Code.NUMBER, numerator * pow(denominator, -1, _MODULUS) % _MODULUS)


def _real(key: Any) -> Any:
    """float, Fraction, numpy's long double."""
    try:
        numerator, denominator = key.as_integer_ratio()
    except ValueError:
        return _extension(_Code.NUMBER, "nan")
    except OverflowError:
        return _extension(_Code.NUMBER, "inf" if key > 0 else "-inf")
    return _rational(int(numerator), int(denominator))


def _decimal(key: decimal.Decimal) -> Any:
    sign, digits, exponent = key.as_tuple()
    if isinstance(exponent, str):
        if exponent == "F":
            return _extension(_Code.NUMBER, "-inf" if sign else "inf")
        return _extension(_Code.NUMBER, "nan")
    number = int(decimal.Decimal((sign, digits, 0)))
    while exponent < 0 and number and number % 10 == 0:
        number //= 10
        exponent += 1
    if exponent < 0 and number:
        return _extension(_Code.NUMBER, number * pow(10, exponent, _MODULUS) % _MODULUS)
    if not number or key.adjusted() < 20:
        return _integer(number * 10 ** max(exponent, 0))
    # Beyond 64 bits in any case. Never 10 ** exponent: Decimal("1e999999999") is a legal key.
    return number * pow(10, exponent, 1 << 64) & _MASK_64


def _complex(key: complex) -> Any:
    if key.imag == 0:
        return _real(key.real)
    return _extension(_Code.COMPLEX, (_real(key.real), _real(key.imag)))


_EPOCH = datetime.datetime(1970, 1, 1)  # noqa: DTZ001 - the origin of naive date-times
_MICROSECOND = datetime.timedelta(microseconds=1)


def _datetime(key: datetime.datetime) -> Any:
    # As datetime.__hash__: two values that differ in fold only are equal.
    key = key.replace(fold=0)
    offset = key.utcoffset()
    micros = (key.replace(tzinfo=None) - _EPOCH) // _MICROSECOND
    if offset is None:
        return _extension(_Code.NAIVE_DATETIME, micros)
    return _extension(_Code.AWARE_DATETIME, micros - offset // _MICROSECOND)


def _time(key: datetime.time) -> Any:
    key = key.replace(fold=0)
    offset = key.utcoffset()
    micros = ((key.hour * 60 + key.minute) * 60 + key.second) * 1_000_000 + key.microsecond
    if offset is None:
        return _extension(_Code.NAIVE_TIME, micros)
    return _extension(_Code.AWARE_TIME, micros - offset // _MICROSECOND)


def _member(key: enum.Enum) -> Any:
    if isinstance(key, enum.Flag):
        return _extension(_Code.ENUM, (type(key).__qualname__, _normalise(key.value)))
    return _extension(_Code.ENUM, (type(key).__qualname__, key.name))


def _row(key: Any) -> Any:
    return _extension(_Code.ROW, [_normalise(value) for value in key])


def _numpy_scalar(key: Any) -> Any:
    if key.dtype.kind not in "biufcSU":
        _refuse(type(key), "")
    value = key.item()
    if type(value) is type(key):  # wider than Python's float: long double, real or complex
        return _complex(value) if key.dtype.kind == "c" else _real(value)
    return _normalise(value)


_BASES: dict[type, _Normaliser] = {
    str: lambda key: str.__str__(key),
    bytes: lambda key: bytes(key),
    int: _integer,
    float: _real,
    complex: _complex,
    decimal.Decimal: _decimal,
    fractions.Fraction: lambda key: _rational(key.numerator, key.denominator),
    type(None): lambda key: None,
    datetime.date: lambda key: _extension(_Code.DATE, key.toordinal()),
    datetime.datetime: _datetime,
    datetime.time: _time,
    datetime.timedelta: lambda key: _extension(_Code.TIMEDELTA, key // _MICROSECOND),
    uuid.UUID: lambda key: _extension(_Code.UUID, key.bytes),
    tuple: lambda key: tuple(map(_normalise, key)),
    frozenset: lambda key: _extension(_Code.FROZENSET, sorted(_encode(_normalise(value)) for value in key)),
}
_NORMALISERS: dict[type, _Normaliser] = dict(_BASES)  # and what subclasses were resolved to


# ---- many keys at once -------------------------------------------------------------------------------


def hash_integers(keys: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """``key_hash`` of an array of integers of any width, as uint32."""
    import numpy as np

    if keys.dtype.kind not in "iub":
        raise TypeError(f"an array of integers is needed, not of {keys.dtype}")
    wide = keys.astype(np.uint64) if keys.dtype.kind != "i" else keys.astype(np.int64).view(np.uint64)
    hashes: np.ndarray[Any, Any] = (wide * np.uint64(MULTIPLIER) >> np.uint64(32)).astype(np.uint32)
    return hashes


def hash_utf8(data: np.ndarray[Any, Any], offsets: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """``key_hash`` of strings (or bytes) in Arrow's layout, as uint32: key i is ``data[offsets[i]:offsets[i + 1]]``.

    All keys take a murmur3 block of four bytes at a time; keys are visited in order of length, so that the ones
    that still have a block are a tail of the order.
    """
    import numpy as np

    start = offsets[:-1].astype(np.int64)
    length = offsets[1:].astype(np.int64) - start
    order = np.argsort(length, kind="stable")
    start, length = start[order], length[order]
    # Three bytes of padding: the last block of a key may be read beyond the end of the data.
    wide = np.concatenate([data, np.zeros(4, dtype=np.uint8)]).astype(np.uint32)
    state = np.zeros(len(length), dtype=np.uint32)

    def block(at: np.ndarray[Any, Any], width: int) -> np.ndarray[Any, Any]:
        k = wide[at]
        for byte in range(1, width):
            k = k | wide[at + byte] << np.uint32(8 * byte)
        k = k * np.uint32(0xCC9E2D51)
        k = k << np.uint32(15) | k >> np.uint32(17)
        mixed: np.ndarray[Any, Any] = k * np.uint32(0x1B873593)
        return mixed

    blocks = length // 4
    for index in range(int(blocks[-1]) if len(blocks) else 0):
        first = int(np.searchsorted(blocks, index, side="right"))
        h = state[first:] ^ block(start[first:] + 4 * index, 4)
        h = h << np.uint32(13) | h >> np.uint32(19)
        state[first:] = h * np.uint32(5) + np.uint32(0xE6546B64)
    tails = length & 3
    for width in (1, 2, 3):
        chosen = np.flatnonzero(tails == width)
        state[chosen] ^= block(start[chosen] + 4 * blocks[chosen], width)
    state ^= length.astype(np.uint32)
    state ^= state >> np.uint32(16)
    state *= np.uint32(0x85EBCA6B)
    state ^= state >> np.uint32(13)
    state *= np.uint32(0xC2B2AE35)
    state ^= state >> np.uint32(16)
    hashes = np.empty_like(state)
    hashes[order] = state
    return hashes


def hash_keys(keys: Sequence[Any] | np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """``key_hash`` of a sequence of keys of any supported types, as uint32."""
    import numpy as np

    if isinstance(keys, np.ndarray) and keys.dtype.kind in "iub":
        return hash_integers(keys)
    return np.fromiter(map(key_hash, keys), dtype=np.uint32, count=len(keys))


def key_groups(hashes: np.ndarray[Any, Any], max_parallelism: int) -> np.ndarray[Any, Any]:
    """The key groups of an array of hashes, as uint16."""
    import numpy as np

    groups: np.ndarray[Any, Any] = (hashes.astype(np.uint64) * np.uint64(max_parallelism) >> np.uint64(32)).astype(
        np.uint16
    )
    return groups
