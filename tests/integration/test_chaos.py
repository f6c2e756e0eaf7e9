"""Processes of a running job are killed at random; in the end its output is right, once, and nothing is left."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from pyflow_yarn.client.job_client import RestJobClient
from pyflow_yarn.common import Encoder, Types, WatermarkStrategy
from pyflow_yarn.datastream.connectors.file_system import BucketAssigner, FileSink, FileSource, StreamFormat
from tests.integration.embedded_cluster import EmbeddedCluster, embedded_cluster

pytestmark = pytest.mark.slow

CONFIGURATION = {
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.delay": "10 ms",
    "restart-strategy.fixed-delay.attempts": "1000000",
}
VICTIMS = ("worker", "worker", "zygote", "taskmanager", "jobmanager", "coordinator")
KILLS = 12
MOST_OF_JOB_MANAGER = 3  # the supervisor takes five within a minute for a hopeless case


@pytest.fixture(autouse=True, scope="module")
def functions_travel_by_value() -> Iterator[None]:
    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    yield
    cloudpickle.unregister_pickle_by_value(module)


def slow_words(calm: str) -> Callable[[str], Any]:
    def words(line: str) -> list[str]:
        if not os.path.exists(calm):
            time.sleep(0.004)
        return line.split()

    return words


def start(cluster: EmbeddedCluster, text: Path, output: Path, calm: Path) -> RestJobClient:
    environment = cluster.environment()
    environment.set_parallelism(2)
    lines = FileSource.for_record_stream_format(StreamFormat.text_line_format(), str(text)).build()
    files = FileSink.for_row_format(str(output), Encoder.simple_string_encoder())
    files.with_bucket_assigner(BucketAssigner.base_path_bucket_assigner())
    words = environment.from_source(lines, WatermarkStrategy.no_watermarks(), "lines")
    words = words.flat_map(slow_words(str(calm)), output_type=Types.STRING())
    words.key_by(lambda word: word, key_type=Types.STRING()).map(lambda word: word).sink_to(files.build())
    job = environment.execute_async("survives")
    assert isinstance(job, RestJobClient)
    return job


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_job_survives_whatever_is_killed(
    seed: int, word_file: Callable[..., Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(seed)
    text = word_file(lines=1500, seed=seed)
    output, calm = tmp_path / "output", tmp_path / "calm"
    killed: Counter[str] = Counter()
    with embedded_cluster(CONFIGURATION) as cluster:
        job = start(cluster, text.path, output, calm)
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.05, 0.9))
            kind = chance.choice(VICTIMS)
            if kind == "jobmanager" and killed[kind] == MOST_OF_JOB_MANAGER:
                continue
            if found := cluster.find(kind):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(chance.choice(sorted(found)), signal.SIGKILL)
                    killed[kind] += 1
        calm.touch()
        job.get_job_execution_result().result(timeout=60)
    written: Counter[str] = Counter()
    for file in output.iterdir():
        written.update(file.read_text(encoding="utf-8").splitlines())
    assert written == text.counts, f"after {dict(killed)}"
    assert sum(killed.values()) >= KILLS // 2
    assert "Traceback" not in capfd.readouterr().err
