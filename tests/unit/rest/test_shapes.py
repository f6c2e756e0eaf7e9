"""Bodies have every field that clients of the reference system look for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from pyflow_runtime.executiongraph.states import ExecutionState, JobStatus
from pyflow_runtime.rest.documentation import reference
from pyflow_runtime.rest.routes import ENDPOINTS
from tests.unit.rest.cluster import FAILURE, JOB, OTHER_JOB, SINK, SOURCE, TASK_MANAGER, Client, FakeGateway, graph, job


@pytest.fixture
def client() -> Client:
    return Client(FakeGateway(job(), job(OTHER_JOB, JobStatus.FAILED, ExecutionState.FAILED)))


VERTEX = f"/jobs/{JOB}/vertices/{SOURCE}"
ROW = {
    "jid",
    "name",
    "jobType",
    "schedulerType",
    "start-time",
    "end-time",
    "duration",
    "state",
    "last-modification",
    "tasks",
    "pending-operators",
}
IO = {
    "read-bytes",
    "read-bytes-complete",
    "write-bytes",
    "write-bytes-complete",
    "read-records",
    "read-records-complete",
    "write-records",
    "write-records-complete",
    "accumulated-backpressured-time",
    "accumulated-idle-time",
    "accumulated-busy-time",
}
SUBTASK = {
    "subtask",
    "status",
    "attempt",
    "host",
    "endpoint",
    "start-time",
    "start_time",
    "end-time",
    "duration",
    "metrics",
    "taskmanager-id",
    "status-duration",
    "other-concurrent-attempts",
}


def test_cluster(client: Client) -> None:
    assert client.get("/config")["features"] == {
        "web-submit": False,
        "web-cancel": True,
        "web-rescale": False,
        "web-history": False,
    }
    assert set(client.get("/config")) == {
        "refresh-interval",
        "timezone-name",
        "timezone-offset",
        "flink-version",
        "flink-revision",
        "features",
    }
    overview = client.get("/overview")
    assert (overview["taskmanagers"], overview["slots-total"], overview["slots-available"]) == (1, 2, 1)
    assert {"jobs-running", "jobs-finished", "jobs-cancelled", "jobs-failed", "flink-version", "flink-commit"} < set(
        overview
    )
    entries = client.get("/jobmanager/config")
    assert {"key": "my.password", "value": "******"} in entries
    environment = client.get("/jobmanager/environment")
    assert set(environment) == {"jvm", "classpath"} and set(environment["jvm"]) == {"version", "arch", "options"}


def test_lists_of_jobs(client: Client) -> None:
    assert client.get("/jobs") == {"jobs": [{"id": JOB, "status": "RUNNING"}, {"id": OTHER_JOB, "status": "FAILED"}]}
    rows = client.get("/jobs/overview")["jobs"]
    assert all(set(row) == ROW for row in rows)
    assert rows[0]["tasks"] == {
        "total": 4,
        "created": 0,
        "scheduled": 0,
        "deploying": 0,
        "running": 4,
        "finished": 0,
        "canceling": 0,
        "canceled": 0,
        "failed": 0,
        "reconciling": 0,
        "initializing": 0,
    }
    assert rows[0]["end-time"] == -1 and rows[1]["duration"] == 9000


def test_a_job(client: Client) -> None:
    detail = client.get(f"/jobs/{JOB}")
    assert set(detail) == {
        "jid",
        "application-id",
        "name",
        "isStoppable",
        "state",
        "job-type",
        "schedulerType",
        "start-time",
        "end-time",
        "duration",
        "maxParallelism",
        "now",
        "timestamps",
        "vertices",
        "status-counts",
        "plan",
        "stream-graph",
        "pending-operators",
    }
    assert set(detail["timestamps"]) == {status.value for status in JobStatus}
    assert detail["timestamps"]["FINISHED"] == 0
    assert detail["status-counts"]["RUNNING"] == 2
    assert [node["id"] for node in detail["plan"]["nodes"]] == [vertex["id"] for vertex in detail["vertices"]]
    vertex = detail["vertices"][0]
    assert set(vertex["metrics"]) == IO
    assert vertex["metrics"]["read-bytes"] == 10 and vertex["metrics"]["write-records"] == 10
    assert vertex["tasks"]["RUNNING"] == 2 and set(vertex["tasks"]) == {state.value for state in ExecutionState}
    assert client.get(f"/jobs/{JOB}/status") == {"status": "RUNNING"}
    assert client.get(f"/jobs/{JOB}/plan")["plan"] == detail["plan"]
    assert client.get(f"/jobs/{JOB}/config") == {
        "jid": JOB,
        "name": "words",
        "execution-config": {
            "execution-mode": "PIPELINED",
            "restart-strategy": "Restart with fixed delay (1000 ms). #1 restart attempts.",
            "job-parallelism": 1,
            "object-reuse-mode": False,
            "user-config": {"color": "red"},
        },
    }
    assert client.get(f"/jobs/{JOB}/accumulators") == {
        "job-accumulators": [],
        "user-task-accumulators": [{"name": "lines", "type": "LongCounter", "value": "6"}],
        "serialized-user-task-accumulators": {},
    }


def test_failures(client: Client) -> None:
    nothing = client.get(f"/jobs/{JOB}/exceptions")
    assert nothing["root-exception"] is None and nothing["exceptionHistory"] == {"entries": [], "truncated": False}
    failures = client.get(f"/jobs/{OTHER_JOB}/exceptions")
    entry = failures["exceptionHistory"]["entries"][0]
    assert entry["exceptionName"] == "ValueError"
    assert entry["stacktrace"] == failures["root-exception"] == FAILURE.render()
    assert entry["taskName"] == "Source: a (2/2) - execution #0"
    assert entry["endpoint"] == "localhost:1234" and entry["taskManagerId"] == TASK_MANAGER
    assert len(entry["concurrentExceptions"]) == 1 and len(failures["all-exceptions"]) == 2
    none = client.get(f"/jobs/{OTHER_JOB}/exceptions?maxExceptions=0")
    assert none["exceptionHistory"] == {"entries": [], "truncated": True}
    assert client.get(f"/jobs/{OTHER_JOB}/exceptions?failureLabelFilter=a:b")["exceptionHistory"]["entries"] == []


def test_results(client: Client) -> None:
    gateway = FakeGateway(
        job(), job(OTHER_JOB, JobStatus.FAILED), job("c" * 32, JobStatus.FINISHED), job("d" * 32, JobStatus.CANCELED)
    )
    client = Client(gateway)
    assert client.get(f"/jobs/{JOB}/execution-result") == {"status": {"id": "IN_PROGRESS"}}
    assert gateway.waited == []
    assert client.get(f"/jobs/{JOB}/execution-result?wait=250")["status"] == {"id": "IN_PROGRESS"}
    assert client.get(f"/jobs/{JOB}/execution-result?wait=99999999")["status"] == {"id": "IN_PROGRESS"}
    assert gateway.waited == [0.25, 60.0]
    failed = client.get(f"/jobs/{OTHER_JOB}/execution-result?wait=1")
    assert failed["status"] == {"id": "COMPLETED"}
    result = failed["job-execution-result"]
    assert result["application-status"] == "FAILED" and result["net-runtime"] == 9000
    assert result["accumulator-results"] == {"lines": "6"}
    assert result["failure-cause"]["class"] == "ValueError"
    assert result["failure-cause"]["stack-trace"] == FAILURE.render()
    assert result["failure-cause"]["failure-info"]["record"] == "'x'"
    finished = client.get(f"/jobs/{'c' * 32}/execution-result")["job-execution-result"]
    assert finished["application-status"] == "SUCCEEDED" and "failure-cause" not in finished
    canceled = client.get(f"/jobs/{'d' * 32}/execution-result")["job-execution-result"]
    assert canceled["application-status"] == "CANCELED"


def test_a_vertex(client: Client) -> None:
    detail = client.get(VERTEX)
    assert set(detail) == {"id", "name", "parallelism", "maxParallelism", "now", "subtasks", "aggregated"}
    first = detail["subtasks"][0]
    assert set(first) == SUBTASK and set(first["metrics"]) == IO
    assert first["start-time"] == 1_700_000_000_100 and first["end-time"] == -1
    assert first["status-duration"]["CREATED"] == 100 and first["status-duration"]["DEPLOYING"] == 900
    assert first["status-duration"]["SCHEDULED"] == -1 and first["status-duration"]["RUNNING"] > 0
    assert detail["aggregated"]["metrics"]["read-bytes"] == {
        "min": 0,
        "max": 10,
        "avg": 5,
        "sum": 10,
        "median": 10,
        "p25": 0,
        "p75": 10,
        "p95": 10,
    }
    times = client.get(f"{VERTEX}/subtasktimes")["subtasks"]
    assert times[1]["timestamps"]["RUNNING"] == 1_700_000_001_000 and times[1]["timestamps"]["FAILED"] == 0
    groups = client.get(f"{VERTEX}/taskmanagers")["taskmanagers"]
    assert len(groups) == 1 and groups[0]["taskmanager-id"] == TASK_MANAGER and groups[0]["status"] == "RUNNING"
    assert groups[0]["status-counts"]["RUNNING"] == 2
    assert client.get(f"{VERTEX}/accumulators")["user-accumulators"] == [
        {"name": "lines", "type": "LongCounter", "value": "6"}
    ]
    assert [each["subtask"] for each in client.get(f"{VERTEX}/subtasks/accumulators")["subtasks"]] == [0, 1]
    assert client.get(f"{VERTEX}/subtasks/1")["subtask"] == 1
    assert client.get(f"{VERTEX}/subtasks/1/attempts/1")["attempt"] == 1
    assert client.get(f"{VERTEX}/subtasks/1/attempts/1/accumulators")["user-accumulators"][0]["value"] == "3"
    ended = client.get(f"/jobs/{OTHER_JOB}/vertices/{SINK}")["subtasks"][0]
    assert ended["end-time"] == 1_700_000_001_000 and ended["duration"] == 900


def test_task_managers(client: Client) -> None:
    rows = client.get("/taskmanagers")["taskmanagers"]
    assert set(rows[0]) == {
        "id",
        "path",
        "dataPort",
        "jmxPort",
        "timeSinceLastHeartbeat",
        "slotsNumber",
        "freeSlots",
        "assignedTasks",
        "totalResource",
        "freeResource",
        "hardware",
        "memoryConfiguration",
        "blocked",
    }
    memory = rows[0]["memoryConfiguration"]
    parts = ("taskHeap", "networkMemory", "managedMemory", "jvmOverhead")
    assert sum(memory[part] for part in parts) == memory["totalProcessMemory"] == 1728 << 20
    assert memory["totalFlinkMemory"] == memory["totalProcessMemory"] - memory["jvmOverhead"]
    assert rows[0]["freeResource"]["managedMemory"] == 256 and rows[0]["totalResource"]["cpuCores"] == 2.0
    detail = client.get(f"/taskmanagers/{TASK_MANAGER}")
    assert [slot["jobId"] for slot in detail["allocatedSlots"]] == [JOB]
    assert detail["allocatedSlots"][0]["assignedTasks"] == 4
    assert detail["metrics"]["garbageCollectors"] == []


def test_applications(client: Client) -> None:
    rows = client.get("/applications/overview")["applications"]
    assert rows[0]["name"] == "SingleJobApplication(words)" and rows[0]["jobs"] == {"RUNNING": 1}
    detail = client.get(f"/applications/{OTHER_JOB}")
    assert detail["status"] == "FAILED" and set(detail["jobs"][0]) == ROW
    assert detail["timestamps"]["CREATED"] == 1_700_000_000_000
    entries: list[Any] = client.get(f"/applications/{OTHER_JOB}/exceptions")["exceptionHistory"]["entries"]
    assert entries[0]["jobId"] == OTHER_JOB


def test_a_job_without_tasks_yet() -> None:
    from msgspec.structs import replace

    bare = replace(job(), vertices=[], start_time=-1, timestamps={}, graph=replace(job().graph, plan=""))
    client = Client(FakeGateway(bare))
    detail = client.get(f"/jobs/{JOB}")
    assert detail["duration"] == -1 and detail["maxParallelism"] == -1 and detail["plan"]["nodes"] == []
    assert client.get("/jobs/overview")["jobs"][0]["tasks"]["total"] == 0


def test_every_endpoint_is_in_the_reference() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs/rest.md").read_text(encoding="utf-8")
    assert text == reference()
    assert all(endpoint.handler.__doc__ for endpoint in ENDPOINTS)
    assert len({(endpoint.method, endpoint.path) for endpoint in ENDPOINTS}) == len(ENDPOINTS)


@pytest.mark.parametrize(
    ("configuration", "sentence"),
    [
        ({}, "Cluster level default restart strategy"),
        ({"restart-strategy": "off"}, "Restart deactivated."),
        (
            {"restart-strategy.type": "failure-rate", "restart-strategy.failure-rate.max-failures-per-interval": "5"},
            "Failure rate restart with maximum of 5 failures within interval 60000 ms and fixed delay 1000 ms.",
        ),
        (
            {"restart-strategy.type": "exponential-delay"},
            "Restart with exponential delay: starting at 1000 ms, increasing by 1.500000, with maximum 60000 ms."
            " Delay resets after 3600000 ms with jitter 0.100000",
        ),
    ],
)
def test_a_restart_strategy_is_described(configuration: dict[str, str], sentence: str) -> None:
    described = msgspec.structs.replace(job(), graph=graph(configuration=configuration))
    answer = Client(FakeGateway(described)).get(f"/jobs/{JOB}/config")
    assert answer["execution-config"]["restart-strategy"] == sentence
