"""HDFS without a cluster: configuration, addresses, and what the library's errors become."""

from __future__ import annotations

import errno
import functools
import os
import socket
import sys
import threading
from pathlib import Path

import pytest

from pyflow_yarn.datastream.connectors.file_splits import list_files
from pyflow_yarn.datastream.local_paths import file_path
from pyflow_yarn.errors import ConfigurationError, ExternalError, UserError
from pyflow_yarn.filesystem import FileStatus, hdfs


def configure(folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: str) -> None:
    entries = "".join(
        f"<property><name>{key}</name><value>{value}</value></property>" for key, value in settings.items()
    )
    (folder / "core-site.xml").write_text(f"<configuration>{entries}</configuration>")
    monkeypatch.setenv("HADOOP_CONF_DIR", str(folder))


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    hdfs._client.cache_clear()
    for name in ("HADOOP_CONF_DIR", "HADOOP_HOME"):
        monkeypatch.delenv(name, raising=False)


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.mark.parametrize(
    ("kind", "text", "number", "sentence"),
    [
        (FileNotFoundError, "/x", errno.ENOENT, "No such file or directory"),
        (FileNotFoundError, "Path is not a file: /t\n\tat org.apache.x", errno.EISDIR, "Is a directory"),
        (FileExistsError, "/x for client 127.0.0.1 already exists\n\tat org", errno.EEXIST, "File exists"),
        (
            RuntimeError,
            'RPCError("org.apache.hadoop.security.AccessControlException", "Permission denied: user=bob, access=WRITE,'
            ' inode=\\"/t\\":root:supergroup:drwxr-xr-x\\n\\tat org.apache.hadoop.x")',
            errno.EACCES,
            'Permission denied: user=bob, access=WRITE, inode="/t":root:supergroup:drwxr-xr-x',
        ),
        (
            RuntimeError,
            'RPCError("org.apache.hadoop.ipc.RetriableException", "org.apache.hadoop.hdfs.server.namenode.'
            'SafeModeException: Cannot create /x. Name node is in safe mode")',
            errno.EROFS,
            "the NameNode is in safe mode, HDFS is read-only: wait, or end the safe mode",
        ),
        (
            RuntimeError,
            'RPCError("org.apache.hadoop.hdfs.protocol.DSQuotaExceededException", "The DiskSpace quota of /q")',
            errno.EDQUOT,
            "the directory's quota of space is used up",
        ),
        (
            RuntimeError,
            'RPCError("org.apache.hadoop.hdfs.protocol.NSQuotaExceededException", "The NameSpace quota of /q")',
            errno.EDQUOT,
            "the directory's quota of names is used up",
        ),
        (
            RuntimeError,
            'GSSAPIError(GssMajorCodes { raw: "0x00070000", routine_error: "GSS_S_NO_CRED" }, 2529639053, '
            '"No credentials were supplied: No Kerberos credentials available (default cache: FILE:/tmp/none)")',
            errno.EACCES,
            "HDFS wants Kerberos: No credentials were supplied: No Kerberos credentials available"
            " (default cache: FILE:/tmp/none): run kinit",
        ),
        (
            RuntimeError,
            'RPCError("java.io.IOException", "Something odd.\\n\\tat org")',
            errno.EIO,
            "HDFS says: Something odd (IOException)",
        ),
    ],
)
def test_an_error_of_the_library_becomes_a_reason(kind: type[Exception], text: str, number: int, sentence: str) -> None:
    error = hdfs.translated(kind(text))
    assert (error.errno, error.strerror) == (number, sentence)


def test_without_a_configuration_there_is_no_default_cluster() -> None:
    with pytest.raises(ConfigurationError, match="HADOOP_CONF_DIR is not set, so hdfs:/// means no cluster: set it"):
        hdfs.HdfsFileSystem().status("hdfs:///x")


def test_a_configuration_without_hdfs_and_a_broken_one_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(tmp_path, monkeypatch, **{"fs.defaultFS": "file:///"})
    with pytest.raises(ConfigurationError, match=r"has no fs\.defaultFS that begins with hdfs://"):
        hdfs.HdfsFileSystem().status("hdfs:///x")
    (tmp_path / "core-site.xml").write_text("<configuration>")
    with pytest.raises(ConfigurationError, match=r"core-site\.xml cannot be read: no element found"):
        hdfs.HdfsFileSystem().status("hdfs:///x")


def test_a_name_node_that_does_not_answer_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = closed_port(), closed_port()
    configure(
        tmp_path,
        monkeypatch,
        **{
            "fs.defaultFS": "hdfs://ours",
            "dfs.ha.namenodes.ours": "nn1, nn2",
            "dfs.namenode.rpc-address.ours.nn1": f"127.0.0.1:{first}",
            "dfs.namenode.rpc-address.ours.nn2": f"127.0.0.1:{second}",
        },
    )
    with pytest.raises(ConnectionRefusedError) as error:
        hdfs.HdfsFileSystem().status("hdfs:///x")
    assert error.value.strerror == (f"no NameNode answers at 127.0.0.1:{first}, 127.0.0.1:{second}: is HDFS running?")
    with pytest.raises(ExternalError, match="The input file 'hdfs://ours/x' cannot be read: no NameNode answers at"):
        list_files(["hdfs://ours/x"])


def test_a_name_node_that_dies_after_the_first_use_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdfs, "_ONE_NAME_NODE", {"dfs.client.failover.max.attempts": "0"})
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        place = f"127.0.0.1:{listener.getsockname()[1]}"
        hdfs._client(place)
    with pytest.raises(ConnectionRefusedError, match="HDFS refuses connections: see whether its NameNode runs"):
        hdfs.HdfsFileSystem().status(f"hdfs://{place}/x")


def test_a_name_node_that_hangs_is_told_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(tmp_path, monkeypatch, **{"ipc.client.rpc-timeout.ms": "200"})
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        place = f"hdfs://127.0.0.1:{listener.getsockname()[1]}"
        for _ in range(2):
            with pytest.raises(TimeoutError, match=r"HDFS has not answered for 0\.2 s: its NameNode hangs, or"):
                hdfs.HdfsFileSystem().status(f"{place}/x")


def test_whoever_waits_for_hdfs_gets_its_own_answer() -> None:
    client = hdfs._Client(None, 10)
    answers: dict[int, int] = {}

    def ask(number: int) -> None:
        for question in range(number * 100, number * 100 + 100):
            answers[question] = client.run(functools.partial(int, question))
            with pytest.raises(FileNotFoundError):
                client.run(functools.partial(os.stat, f"/nowhere/{question}"))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 400
    assert all(key == value for key, value in answers.items())


def test_an_unknown_name_service_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*args: object) -> None:
        raise socket.gaierror

    monkeypatch.setattr(socket, "create_connection", unknown)
    with pytest.raises(OSError, match="'nope' is no host, and no name service of the Hadoop configuration"):
        hdfs.HdfsFileSystem().status("hdfs://nope/x")
    with pytest.raises(ConfigurationError, match="'nope:x' is no address"):
        hdfs.HdfsFileSystem().status("hdfs://nope:x/")


def test_without_the_library_the_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hdfs_native", None)
    with pytest.raises(ConfigurationError, match=r"run .* -m pip install hdfs-native\.$"):
        hdfs.HdfsFileSystem().status("hdfs://host/x")


def test_addresses_of_files_are_normalised() -> None:
    assert file_path("hdfs://host:1/a//b/../c/", "a test") == "hdfs://host:1/a/c"
    assert file_path("hdfs:///", "a test") == "hdfs:///"


def test_patterns_and_hidden_names_count_as_on_local_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = {"/d": True, "/d/a.txt": False, "/d/.hidden": False, "/d/_temporary": True, "/d/sub": True}
    tree |= {"/d/_temporary/x.txt": False, "/d/sub/b.txt": False}

    def status(self: object, path: str) -> FileStatus | None:
        name = path.removeprefix("hdfs://h")
        return FileStatus(path, 1, 0, tree[name], 0o644) if name in tree else None

    def listing(self: object, path: str) -> list[FileStatus]:
        name = path.removeprefix("hdfs://h")
        below = sorted(each for each in tree if each.rpartition("/")[0] == name)
        return [FileStatus(f"hdfs://h{each}", 1, 0, tree[each], 0o644) for each in below]

    monkeypatch.setattr(hdfs.HdfsFileSystem, "status", status)
    monkeypatch.setattr(hdfs.HdfsFileSystem, "list", listing)
    assert list_files(["hdfs://h/d"]) == ["hdfs://h/d/a.txt", "hdfs://h/d/sub/b.txt"]
    assert list_files(["hdfs://h/d/*.txt", "hdfs://h/d/*"]) == ["hdfs://h/d/a.txt", "hdfs://h/d/sub/b.txt"]
    assert list_files(["hdfs://h/d/_temp*"]) == ["hdfs://h/d/_temporary/x.txt"]
    assert list_files(["hdfs://h/d/.hidden"]) == ["hdfs://h/d/.hidden"]
    with pytest.raises(UserError, match=r"No input file matches 'hdfs://h/d/\*\.csv'"):
        list_files(["hdfs://h/d/*.csv"])
    with pytest.raises(UserError, match="The input path 'hdfs://h/none' does not exist"):
        list_files(["hdfs://h/none"])
