"""The double of YARN passes the suite that the adapter passes on a real one."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pyflow_yarn.yarn import ProcessSpec
from tests.yarn.conformance import Conformance
from tests.yarn.double import MemoryYarn


def _run(process: ProcessSpec, environment: Mapping[str, str]) -> int | None:
    code = environment.get("EXIT")
    return int(code) if code else None


class TestMemoryYarn(Conformance):
    @pytest.fixture
    def yarn(self) -> MemoryYarn:
        return MemoryYarn(_run, nodes=("node1", "node2"))
