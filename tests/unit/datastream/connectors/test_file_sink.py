"""Part files: hidden until they are committed, then there for good."""

from __future__ import annotations

import errno
import os
import pickle
import time
from pathlib import Path
from typing import Any

import pytest

from pyflow_yarn.common.serialization import Encoder
from pyflow_yarn.common.typeinfo import Types
from pyflow_yarn.datastream.connectors.file_system import (
    BucketAssigner,
    FileSink,
    OutputFileConfig,
    RollingPolicy,
)
from pyflow_yarn.datastream.connectors.file_writer import FileCommitter, FileWriter, publish
from pyflow_yarn.datastream.sink import WriterContext
from pyflow_yarn.errors import ConfigurationError, ExternalError, NotYetSupportedError, UserError
from pyflow_yarn.filesystem import local

JOB = "0123456789abcdef0123456789abcdef"


def sink(path: Path | str, **settings: Any) -> FileSink:
    builder = FileSink.for_row_format(str(path), settings.pop("encoder", Encoder.simple_string_encoder()))
    builder.with_bucket_assigner(settings.pop("bucket", BucketAssigner.base_path_bucket_assigner()))
    for name, value in settings.items():
        getattr(builder, f"with_{name}")(value)
    return builder.build()


def writer(target: FileSink, subtask: int = 0, attempt: int = 0) -> FileWriter:
    made = target.create_writer(WriterContext(JOB, subtask, 2, attempt))
    assert isinstance(made, FileWriter)
    made.open()
    return made


def visible(path: Path) -> dict[str, str]:
    return {
        str(file.relative_to(path)): file.read_text()
        for file in path.rglob("*")
        if file.is_file() and not file.name.startswith(".")
    }


def hidden(path: Path) -> list[str]:
    return sorted(file.name for file in path.rglob(".*"))


def test_output_is_visible_only_after_the_commit(tmp_path: Path) -> None:
    target = sink(tmp_path / "out")
    open_writer = writer(target)
    open_writer.write_batch(["a", "b"], None)
    open_writer.flush()
    assert visible(tmp_path) == {}
    prepared = open_writer.prepare_commit()
    open_writer.close()
    assert visible(tmp_path) == {}
    committer = target.create_committer()
    committer.commit(pickle.loads(pickle.dumps(prepared)))
    assert visible(tmp_path) == {"out/part-01234567-0-0": "a\nb\n"}
    assert hidden(tmp_path) == []


def test_subtasks_and_jobs_do_not_meet(tmp_path: Path) -> None:
    target = sink(tmp_path)
    prepared = []
    for subtask in (0, 1):
        open_writer = writer(target, subtask)
        open_writer.write_batch([str(subtask)], None)
        prepared += open_writer.prepare_commit()
    target.create_committer().commit(prepared)
    assert visible(tmp_path) == {"part-01234567-0-0": "0\n", "part-01234567-1-0": "1\n"}


def test_a_subtask_without_records_writes_nothing(tmp_path: Path) -> None:
    open_writer = writer(sink(tmp_path / "out"))
    open_writer.write_batch([], None)
    assert open_writer.prepare_commit() == []
    assert (tmp_path / "out").is_dir()


def test_records_that_are_no_texts(tmp_path: Path) -> None:
    target = sink(tmp_path)
    open_writer = writer(target)
    open_writer.write_batch(range(2), None)
    open_writer.write_batch(["a", 1, ("b", True), None], None)
    target.create_committer().commit(open_writer.prepare_commit())
    assert list(visible(tmp_path).values()) == ["0\n1\na\n1\n('b', True)\nNone\n"]


def test_records_of_a_declared_type_are_written_as_java_prints_them(tmp_path: Path) -> None:
    target = sink(tmp_path).for_records(Types.TUPLE([Types.STRING(), Types.INT()]))
    open_writer = writer(target)
    open_writer.write_batch([("a", 1), ("b", 2)], None)
    target.create_committer().commit(open_writer.prepare_commit())
    assert list(visible(tmp_path).values()) == ["(a,1)\n(b,2)\n"]


def test_other_encoders_and_character_sets(tmp_path: Path) -> None:
    class Dashes(Encoder):
        def encode(self, element: Any) -> bytes:
            return f"-{element}-".encode()

    for number, (encoder, expected) in enumerate(
        [(Dashes(), b"-\xc3\xa4--b-"), (Encoder.simple_string_encoder("ISO-8859-1"), b"\xe4\nb\n")]
    ):
        target = sink(tmp_path / str(number), encoder=encoder)
        open_writer = writer(target)
        open_writer.write_batch(["ä", "b"], None)
        target.create_committer().commit(open_writer.prepare_commit())
        assert [path.read_bytes() for path in (tmp_path / str(number)).iterdir()] == [expected]


def test_parts_roll_by_size(tmp_path: Path) -> None:
    target = sink(tmp_path, rolling_policy=RollingPolicy.default_rolling_policy(part_size=4))
    open_writer = writer(target)
    for word in ("aaa", "b", "c"):
        open_writer.write_batch([word], None)
    target.create_committer().commit(open_writer.prepare_commit())
    assert visible(tmp_path) == {"part-01234567-0-0": "aaa\n", "part-01234567-0-1": "b\nc\n"}


def test_names_can_be_chosen(tmp_path: Path) -> None:
    config = OutputFileConfig.builder().with_part_prefix("count").with_part_suffix(".txt").build()
    target = sink(tmp_path, output_file_config=config)
    open_writer = writer(target)
    open_writer.write_batch(["a"], None)
    assert hidden(tmp_path)[0].startswith(f".count-01234567-0-0.txt.inprogress.{JOB}-0-")
    target.create_committer().commit(open_writer.prepare_commit())
    assert list(visible(tmp_path)) == ["count-01234567-0-0.txt"]
    for prefix, suffix in (("", ""), (".x", ""), ("a/b", ""), ("a", "/b")):
        with pytest.raises(ValueError, match=r"prefix|cannot be part"):
            OutputFileConfig(prefix, suffix)


def test_buckets_are_hours_by_default(tmp_path: Path) -> None:
    built = FileSink.for_row_format(str(tmp_path), Encoder.simple_string_encoder()).build()
    assert built.bucket_assigner.bucket(0.0) == time.strftime("%Y-%m-%d--%H", time.localtime(0))
    open_writer = writer(built)
    open_writer.write_batch(["a"], None)
    built.create_committer().commit(open_writer.prepare_commit())
    [name] = visible(tmp_path)
    assert len(name.split("/")[0]) == len("2026-01-01--00")


def test_date_patterns() -> None:
    bucket = BucketAssigner.date_time_bucket_assigner
    assert bucket("yyyy/MM/dd'T'HH.mm.ss %", "UTC").bucket(86399.0) == "1970/01/01T23.59.59 %"
    assert bucket("HH", "Asia/Tokyo").bucket(0.0) == "09"
    with pytest.raises(NotYetSupportedError, match="'EEE' in the date pattern"):
        bucket("EEE")
    with pytest.raises(ConfigurationError, match="not a known time zone"):
        bucket("HH", "Nowhere/City")
    with pytest.raises(ConfigurationError, match="quote"):
        bucket("'x")


def test_commit_and_abort_can_be_repeated(tmp_path: Path) -> None:
    target = sink(tmp_path)
    open_writer = writer(target)
    open_writer.write_batch(["a"], None)
    prepared = open_writer.prepare_commit()
    committer = target.create_committer()
    committer.commit(prepared)
    committer.commit(prepared)
    committer.abort(prepared)
    committer.abort(prepared)
    assert visible(tmp_path) == {"part-01234567-0-0": "a\n"}


def test_an_interrupted_commit_is_completed(tmp_path: Path) -> None:
    (tmp_path / ".hidden").write_text("a")
    os.link(tmp_path / ".hidden", tmp_path / "final")
    assert publish(str(tmp_path / ".hidden"), str(tmp_path / "final"))
    assert visible(tmp_path) == {"final": "a"}
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("links", [True, False])
def test_foreign_files_are_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    if not links:

        def no_links(*args: object, **kwargs: object) -> None:
            raise OSError(errno.ENOTSUP, "no links")

        monkeypatch.setattr(os, "link", no_links)
    (tmp_path / "part.txt").write_text("foreign")
    (tmp_path / "part_1.txt").write_text("foreign too")
    (tmp_path / ".hidden").write_text("ours")
    assert publish(str(tmp_path / ".hidden"), str(tmp_path / "part.txt"))
    assert visible(tmp_path) == {"part.txt": "foreign", "part_1.txt": "foreign too", "part_2.txt": "ours"}


def test_a_vanished_file_is_an_error_unless_it_was_committed(tmp_path: Path) -> None:
    with pytest.raises(ExternalError, match="has vanished"):
        publish(str(tmp_path / ".gone"), str(tmp_path / "final"))


def test_an_abandoned_writer_leaves_nothing(tmp_path: Path) -> None:
    target = sink(tmp_path, rolling_policy=RollingPolicy.default_rolling_policy(part_size=1))
    open_writer = writer(target)
    open_writer.write_batch(["rolled"], None)
    rolling = writer(sink(tmp_path))
    rolling.write_batch(["open"], None)
    for each in (open_writer, rolling):
        each.close()
        each.close()
    assert list(tmp_path.iterdir()) == []


def test_aborted_output_is_removed(tmp_path: Path) -> None:
    target = sink(tmp_path)
    open_writer = writer(target)
    open_writer.write_batch(["a"], None)
    target.create_committer().abort(open_writer.prepare_commit())
    open_writer.close()
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_killed_workers_are_removed_and_those_of_other_jobs_kept(tmp_path: Path) -> None:
    target = sink(tmp_path, bucket=BucketAssigner.date_time_bucket_assigner())
    killed = writer(target)
    killed.write_batch(["a"], None)
    killed.flush()
    other = tmp_path / f".part-x-0-0.inprogress.{'f' * 32}-0-00"
    other.write_text("other job")
    FileCommitter(str(tmp_path)).cleanup(JOB)
    assert hidden(tmp_path) == [other.name]
    killed.close()


def test_a_full_disk_is_told_and_nothing_half_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        """A device without space."""

        def __init__(self, *args: object, **kwargs: object) -> None:
            self.raw = self

        def write(self, data: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        def flush(self) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    open_writer = writer(sink(tmp_path))
    open_writer.write_batch(["fits"], None)
    [part] = open_writer._parts.values()
    part._file.raw.close()
    part._file.raw = Full()  # type: ignore[assignment]
    sentence = r"part-01234567-0-0' cannot be written: no space left on device\. Free some space"
    with pytest.raises(ExternalError, match=sentence):
        open_writer.write_batch(["does not"], None)
    with pytest.raises(ExternalError, match=sentence):
        open_writer.flush()
    with pytest.raises(ExternalError, match=sentence):
        open_writer.prepare_commit()
    open_writer.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_buffer_that_cannot_be_written_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_open = open
    monkeypatch.setattr(
        local, "open", lambda path, mode, buffering, opener: real_open("/dev/full", "wb", buffering), raising=False
    )
    open_writer = writer(sink(tmp_path))
    open_writer.write_batch(["x"], None)
    with pytest.raises(ExternalError, match="no space left on device"):
        open_writer.prepare_commit()
    open_writer.close()


def test_paths_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is not a directory"):
        sink(tmp_path / "file")
    with pytest.raises(ExternalError, match=r"output directory '.*/file/sub' cannot be made: Not a directory"):
        writer(sink(tmp_path / "file" / "sub"))
    with pytest.raises(NotYetSupportedError, match="The file system 's3' of the file sink"):
        sink("s3://bucket/x")


def test_what_is_not_there_yet_says_so(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="takes a BulkWriterFactory"):
        FileSink.for_bulk_format(str(tmp_path), None)  # type: ignore[arg-type]
    with pytest.raises(NotYetSupportedError, match="Compaction"):
        FileSink.for_row_format(str(tmp_path), Encoder.simple_string_encoder()).enable_compact(None, None)
    with pytest.raises(TypeError, match="takes an Encoder"):
        FileSink.for_row_format(str(tmp_path), "x")  # type: ignore[arg-type]
