"""YARN's REST API, asked over HTTP of this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pyflow_yarn.errors import ExternalError
from pyflow_yarn.yarn import ApplicationNotFoundError
from pyflow_yarn.yarn.resource_manager import RefusedError, ResourceManager
from tests.serving import Answer, Asked, serving

KEY = "application_1_0001"
APP = {
    "id": KEY,
    "name": "words",
    "applicationType": "Apache Flink",
    "user": "ann",
    "queue": "root.etl",
    "applicationTags": "a,b",
    "state": "RUNNING",
    "finalStatus": "UNDEFINED",
    "diagnostics": "",
    "trackingUrl": f"http://rm:8088/proxy/{KEY}/",
    "amRPCAddress": "node:1",
}
STANDBY = b"This is standby RM. The redirect url is: http://other/"


@contextmanager
def _answering(status: int, body: bytes) -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []

    def answer(request: Asked) -> Answer:
        asked.append(str(request))
        return Answer(body, status)

    with serving(answer) as address:
        yield f"http://{address}", asked


def _refusal(text: str) -> bytes:
    return json.dumps({"RemoteException": {"message": text}}).encode()


def test_a_report_is_read() -> None:
    with _answering(200, json.dumps({"app": APP}).encode()) as (address, asked):
        report = ResourceManager([address], "ann").report(KEY)
    assert (report.queue, report.tags, report.ended) == ("etl", {"a", "b"}, False)
    assert asked == [f"GET /ws/v1/cluster/apps/{KEY}?user.name=ann"]


def test_an_application_is_killed_as_the_user() -> None:
    with _answering(202, b'{"state":"KILLING"}') as (address, asked):
        ResourceManager([address], "ann").kill(KEY)
    assert asked == [f'PUT /ws/v1/cluster/apps/{KEY}/state?user.name=ann {{"state": "KILLED"}}']


def test_the_largest_container_is_told_with_an_id_for_an_application() -> None:
    answer = {"application-id": KEY, "maximum-resource-capability": {"memory": 4096, "vCores": 8}}
    with _answering(200, json.dumps(answer).encode()) as (address, asked):
        assert ResourceManager([address], "ann").largest_container() == (4096, 8)
    assert asked == ["POST /ws/v1/cluster/apps/new-application?user.name=ann"]


def test_the_active_one_is_found_and_asked_first_from_then_on() -> None:
    with (
        _answering(200, STANDBY) as (standby, first),
        _answering(200, json.dumps({"app": APP}).encode()) as (active, second),
    ):
        manager = ResourceManager([standby, active], "ann")
        manager.report(KEY)
        manager.report(KEY)
    assert (len(first), len(second)) == (1, 2)


@pytest.mark.parametrize(
    ("status", "text", "error", "sentence"),
    [
        (404, "app with id: application_1_0001 not found", ApplicationNotFoundError, "knows no application"),
        (400, "Invalid ApplicationId prefix: x", ApplicationNotFoundError, "knows no application"),
        (403, "User bob cannot perform operation MODIFY_APP.", RefusedError, r"refuses it: User bob .* MODIFY_APP\.$"),
        (500, "oh", ExternalError, "does not answer .*500 oh.*: is it running"),
    ],
)
def test_refusals_are_sentences(status: int, text: str, error: type[Exception], sentence: str) -> None:
    with _answering(status, _refusal(text)) as (address, _), pytest.raises(error, match=sentence):
        ResourceManager([address], "ann").report(KEY)


def test_nobody_answers() -> None:
    with _answering(200, b"") as (address, _):
        pass
    with pytest.raises(ExternalError, match=r"does not answer \(.*Connection refused.*\): is it running\?"):
        ResourceManager([address], "ann").report(KEY)


def test_skein_and_grpc_are_imported_by_those_who_submit() -> None:
    program = (
        "import sys, pyflow_yarn.yarn.skein_adapter; print({'skein', 'grpc', 'cryptography'} & sys.modules.keys())"
    )
    command = [sys.executable, "-c", program]
    path = ":".join(one for one in sys.path if one)
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONPATH": path})
    assert done.stdout == "set()\n"
