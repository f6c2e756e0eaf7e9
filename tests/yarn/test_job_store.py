"""The JobStore on a real HDFS."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from pyflow_runtime.highavailability.directory_store import DirectoryJobStore
from pyflow_runtime.highavailability.job_store import JobStore, StaleEpochError
from pyflow_yarn.errors import ExternalError
from pyflow_yarn.filesystem import file_system, hdfs
from tests.hadoop.cluster import Hadoop, wait_until
from tests.unit.highavailability import conformance
from tests.unit.highavailability.conformance import blob, result


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


def test_a_name_node_that_hangs_or_dies_costs_a_try(
    hadoop: Hadoop, directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hdfs, "RPC_TIMEOUT_SECONDS", 3.0)
    hdfs._client.cache_clear()
    store = DirectoryJobStore(directory)
    epoch = store.claim_epoch()
    hadoop.stop("namenode")
    with pytest.raises(ExternalError, match=r"cannot be stored in .*: HDFS has not answered for 3 s"):
        store.put_result(result(1), epoch)
    hadoop.resume("namenode")
    wait_until("it answers", lambda: hadoop.names("/"))
    store.put_result(result(1), epoch)
    hadoop.kill("namenode")
    with pytest.raises(
        ExternalError, match=r"cannot be stored in .*: (HDFS has not answered|HDFS refuses|no NameNode)"
    ):
        store.put_result(result(2), epoch)
    hadoop.start("namenode")
    hadoop.wait_for("namenode")
    store.put_result(result(2), epoch)
    assert DirectoryJobStore(directory).recover().results == [result(1), result(2)]
    hdfs._client.cache_clear()


def test_what_hdfs_refuses_is_said_in_one_sentence(hadoop: Hadoop, directory: str, read_only_hdfs: None) -> None:
    with pytest.raises(ExternalError) as error:
        DirectoryJobStore(directory)
    assert str(error.value) == (
        f"The job store in {directory} cannot be used: the NameNode is in safe mode, HDFS is read-only: wait, or end"
        " the safe mode."
    )
