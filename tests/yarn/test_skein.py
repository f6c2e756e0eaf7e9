"""The adapter on a real YARN."""

from __future__ import annotations

import getpass
import os
import shlex
import signal
import subprocess
import sys
import urllib.request
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from pyflow_yarn.yarn import wait_until_ended
from pyflow_yarn.yarn.hadoop_configuration import HadoopConfiguration
from pyflow_yarn.yarn.resource_manager import RefusedError, ResourceManager
from pyflow_yarn.yarn.skein_adapter import SkeinYarn
from pyflow_yarn.yarn.skein_overlay import FOLDER
from tests.hadoop.cluster import Hadoop
from tests.serving import Answer, serving
from tests.yarn.conformance import SECONDS, Conformance, application, running, wait_for

CLIENT = """
import os, sys, time
from pathlib import Path
from pyflow_yarn.yarn.hadoop_configuration import HadoopConfiguration
from pyflow_yarn.yarn.skein_adapter import SkeinYarn
from tests.yarn.conformance import application
yarn = SkeinYarn(Path(sys.argv[1]), HadoopConfiguration.of_environment(os.environ), sys.argv[2])
print(yarn.submit(application(exit_code="0")), yarn._jvm.pid, flush=True)
time.sleep(900)
"""

MASTER = """
from pyflow_yarn.yarn import FinalStatus
from pyflow_yarn.yarn.skein_adapter import SkeinContainers
from tests.yarn.conformance import Events, wait_for
containers, events = SkeinContainers.of_this_container(), Events()
containers.start(events)
containers.request("a", {"EXIT": "3"})
wait_for(lambda: "a" in events.ended)
containers.finish(FinalStatus.SUCCEEDED, "a: " + events.ended["a"])
"""
# The master has a configuration of its own, by a path that holds in every folder, with the heartbeat that we chose.
CONFIGURATION = 'cd / && grep -q "interval-ms</name><value>1000<" "$HADOOP_CONF_DIR/yarn-site.xml"'


class TestSkein(Conformance):
    @pytest.fixture
    def yarn(self, adapter: SkeinYarn, hadoop: Hadoop) -> SkeinYarn:
        return adapter

    def test_the_proxy_link_leads_to_pages_and_the_type_is_flinks(self, yarn: SkeinYarn) -> None:
        with serving(lambda asked: Answer(asked.path.encode())) as address, running(yarn, application()) as key:
            report = yarn.report(key)
            assert report.type == "Apache Flink"
            containers = yarn.containers(key)
            for route in ("jobs", "overview"):
                containers.add_page(route, f"http://{address}/secret/{route}", "")
            containers.add_page("web", f"http://{address}/secret", "pyflow")
            assert _get(f"{report.tracking_url}jobs/overview") == "/secret/jobs/overview"
            assert _get(f"{report.tracking_url}jobs/1/vertices?get=a,b") == "/secret/jobs/1/vertices?get=a,b"
            assert _get(f"{report.tracking_url}overview") == "/secret/overview"
            assert _get(f"{report.tracking_url}web/index.js") == "/secret/index.js"
            assert "url=web/" in _get(report.tracking_url)
            containers.close()

    def test_the_process_of_the_master_finds_its_containers(self, yarn: SkeinYarn) -> None:
        spec = application()
        paths = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        master = replace(spec.master, command=f"exec {sys.executable} -c {shlex.quote(MASTER)}", environment=paths)
        report = wait_until_ended(yarn, yarn.submit(replace(spec, master=master)), SECONDS)
        assert report.final_status == "SUCCEEDED"
        assert report.diagnostics.startswith("a: Container failed during execution")

    def test_where_the_web_services_refuse_the_driver_submits_and_kills(
        self, yarn: SkeinYarn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(manager: ResourceManager, *values: object) -> str:
            raise RefusedError("no")

        monkeypatch.setattr(ResourceManager, "new_application", refuse)
        monkeypatch.setattr(ResourceManager, "kill", refuse)
        configuration = HadoopConfiguration.of_environment(os.environ)
        with closing(SkeinYarn(tmp_path, configuration, getpass.getuser())) as by_driver:
            with running(by_driver, application()) as key:
                pass
            assert yarn.report(key).state == "KILLED"

    def test_the_jar_is_sent_once(self, yarn: SkeinYarn, hadoop: Hadoop) -> None:
        for _ in range(2):
            key = yarn.submit(application(exit_code="0"))
            assert wait_until_ended(yarn, key, SECONDS).final_status == "SUCCEEDED"
        (cached,) = hadoop.names(f"/tests/{FOLDER}/cache")
        assert hadoop.names(f"/tests/{FOLDER}/cache/{cached}") == ["skein.jar"]
        wait_for(lambda: key not in hadoop.names(f"/tests/{FOLDER}"))

    def test_the_master_has_heartbeats_of_its_own(self, yarn: SkeinYarn) -> None:
        spec = application()
        master = replace(spec.master, command=CONFIGURATION)
        assert wait_until_ended(yarn, yarn.submit(replace(spec, master=master)), SECONDS).final_status == "SUCCEEDED"


def test_the_driver_ends_with_a_client_that_is_killed(hadoop: Hadoop, tmp_path: Path) -> None:
    command = [sys.executable, "-c", CLIENT, str(tmp_path), getpass.getuser()]
    environment = {**hadoop.env, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        key, driver = client.stdout.readline().split()
        assert Path(f"/proc/{driver}").exists()
        client.send_signal(signal.SIGKILL)
    wait_for(lambda: not Path(f"/proc/{driver}").exists())
    wait_for(lambda: hadoop.application(key)["finalStatus"] == "SUCCEEDED")


def _get(url: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=30) as response:
        return str(response.read().decode())
