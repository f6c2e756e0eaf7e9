"""What a container says when it has no Python, found in the log of its script."""

from __future__ import annotations

import pytest

from pyflow_yarn.yarn.node_manager import NodeManagers
from pyflow_yarn.yarn.resource_manager import ContainerReport
from pyflow_yarn.yarn.start_failures import MASTER_ERRORS, complaint
from tests.unit.yarn.fake_yarn import MASTER, FakeYarn


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"pyflow: node1: no Python: install one.\n", "node1: no Python: install one."),
        (b"bash: warning\npyflow: node1: tar said\nthis, and\nthat.\n", "node1: tar said this, and that."),
        (b"Traceback (most recent call last):\n  pyflow: x\n", ""),
        (b"", ""),
    ],
)
def test_the_last_thing_that_the_script_says(content: bytes, said: str) -> None:
    with FakeYarn(logs={(MASTER, MASTER_ERRORS): content}) as yarn:
        assert complaint(NodeManagers("http", "ann"), ContainerReport(MASTER, yarn.node), MASTER_ERRORS) == said


@pytest.mark.parametrize("refusal", ["Unknown container.", "User [ann] is not authorized to view the logs"])
def test_what_cannot_be_read_says_nothing(refusal: str) -> None:
    with FakeYarn(refusal=refusal) as yarn:
        report = ContainerReport(MASTER, yarn.node)
        assert complaint(NodeManagers("http", "ann"), report, MASTER_ERRORS) == ""
    assert complaint(NodeManagers("http", "ann"), report, MASTER_ERRORS) == ""
