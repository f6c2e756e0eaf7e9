"""Files of a real HDFS: read and written by jobs, and what is said when that cannot be."""

from __future__ import annotations

import functools
import gzip
import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT, Completed, Flink, WordFile
from tests.hadoop.cluster import Hadoop, wait_until
from tests.integration.embedded_cluster import alive
from tests.unit.filesystem import conformance

COUNT = CHECKOUT / "examples" / "word_count.py"
SLOW = CHECKOUT / "tests" / "e2e" / "programs" / "word_count.py"
RESTARTS = ("-Drestart-strategy.type=fixed-delay", "-Drestart-strategy.fixed-delay.delay=100 ms")
Run = Callable[..., Completed]


@pytest.fixture
def run(flink: Flink, hadoop: Hadoop) -> Run:
    """``bin/flink run`` as on an edge node."""
    return functools.partial(flink, "run", env={"HADOOP_CONF_DIR": str(hadoop.conf_dir)})


def lines(hadoop: Hadoop, folder: str) -> list[str]:
    """All lines of the finished files of a folder, in which there are no others."""
    names = hadoop.names(folder)
    assert not [name for name in names if name.startswith((".", "_"))]
    return [line for name in names for line in hadoop.get(f"{folder}/{name}").decode().splitlines()]


@pytest.mark.parametrize("behaves", conformance.ALL)
def test_it_does_what_every_file_system_does(behaves: Callable[[str], None], hadoop: Hadoop, hdfs_folder: str) -> None:
    behaves(hadoop.default_fs + hdfs_folder)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_word_count_from_hdfs_to_hdfs(
    run: Run, hadoop: Hadoop, hdfs_folder: str, word_file: Callable[..., WordFile], suffix: str
) -> None:
    text = word_file(lines=30_000)
    content = Path(text.path).read_bytes()
    if suffix:
        content = gzip.compress(content)
    hadoop.put(f"{hdfs_folder}/in/text{suffix}", content)
    done = run("-p", "2", COUNT, "--input", f"hdfs://{hdfs_folder}/in", "--output", f"hdfs://{hdfs_folder}/out")
    assert done.returncode == 0, done
    found = dict(line.split(" ") for line in lines(hadoop, f"{hdfs_folder}/out"))
    assert found == {word: str(count) for word, count in text.counts.items()}


def test_a_killed_worker_leaves_no_half_written_file(
    flink: Flink, hadoop: Hadoop, hdfs_folder: str, word_file: Callable[..., WordFile], tmp_path: Path
) -> None:
    text = word_file(lines=4000)
    hadoop.put(f"{hdfs_folder}/in", Path(text.path).read_bytes())
    marks, calm = tmp_path / "marks", tmp_path / "calm"
    marks.mkdir()
    output = f"{hdfs_folder}/out"
    words = (SLOW, f"{hadoop.default_fs}{hdfs_folder}/in", f"{hadoop.default_fs}{output}", marks, calm)
    client = flink.start("run", *RESTARTS, *words, env={"HADOOP_CONF_DIR": str(hadoop.conf_dir)})

    def workers() -> list[int]:
        return [pid for pid in (int(mark.name.split("-")[1]) for mark in marks.iterdir()) if alive(pid)]

    def unfinished() -> list[str]:
        try:
            return [name for name in hadoop.names(output) if ".inprogress." in name]
        except FileNotFoundError:
            return []

    wait_until("both workers write", lambda: len(set(workers())) == 2 and unfinished(), 60)
    killed = workers()[0]
    os.kill(killed, signal.SIGKILL)
    wait_until("the next attempt writes", lambda: len(list(marks.iterdir())) == 4, 60)
    assert all(name.startswith(".") for name in hadoop.names(output))
    calm.touch()
    stdout, stderr = client.communicate(timeout=120)
    assert (client.returncode, stderr) == (0, ""), stdout
    expected = {f"({word},{n})" for word, count in text.counts.items() for n in range(1, count + 1)}
    assert Counter(lines(hadoop, output)) == Counter(expected)


def test_what_cannot_be_is_said(run: Run, flink: Flink, hadoop: Hadoop, hdfs_folder: str) -> None:
    hadoop.put(f"{hdfs_folder}/in", b"to be\n")
    source, target = f"hdfs://{hdfs_folder}/in", f"hdfs://{hdfs_folder}/out"

    def sentence(done: Completed) -> str:
        assert done.returncode == 31, done
        assert "Traceback" not in done.stderr
        assert "java" not in done.stderr
        return done.stderr

    done = run(COUNT, "--input", f"hdfs://{hdfs_folder}/nothing", "--output", target)
    assert f"The input path 'hdfs://{hdfs_folder}/nothing' does not exist." in sentence(done)
    done = flink("run", COUNT, "--input", source, "--output", target, env={"HADOOP_CONF_DIR": "", "HADOOP_HOME": ""})
    assert "HADOOP_CONF_DIR is not set, so hdfs:/// means no cluster" in sentence(done)
    stranger = {"HADOOP_CONF_DIR": str(hadoop.conf_dir), "HADOOP_USER_NAME": "stranger"}
    done = flink("run", COUNT, "--input", source, "--output", target, env=stranger)
    assert "Permission denied: user=stranger, access=WRITE" in sentence(done)


def test_a_file_system_that_is_read_only_is_told(
    run: Run, hadoop: Hadoop, hdfs_folder: str, read_only_hdfs: None
) -> None:
    done = run(COUNT, "--output", f"hdfs://{hdfs_folder}/out")
    assert done.returncode == 31
    assert "the NameNode is in safe mode, HDFS is read-only: wait, or end the safe mode" in done.stderr


def test_a_name_node_that_is_dead_is_told_within_seconds(run: Run, hadoop: Hadoop, hdfs_folder: str) -> None:
    hadoop.kill("namenode")
    done = run(COUNT, "--input", f"hdfs://{hdfs_folder}/in", timeout=30)
    assert done.returncode == 31
    assert "no NameNode answers at 127.0.0.1:" in done.stderr
    assert "is HDFS running?" in done.stderr
    hadoop.start("namenode")
