"""The JobStore on a real HDFS."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from pyflow_runtime.highavailability.directory_store import DirectoryJobStore
from pyflow_runtime.highavailability.job_store import JobStore, StaleEpochError
from pyflow_yarn.errors import ExternalError
from pyflow_yarn.filesystem import file_system
from tests.hadoop.cluster import Hadoop
from tests.unit.highavailability import conformance
from tests.unit.highavailability.conformance import blob


@pytest.fixture
def directory(hadoop: Hadoop, hdfs_folder: str) -> str:
    return f"{hadoop.default_fs}{hdfs_folder}/application/jobstore"


@pytest.mark.parametrize("behaves", conformance.ALL)
def test_it_does_what_every_job_store_does(behaves: Callable[[Callable[[], JobStore]], None], directory: str) -> None:
    behaves(lambda: DirectoryJobStore(directory))


def test_a_leader_deposed_while_it_writes_leaves_nothing(directory: str) -> None:
    old_leader, new_leader = DirectoryJobStore(directory), DirectoryJobStore(directory)
    old = old_leader.claim_epoch()
    epochs: list[int] = []

    def taken_over() -> Iterator[bytes]:
        yield b"1" * 1_000_000
        epochs.append(new_leader.claim_epoch())
        yield b"2" * 1_000_000

    with pytest.raises(StaleEpochError, match=f"Leader epoch {old} may not write any more: epoch {old + 1} has taken"):
        old_leader.put_blob(blob(b""), taken_over(), old)
    assert epochs == [old + 1]
    assert new_leader.recover().blobs == frozenset()
    files = file_system(directory)
    assert files.list(f"{directory}/epoch-{old + 1}") == []
    assert [found.mode for found in files.list(directory)] == [0o700, 0o600]


def test_what_hdfs_refuses_is_said_in_one_sentence(hadoop: Hadoop, directory: str, read_only_hdfs: None) -> None:
    with pytest.raises(ExternalError) as error:
        DirectoryJobStore(directory)
    assert str(error.value) == (
        f"The job store in {directory} cannot be used: the NameNode is in safe mode, HDFS is read-only: wait, or end"
        " the safe mode."
    )
