"""Lines of text files: every line exactly once, however the file is cut."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyflow_yarn.common.time import Duration
from pyflow_yarn.common.typeinfo import Types
from pyflow_yarn.datastream.connectors import file_splits, text_lines
from pyflow_yarn.datastream.connectors.file_formats import FileRecordReader
from pyflow_yarn.datastream.connectors.file_splits import FileSplit, list_files
from pyflow_yarn.datastream.connectors.file_system import FileSource, FileSourceBuilder, StreamFormat
from pyflow_yarn.datastream.connectors.text_lines import split_lines
from pyflow_yarn.datastream.source import EndOfInput
from pyflow_yarn.errors import ConfigurationError, NotYetSupportedError, UserError
from tests.unit.datastream.connectors.reading import read_all


@pytest.fixture
def tiny_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of a few bytes, so that every kind of cut happens."""
    monkeypatch.setattr(text_lines, "CHUNK_SIZE", 7)
    monkeypatch.setattr(text_lines, "TAIL_SIZE", 3)
    monkeypatch.setattr(file_splits, "MIN_SPLIT_SIZE", 1)


def builder(*paths: Path | str, charset: str = "UTF-8") -> FileSourceBuilder:
    return FileSource.for_record_stream_format(StreamFormat.text_line_format(charset), *map(str, paths))


def lines(*paths: Path | str, charset: str = "UTF-8", split_size: int = 16 << 20, parallelism: int = 1) -> list[str]:
    source = builder(*paths, charset=charset).set_split_size(split_size).build()
    return [line for part in read_all(source, parallelism) for line in part]


def expected_lines(data: bytes, charset: str = "utf-8") -> list[str]:
    text = data.decode(charset).replace("\r\n", "\n")
    return split_lines(text) if text else []


def read_splits(path: Path, cuts: list[int], charset: str = "utf-8") -> Iterator[str]:
    size = path.stat().st_size
    bounds = [0, *sorted({cut for cut in cuts if 0 < cut < size}), size]
    for start, end in pairwise(bounds):
        reader = FileRecordReader(StreamFormat.text_line_format(charset))
        reader.add_split(FileSplit(str(path), start, end))
        reader.no_more_splits()
        while True:
            try:
                batch = reader.read_batch(3)
            except EndOfInput:
                break
            assert batch is not None
            yield from batch
        reader.close()


pieces = st.sampled_from(["\n", "\r\n", "a", "bc", "ä", "€", "𝄞", " ", "long line without an end "])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@given(text=st.lists(pieces, max_size=40).map("".join), cuts=st.lists(st.integers(1, 120), max_size=6))
def test_every_line_comes_once_in_order(tmp_path: Path, tiny_chunks: None, text: str, cuts: list[int]) -> None:
    path = tmp_path / "input.txt"
    path.write_bytes(text.encode())
    assert list(read_splits(path, cuts)) == expected_lines(text.encode())


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"a", ["a"]),
        (b"a\n", ["a"]),
        (b"a\n\n", ["a", ""]),
        (b"\na", ["", "a"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"a\r\nb\r", ["a", "b"]),
        (b"a\rb\n", ["a\rb"]),
        (b"\r", [""]),
    ],
)
@pytest.mark.parametrize("split_size", [1, 2, 1000])
def test_ends_of_lines(tmp_path: Path, tiny_chunks: None, data: bytes, expected: list[str], split_size: int) -> None:
    path = tmp_path / "input.txt"
    path.write_bytes(data)
    assert lines(path, split_size=split_size) == expected


def test_parts_are_shared_by_the_subtasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_splits, "MIN_SPLIT_SIZE", 100)
    path = tmp_path / "input.txt"
    wanted = [f"line {number}" for number in range(5000)]
    path.write_text("\n".join(wanted))
    parts = read_all(builder(path).build(), parallelism=3)
    assert sorted(line for part in parts for line in part) == sorted(wanted)
    assert all(len(part) > 1000 for part in parts)


def test_a_long_line_is_read_in_time_linear_to_its_length(tmp_path: Path) -> None:
    path = tmp_path / "input.txt"
    path.write_bytes(b"x" * (20 << 20) + b"\nend")
    first, second = lines(path, split_size=4 << 20)
    assert (len(first), second) == (20 << 20, "end")


@pytest.mark.parametrize("charset", ["latin-1", "cp1252", "utf-16", "utf-16-le", "utf-32-be", "shift_jis", "utf-8-sig"])
def test_character_sets(tmp_path: Path, tiny_chunks: None, charset: str) -> None:
    wanted = ["caf\u00e9" if charset != "shift_jis" else "\u65e5\u672c", "", "plain", "end"]
    path = tmp_path / "input.txt"
    path.write_bytes("\r\n".join(wanted).encode(charset))
    assert lines(path, charset=charset, split_size=5) == wanted


@pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)])
def test_packed_files_are_unpacked(
    tmp_path: Path, tiny_chunks: None, suffix: str, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / f"input.txt.{suffix}"
    path.write_bytes(pack(b"a\nb\nc"))
    assert lines(path, split_size=2, parallelism=2) == ["a", "b", "c"]


def test_a_damaged_packed_file_is_named(tmp_path: Path) -> None:
    for name, data in (("a.gz", gzip.compress(b"x" * 1000)[:20]), ("b.gz", b"no"), ("c.xz", b"no"), ("d.bz2", b"no")):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(Exception, match=f"The input file '{path}' cannot be"):
            lines(path)
    path = tmp_path / "e.zip"
    path.write_bytes(b"")
    with pytest.raises(UserError, match="compressed in a way that is not supported yet"):
        lines(path)


def test_undecodable_bytes_are_shown_with_place_and_line(tmp_path: Path, tiny_chunks: None) -> None:
    path = tmp_path / "input.txt"
    path.write_bytes("first\nsecond \u00e4\n".encode() + b"third caf\xe9!\nfourth\n")
    for split_size in (5, 1000):
        with pytest.raises(UserError) as raised:
            lines(path, split_size=split_size)
        assert str(raised.value) == (
            f"The input file '{path}' is not valid utf-8 at byte 25 (line 3): b'third caf\\xe9!'."
            " Name the character set of the file, as in StreamFormat.text_line_format('ISO-8859-1'),"
            " or repair the file."
        )


def test_undecodable_bytes_of_a_wide_character_set(tmp_path: Path) -> None:
    path = tmp_path / "input.txt"
    path.write_bytes("ab\n".encode("utf-16-le") + b"\x00\xdc\x00\xdc")
    with pytest.raises(UserError, match=r"is not valid utf-16-le at byte 6"):
        lines(path, charset="utf-16-le")


def test_which_files_are_read(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", ".hidden", "_SUCCESS", "sub/c.txt", "sub/.d/e.txt", "sub/_tmp/f.txt", "z.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    assert lines(tmp_path) == ["a.txt", "b.txt", "sub/c.txt", "z.csv"]
    assert lines(tmp_path / "*.txt") == ["a.txt", "b.txt"]
    assert lines(tmp_path / "**" / "*.txt") == ["a.txt", "b.txt", "sub/c.txt"]
    assert lines(tmp_path / "sub" / "_*" / "*.txt") == ["sub/_tmp/f.txt"]
    assert lines(tmp_path / ".hidden", tmp_path / "a.txt", tmp_path / "a.txt") == [".hidden", "a.txt"]
    assert lines(f"file://{tmp_path}/a.txt") == lines(f"file:{tmp_path}/a.txt") == ["a.txt"]
    assert list_files([str(tmp_path / "sub")]) == [str(tmp_path / "sub" / "c.txt")]


def test_a_name_with_pattern_characters_is_a_name_first(tmp_path: Path) -> None:
    (tmp_path / "a[1].txt").write_text("x")
    assert lines(tmp_path / "a[1].txt") == ["x"]


def test_relative_paths_are_those_of_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("x")
    monkeypatch.chdir(tmp_path)
    source = builder("a.txt").build()
    assert source.paths == (str(tmp_path / "a.txt"),)
    assert source.produced_type == Types.STRING()


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"The input path '.*/none.txt' does not exist\."):
        lines(tmp_path / "none.txt")
    with pytest.raises(UserError, match=r"No input file matches '.*/\*\.txt'\."):
        lines(tmp_path / "*.txt")
    (tmp_path / "link").symlink_to(tmp_path / "none")
    with pytest.raises(UserError, match="is a link to a file that does not exist"):
        lines(tmp_path / "link")


def test_unreadable_files_are_named(file_permissions: None, tmp_path: Path) -> None:
    path = tmp_path / "secret.txt"
    path.write_text("x")
    path.chmod(0)
    with pytest.raises(UserError, match=r"secret.txt' cannot be read: check its permissions"):
        lines(path)


def test_pipes_and_devices_are_refused_and_files_of_the_kernel_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="is neither a file nor a directory"):
        lines(tmp_path / "pipe")
    assert any(line.startswith("Pid:") for line in lines("/proc/self/status"))


def test_a_file_that_vanishes_is_named(tmp_path: Path) -> None:
    reader = FileRecordReader(StreamFormat.text_line_format())
    reader.add_split(FileSplit(str(tmp_path / "gone.txt"), 0, 5))
    with pytest.raises(UserError, match=r"gone.txt' cannot be read: No such file or directory"):
        reader.read_batch(10)


def test_splits_of_a_failed_reader_are_read_again(tmp_path: Path) -> None:
    path = tmp_path / "input.txt"
    path.write_bytes(b"x" * 4000)
    enumerator = builder(path).set_split_size(1000).build().create_enumerator(1)
    assert enumerator is not None
    enumerator.open()
    first, second = enumerator.next_split(0, ""), enumerator.next_split(0, "")
    enumerator.add_splits_back([first, second], 0)
    assert [enumerator.next_split(0, "") for _ in range(5)][:2] == [first, second]


def test_what_is_not_there_yet_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotYetSupportedError, match="The file system 's3' of the file source 's3://nn/x'"):
        builder("s3://nn/x")
    with pytest.raises(NotYetSupportedError, match="monitor_continuously"):
        builder(tmp_path).monitor_continuously(Duration.of_seconds(1))
    with pytest.raises(UserError, match="at least one path"):
        builder()
    with pytest.raises(UserError, match="names the host 'other'"):
        builder("file://other/x")
    with pytest.raises(ConfigurationError, match="'klingon' is not a known character set"):
        builder(tmp_path, charset="klingon")
