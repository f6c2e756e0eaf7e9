"""TFiles that Hadoop 3.4.3 wrote: small blocks, chunks of 40 bytes, plain and compressed; and damaged ones."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyflow_yarn.yarn.tfile import Buffer, Source, TFile, UnreadableError, number

VECTORS = Path(__file__).with_name("vectors")
OWNER = "APPLICATION_OWNER"
# Number by number as Hadoop writes them.
NUMBERS = {
    0: "00",
    -1: "ff",
    127: "7f",
    -32: "e0",
    128: "cc80",
    -33: "cbdf",
    5119: "dfff",
    -5120: "b800",
    5120: "a81400",
    -5121: "a7ebff",
    1048575: "b7ffff",
    1048576: "90100000",
    -1048577: "8fefffff",
    134217727: "97ffffff",
    134217728: "8308000000",
    2147483647: "837fffffff",
    2147483648: "840080000000",
    -2147483649: "84ff7fffffff",
    1 << 40: "85010000000000",
    -(1 << 47): "85800000000000",
    1 << 54: "8640000000000000",
    (1 << 63) - 1: "877fffffffffffffff",
    -(1 << 63): "878000000000000000",
}


def vector(name: str) -> bytes:
    return (VECTORS / name).read_bytes()


def everything(source: Source, piece: int = 1 << 16) -> bytes:
    content = b""
    while found := source.read(piece):
        content += found
    return content


def opened(content: bytes) -> TFile:
    return TFile(io.BytesIO(content), len(content))


def utf(text: str) -> bytes:
    return struct.pack(">H", len(text.encode())) + text.encode()


def value(number: int) -> bytes:
    """What belongs to a container: its files with their names and lengths."""
    content = b""
    for name, count in (("empty", 0), ("taskmanager.log", 2 * number), ("taskmanager.log.1", 2 * number)):
        text = "".join(f"{number} {name} {line}ü\n" for line in range(count)).encode()
        content += utf(name) + utf(str(len(text))) + text
    return content


@pytest.mark.parametrize(("expected", "code"), NUMBERS.items())
def test_numbers_are_hadoops(expected: int, code: str) -> None:
    assert number(Buffer(bytes.fromhex(code))) == expected


@pytest.mark.parametrize("name", ["tfile", "tfile-gz"])
def test_what_hadoop_wrote_is_read(name: str) -> None:
    file = opened(vector(name))
    entries = list(file.entries())
    containers = [f"container_1700000000000_0042_01_{one:06}" for one in (3, 1, 2)]
    assert [entry.key for entry in entries] == [utf(key) for key in ("VERSION", OWNER, *containers)]
    assert everything(file.value(entries[1])) == utf("ann")
    for entry, one in zip(entries[2:], (3, 1, 2), strict=True):
        assert everything(file.value(entry), piece=7) == value(one)
    # Several containers share a block, and containers are in several blocks.
    assert len({entry.block for entry in entries}) == (2 if name == "tfile" else 1)


@pytest.mark.parametrize("name", ["tfile", "tfile-gz"])
@given(skipped=st.integers(0, 400))
def test_what_is_skipped_is_left_out(name: str, skipped: int) -> None:
    file = opened(vector(name))
    source = file.value(list(file.entries())[2])
    source.skip(skipped)
    assert everything(source) == value(3)[skipped:]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (bytes.fromhex("d1114150"), b"", "its end is not that of a TFile"),
        (b"\x00\x01\x00\x00\xd1\x11", b"\x00\x02\x00\x00\xd1\x11", "its version is 2"),
        (b"\x04none", b"\x04lzo4", "its compression is lzo4"),
        (b"data:BCFile.index", b"data:BCFile.xxxxx", r"it has no BCFile\.index"),
    ],
)
def test_what_cannot_be_read_is_told(old: bytes, new: bytes, reason: str) -> None:
    content = vector("tfile").replace(old, new) if new else b"x" * 100
    with pytest.raises(UnreadableError, match=reason):
        opened(content)


def test_an_empty_file_is_told() -> None:
    with pytest.raises(UnreadableError, match="it is too short"):
        opened(b"")
