"""Each test has an executor that keeps what programs hand over, and an environment that uses it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pyflow_yarn.datastream import StreamExecutionEnvironment
from pyflow_yarn.datastream.execution import set_executor
from tests.unit.datastream.programs import RecordingExecutor


@pytest.fixture
def executor() -> Iterator[RecordingExecutor]:
    """The installed executor."""
    recording = RecordingExecutor({"parallelism.default": "2"})
    set_executor(recording)
    yield recording
    set_executor(None)


@pytest.fixture
def env(executor: RecordingExecutor) -> StreamExecutionEnvironment:
    """An environment."""
    return StreamExecutionEnvironment.get_execution_environment()
