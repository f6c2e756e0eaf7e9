"""What applications share on a real HDFS."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator

import pytest

from pyflow_yarn.deployment.yarn.staging import Staging
from pyflow_yarn.yarn.hadoop_configuration import HadoopConfiguration
from tests.hadoop.cluster import Hadoop

MONTH_MS = 30 * 24 * 3600 * 1000


class Words:
    """Some content."""

    def __init__(self, text: bytes) -> None:
        self.key, self.size = hashlib.sha256(text).hexdigest(), len(text)
        self._text = text

    def chunks(self) -> Iterator[bytes]:
        yield self._text


def test_what_no_application_used_for_a_month_goes(
    hadoop: Hadoop, hdfs_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in hadoop.exports.items():
        monkeypatch.setenv(name, value)
    configuration = HadoopConfiguration.of_environment(os.environ)
    staging = Staging({"yarn.staging-directory": hdfs_folder}, configuration, "ann")
    folder = f"{hdfs_folder}/.flink"
    unused, running, again = (Words(text) for text in (b"unused", b"running", b"again"))
    files = [staging.stage(words, "a.zip") for words in (unused, running, again)]
    staging.finish()
    for words in (unused, running, again):
        long_ago = str(int(time.time() * 1000) - MONTH_MS - 1000)
        hadoop.webhdfs("PUT", f"{folder}/cache/{words.key}", "SETTIMES", modificationtime=long_ago)
    before = modified(hadoop, f"{folder}/cache/{again.key}")
    hadoop.put(f"{folder}/application_1_0001/.skein.proto", files[1].source.encode())
    # Its submission has not written anything yet.
    hadoop.webhdfs("PUT", f"{folder}/application_1_0002", "MKDIRS")
    staging.stage(again, "a.zip")
    staging.finish()
    staging.sweep(lambda key, quiet: False)
    assert set(hadoop.names(f"{folder}/cache")) == {running.key, again.key}
    assert modified(hadoop, f"{folder}/cache/{again.key}") == before
    staging.sweep(lambda key, quiet: True)
    assert hadoop.names(folder) == ["cache"]
    assert hadoop.names(f"{folder}/cache") == [again.key]


def modified(hadoop: Hadoop, folder: str) -> list[int]:
    """The times of the files in a folder, which YARN compares."""
    statuses = json.loads(hadoop.webhdfs("GET", folder, "LISTSTATUS"))["FileStatuses"]["FileStatus"]
    return [status["modificationTime"] for status in statuses]
