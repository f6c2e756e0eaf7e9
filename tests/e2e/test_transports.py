"""A job whose records cross between two workers, over each transport that can be forced."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Flink

pytestmark = pytest.mark.slow

JOB = '''
import contextlib
import os
import socket

from pyflow_yarn.common import Types
from pyflow_yarn.datastream import StreamExecutionEnvironment

PAIR = Types.TUPLE([Types.LONG(), Types.LONG()])


def connected_by_port():
    """Whether this worker has an established connection by TCP."""
    for name in os.listdir("/proc/self/fd"):
        try:
            descriptor = os.dup(int(name))
        except OSError:  # that of the directory itself
            continue
        try:
            with socket.socket(fileno=descriptor) as sock:
                if sock.family == socket.AF_INET and sock.getpeername():
                    return True
        except OSError:
            with contextlib.suppress(OSError):
                os.close(descriptor)
    return False


def total(left, right):
    return (left[0], left[1] + right[1])


def describe(record):
    return f"{record[0]} {record[1]} {record[1] % 16 == 0 and connected_by_port()}"


env = StreamExecutionEnvironment.get_execution_environment()
pairs = env.from_collection([(number % 8, number) for number in range(8000)], PAIR)
totals = pairs.rebalance().map(lambda pair: pair, PAIR).key_by(lambda pair: pair[0], Types.LONG()).reduce(total)
totals.map(describe).print()
env.execute()
'''


@pytest.mark.parametrize("transport", ["unix", "tcp", "tls"])
def test_a_job_over_each_transport(flink: Flink, tmp_path: Path, transport: str) -> None:
    program = tmp_path / "job.py"
    program.write_text(JOB, encoding="utf-8")
    done = flink("run", "-p", "2", f"-Dtaskmanager.network.transport={transport}", program)
    assert done.returncode == 0, done.stdout + done.stderr
    found = [line.rpartition("> ")[2].split(" ") for line in done.lines() if line.endswith(("True", "False"))]
    assert len(found) == 8000
    sums = {int(key): max(int(row[1]) for row in found if row[0] == key) for key in {row[0] for row in found}}
    assert sums == {key: sum(range(key, 8000, 8)) for key in range(8)}
    assert ("True" in {row[2] for row in found}) == (transport != "unix")
