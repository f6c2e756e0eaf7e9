"""What tests on YARN share."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator

import pytest

from pyflow_yarn.yarn import wait_until_ended
from pyflow_yarn.yarn.hadoop_configuration import HadoopConfiguration
from pyflow_yarn.yarn.skein_adapter import SkeinYarn
from tests.hadoop.cluster import Hadoop
from tests.yarn.conformance import SECONDS, application


@pytest.fixture(scope="module")
def adapter(hadoop_of_the_session: Hadoop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SkeinYarn]:
    """The real YARN, with its driver running."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in hadoop_of_the_session.exports.items():
            patch.setenv(name, value)
        configuration = HadoopConfiguration.of_environment(os.environ)
        yarn = SkeinYarn(tmp_path_factory.mktemp("yarn"), configuration, getpass.getuser())
        try:
            # The driver is there before the first test begins, and so is not taken for something that it left.
            wait_until_ended(yarn, yarn.submit(application(exit_code="0")), SECONDS)
            yield yarn
        finally:
            yarn.close()
