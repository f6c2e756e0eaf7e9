"""What every implementation of ``Yarn`` and ``Containers`` does. A subclass has the fixture ``yarn``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import pytest

from pyflow_yarn.errors import ExternalError
from pyflow_yarn.yarn import (
    ApplicationNotFoundError,
    ApplicationSpec,
    Containers,
    FinalStatus,
    ProcessSpec,
    Yarn,
    wait_until_ended,
)

SECONDS = 90.0
# The environment says how a process ends.
COMMAND = 'if [ -n "$EXIT" ]; then exit "$EXIT"; fi; exec sleep 900'


class Implementation(Yarn, Protocol):
    """The client's side, that can also reach the master's side of what it has submitted."""

    def containers(self, application_id: str) -> Containers:
        """The master's side."""


class Events:
    """A listener that keeps what it was told."""

    def __init__(self) -> None:
        self.started: dict[str, tuple[str, str]] = {}
        self.ended: dict[str, str] = {}
        self.lost: list[str] = []
        self.order: list[str] = []

    def container_started(self, name: str, container_id: str, node: str) -> None:
        """See ``ContainerListener``."""
        self.started[name] = (container_id, node)
        self.order.append(f"{name} started")

    def container_ended(self, name: str, reason: str) -> None:
        """See ``ContainerListener``."""
        self.ended[name] = reason
        self.order.append(f"{name} ended")

    def master_lost(self, reason: str) -> None:
        """See ``ContainerListener``."""
        self.lost.append(reason)


def wait_for(what: Callable[[], object], seconds: float = SECONDS) -> None:
    """Look until it is true."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def application(name: str = "words", queue: str = "etl", exit_code: str = "") -> ApplicationSpec:
    """One whose master exits with that code, or waits."""
    process = ProcessSpec(COMMAND, memory_mb=256)
    master = ProcessSpec(COMMAND, memory_mb=384, environment={"EXIT": exit_code})
    return ApplicationSpec(name, master, process, queue=queue, tags=frozenset({"one", "two"}))


@contextmanager
def running(yarn: Yarn, spec: ApplicationSpec) -> Iterator[str]:
    """An application that runs, and is over afterwards."""
    key = yarn.submit(spec)
    try:
        wait_for(lambda: yarn.report(key).state == "RUNNING")
        yield key
    finally:
        yarn.kill(key)
        assert wait_until_ended(yarn, key, SECONDS).ended


class Conformance:
    """The suite."""

    def test_an_application_runs_and_is_killed(self, yarn: Implementation) -> None:
        with running(yarn, application()) as key:
            report = yarn.report(key)
            assert (report.id, report.name, report.queue) == (key, "words", "etl")
            assert report.tags == {"one", "two"}
            assert (report.final_status, report.ended) == ("UNDEFINED", False)
            assert report.tracking_url.endswith(f"/{key}/")
        assert (yarn.report(key).state, yarn.report(key).final_status) == ("KILLED", "KILLED")
        yarn.kill(key)
        assert yarn.report(key).state == "KILLED"

    @pytest.mark.parametrize(("code", "status", "text"), [("0", "SUCCEEDED", ""), ("5", "FAILED", "exit code 5")])
    def test_the_exit_code_of_the_master_is_the_fate_of_the_application(
        self, yarn: Implementation, code: str, status: str, text: str
    ) -> None:
        report = wait_until_ended(yarn, yarn.submit(application(exit_code=code)), SECONDS)
        assert report.final_status == status
        assert text in report.diagnostics

    def test_containers_come_and_go_one_by_one(self, yarn: Implementation) -> None:
        with running(yarn, application()) as key:
            containers, events = yarn.containers(key), Events()
            containers.start(events)
            containers.request("a", {})
            containers.request("b", {"EXIT": "3"})
            containers.request("c", {"EXIT": "0"})
            wait_for(lambda: "a" in events.started and {"b", "c"} <= events.ended.keys())
            assert events.ended["b"].startswith("Container failed during execution")
            assert events.ended["c"] == "Its process has ended by itself."
            container, node = events.started["a"]
            assert container.startswith("container_")
            assert node
            containers.release("a")
            containers.release("a")
            containers.release("nobody")
            wait_for(lambda: "a" in events.ended)
            assert events.ended["a"] == "It was released."
            # What failed is not replaced: the next that starts is the one that is asked for.
            containers.request("d", {})
            wait_for(lambda: "d" in events.started)
            assert events.started.keys() == {"a", "b", "c", "d"}
            assert sorted(events.order) == sorted(
                [f"{one} started" for one in "abcd"] + [f"{one} ended" for one in "abc"]
            )
            assert all(events.order.index(f"{one} started") < events.order.index(f"{one} ended") for one in "abc")
            assert len({one for one, _ in events.started.values()}) == 4
            assert not yarn.report(key).ended
            containers.close()
            assert events.lost == []

    def test_the_master_ends_the_application(self, yarn: Implementation) -> None:
        with running(yarn, application()) as key:
            containers, events = yarn.containers(key), Events()
            containers.start(events)
            containers.request("a", {})
            wait_for(lambda: "a" in events.started)
            containers.finish(FinalStatus.FAILED, "ValueError: the third record is no number")
            report = wait_until_ended(yarn, key, SECONDS)
            assert report.final_status == "FAILED"
            assert report.diagnostics == "ValueError: the third record is no number"
            wait_for(lambda: events.lost)
            containers.close()

    def test_pages_have_a_route_of_their_own(self, yarn: Implementation) -> None:
        with running(yarn, application()) as key:
            containers = yarn.containers(key)
            containers.add_page("jobs", "http://127.0.0.1:1/", "Jobs")
            with pytest.raises(ExternalError, match="page jobs cannot be shown"):
                containers.add_page("jobs", "http://127.0.0.1:2/", "Others")
            containers.close()

    def test_an_unknown_queue_is_a_sentence(self, yarn: Implementation) -> None:
        with pytest.raises(ExternalError, match=r"YARN does not take the application: .*nosuch"):
            yarn.submit(application(queue="nosuch"))

    def test_an_unknown_application_is_told(self, yarn: Implementation) -> None:
        with pytest.raises(ApplicationNotFoundError, match="no application application_1_0999"):
            yarn.report("application_1_0999")
