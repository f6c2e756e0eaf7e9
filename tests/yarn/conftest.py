"""What tests on YARN share."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator

import pytest

from pyflow_yarn.yarn.hadoop_configuration import HadoopConfiguration
from pyflow_yarn.yarn.skein_adapter import SkeinYarn
from pyflow_yarn.yarn.skein_overlay import FOLDER
from tests.hadoop.cluster import Hadoop


@pytest.fixture(scope="module")
def adapter(hadoop_of_the_session: Hadoop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SkeinYarn]:
    """The real YARN, and a folder of its own for applications."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in hadoop_of_the_session.exports.items():
            patch.setenv(name, value)
        configuration = HadoopConfiguration.of_environment(os.environ)
        folders = f"{hadoop_of_the_session.default_fs}/tests/{FOLDER}"
        yarn = SkeinYarn(tmp_path_factory.mktemp("yarn"), configuration, getpass.getuser(), folders=folders)
        try:
            yield yarn
        finally:
            yarn.close()
