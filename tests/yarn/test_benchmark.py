"""The benchmark on YARN measures ours and verifies its output; how fast is not asked here."""

from __future__ import annotations

from pathlib import Path

import yarn
from tests.hadoop.cluster import Hadoop
from yarn_report import FIRST, MILESTONES, OURS


def test_an_application_is_measured_from_its_submission_to_its_end(hadoop: Hadoop, tmp_path: Path) -> None:
    (sample,) = yarn.measure(hadoop, tmp_path, [yarn.ours(hadoop, tmp_path)], runs=0)
    assert (sample.scenario, sample.system) == (FIRST, OURS)
    # What is looked for now and then may be missed on a busy machine; YARN and the job tell the rest.
    assert {"submitted", "running", "first_record", "finished", "client_exit"} <= sample.milestones.keys()
    assert sample.milestones.keys() <= MILESTONES.keys()
    assert sample.uploaded > 0
    assert sample.client_cpu > 0
    assert sample.command.startswith("bin/flink run -t yarn-application -d benchmarks/programs/sequence_to_file.py 100")
