"""Clients: they submit, submit again when nobody answers, and sometimes cancel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pyflow_runtime.coordinator.messages import FetchResults, Results
from pyflow_runtime.dispatcher import effects, events
from pyflow_runtime.simulation.job_shapes import SimulatedJob
from pyflow_runtime.simulation.violation import InvariantViolated

if TYPE_CHECKING:
    from pyflow_runtime.simulation.job_manager import SimulatedJobManager
    from pyflow_runtime.simulation.world import World

PATIENCE = 3_000
MAX_TRIES = 40


class Client:
    """Sends each request until it is answered; each try has a request id of its own."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.submitted: set[str] = set()
        self.cancelled: set[str] = set()
        self.refused: set[str] = set()
        self.collected: dict[str, list[int]] = {}
        self.collected_all: set[str] = set()
        self._fetching: dict[str, str] = {}
        self._answered: set[str] = set()
        self._asked: dict[str, SimulatedJobManager] = {}
        self._number = 0

    def submit(self, job: SimulatedJob, tries: int = 0) -> None:
        """Until somebody has taken the job."""
        if job.job_id not in self.submitted | self.refused:
            request_id = self._ask(job.job_id, "submit")
            self.world.leader.post(events.SubmitJob(request_id=request_id, graph=job.graph))
            self._again(tries, self.submit, job, tries + 1)

    def cancel(self, job: SimulatedJob, tries: int = 0) -> None:
        """Until somebody has answered."""
        if job.job_id not in self.cancelled:
            request_id = self._ask(job.job_id, "cancel")
            self.world.leader.post(events.CancelJob(request_id=request_id, job_id=job.job_id))
            self._again(tries, self.cancel, job, tries + 1)

    def collect(self, job: SimulatedJob) -> None:
        """Fetch results page by page until the last one, or until the job has ended."""
        if job.job_id in self.world.store.results and job.job_id in self.collected_all:
            return
        offset = len(self.collected.setdefault(job.job_id, []))
        request_id = self._fetching[job.job_id] = self._ask(job.job_id, "collect")
        payload = msgspec.msgpack.encode(FetchResults(request_id, offset))
        operator_id = job.sinks[0].operators[0].id
        self.world.leader.post(
            events.CollectRequest(request_id=request_id, job_id=job.job_id, operator_id=operator_id, payload=payload)
        )
        self.world.clock.after(2 * PATIENCE, self._collect_again, job, request_id)

    def _collect_again(self, job: SimulatedJob, request_id: str) -> None:
        if self._fetching.get(job.job_id) == request_id:
            self.collect(job)

    def _fetched(self, job: SimulatedJob, reply: effects.Reply) -> None:
        if self._fetching.get(job.job_id) != reply.request_id:
            return
        del self._fetching[job.job_id]
        if reply.error is None:
            page = msgspec.msgpack.decode(reply.result, type=Results)
            records = self.collected[job.job_id]
            # A page that was asked for before an earlier one came repeats some of it.
            records.extend(msgspec.msgpack.decode(page.pickled, type=list[int])[len(records) - page.offset :])
            if page.last:
                # Should the job run again, its results must be fetched again: it does not end before.
                self.collected_all.add(job.job_id)
                self.world.clock.after(PATIENCE, self.collect, job)
                return
        if "has ended" not in str(reply.error) and "not found" not in str(reply.error):
            self.world.clock.after(200, self.collect, job)

    def shut_down(self) -> None:
        """Until the cluster terminates."""
        if not self.world.terminated:
            request_id = self._ask("", "shutdown")
            self.world.leader.post(events.ShutDown(request_id=request_id))
            self.world.clock.after(5 * PATIENCE, self.shut_down)

    def _ask(self, job_id: str, what: str) -> str:
        self._number += 1
        request_id = f"{what}/{job_id}/{self._number}"
        self._asked[request_id] = self.world.leader
        return request_id

    def _again(self, tries: int, action: object, *arguments: object) -> None:
        if tries >= MAX_TRIES:
            raise InvariantViolated("replies", f"{action} was asked {tries} times and never answered")
        self.world.clock.after(PATIENCE, action, *arguments)  # type: ignore[arg-type]

    def replied(self, job_manager: SimulatedJobManager, reply: effects.Reply) -> None:
        """An answer: exactly one for each request, from whom it was asked."""
        if reply.request_id in self._answered or self._asked.get(reply.request_id) is not job_manager:
            raise InvariantViolated("replies", f"{reply.request_id} was answered twice, or by the wrong JobManager")
        self._answered.add(reply.request_id)
        what, job_id, _ = reply.request_id.split("/")
        if what == "submit" and reply.error is None:
            self.submitted.add(job_id)
            self.world.invariants.acknowledged(job_id)
            if self.world.jobs[job_id].collects and job_id not in self.collected:
                self.collect(self.world.jobs[job_id])
        elif what == "submit" and "shutting down" in str(reply.error):
            self.refused.add(job_id)
        elif what == "collect":
            self._fetched(self.world.jobs[job_id], reply)
        elif what == "cancel" and (reply.error is None or "cannot be cancelled" in str(reply.error)):
            self.cancelled.add(job_id)

    def check_answered(self) -> None:
        """Every request to the present leader has its answer."""
        for request_id, job_manager in self._asked.items():
            if job_manager is self.world.leader and request_id not in self._answered:
                raise InvariantViolated("replies", f"{request_id} was never answered")
