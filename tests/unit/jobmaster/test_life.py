"""A job from its submission to its end."""

from __future__ import annotations

import msgspec
import pytest

from pyflow_runtime.dispatcher import effects, events
from pyflow_runtime.executiongraph.states import ExecutionState, JobStatus
from pyflow_runtime.taskexecutor.messages import (
    AcknowledgeTerminal,
    AllocateSlot,
    CancelTasks,
    DeployTasks,
    FreeSlot,
)
from pyflow_yarn.errors import (
    ClusterError,
    ConfigurationError,
    ExternalError,
    FailureInfo,
    JobNotFoundError,
    NotYetSupportedError,
    UserError,
)
from pyflow_yarn.graph.job_graph import JobGraph, Partitioning
from tests.unit.jobmaster.control_planes import (
    BOOM,
    JOB,
    Leader,
    deployed,
    deployments,
    find,
    job_graph,
    messages,
    only_reply,
)

STORE_FAILED = events.StorageFailed(job_id=JOB, failure=FailureInfo(exception="OSError", message="disk full"))


def test_submission_is_answered_once_the_graph_is_durable() -> None:
    leader = Leader()
    leader.stores = False
    answer = leader.submit(job_graph(1))
    assert [type(effect) for effect in answer] == [effects.PersistJob]
    assert find(answer, effects.PersistJob)[0].epoch == 1
    assert leader.status is JobStatus.INITIALIZING
    assert leader.submit(job_graph(1), "r2") == []
    answer = leader.handle(events.JobPersisted(job_id=JOB))
    assert [reply.request_id for reply in find(answer, effects.Reply)] == ["r1", "r2"]
    assert leader.status is JobStatus.RUNNING
    assert only_reply(leader.submit(job_graph(1), "r3")).result == JOB


def test_slots_are_shared_by_the_vertices_of_a_group() -> None:
    leader = Leader()
    leader.register("t1", 8)
    answer = leader.submit(job_graph(2, 3, 1))
    assert [order.slot for order in messages(answer, AllocateSlot)] == [0, 1, 2]
    leader = Leader()
    leader.register("t1", 8)
    answer = leader.submit(job_graph(2, 3, 1, groups=("a", "b", "a")))
    assert len(messages(answer, AllocateSlot)) == 5


def test_a_region_is_deployed_when_all_of_its_slots_are_ready() -> None:
    leader = Leader()
    leader.register("t1", 2)
    orders = [effect for effect in leader.submit(job_graph(2, 2)) if isinstance(effect, effects.SendToTaskManager)]
    assert deployments(leader.ready(orders[:1])) == []
    tasks = deployments(leader.ready(orders[1:]))
    assert {str(task.attempt_id) for task in tasks} == {
        f"{JOB[:8]}/{vertex}/{subtask}#0" for vertex in ("v0", "v1") for subtask in (0, 1)
    }
    source = next(task for task in tasks if task.vertex.id == "v0")
    (output,) = source.outputs
    assert [(target.subtask, target.attempt, target.address.worker_id) for target in output.targets] == [
        (0, 0, "w-01"),
        (1, 0, "w-02"),
    ]
    target = next(task for task in tasks if task.vertex.id == "v1")
    assert target.inputs[0].producers == [(0, 0), (1, 0)]


def test_forward_edges_make_regions_of_their_own() -> None:
    leader = Leader()
    leader.register("t1", 2)
    orders = [
        effect
        for effect in leader.submit(job_graph(2, 2, partitioning=Partitioning.FORWARD))
        if isinstance(effect, effects.SendToTaskManager)
    ]
    tasks = deployments(leader.ready(orders[:1]))
    assert {task.attempt_id.subtask for task in tasks} == {0}
    assert all(len(edge.targets) == 1 for task in tasks for edge in task.outputs)


def test_a_finished_job_frees_its_slots_and_is_announced_when_durable() -> None:
    leader = Leader()
    places = leader.running(job_graph(2, 2))
    leader.stores = False
    answer = leader.finish(places)
    assert len(messages(answer, AcknowledgeTerminal)) == 4
    assert len(messages(answer, FreeSlot)) == 2
    (record,) = find(answer, effects.PersistResult)
    assert (record.status, record.failure, record.epoch) == (JobStatus.FINISHED, None, 1)
    assert leader.status is JobStatus.RUNNING
    assert not find(answer, effects.JobTerminated)
    answer = leader.handle(events.ResultPersisted(job_id=JOB))
    assert find(answer, effects.JobTerminated)
    view = leader.machine.job(JOB)
    assert (view.status, view.end_time) == (JobStatus.FINISHED, leader.now)
    assert view.vertices[0].status is ExecutionState.FINISHED
    assert view.vertices[0].end_time >= view.vertices[0].start_time > 0


def test_a_result_that_cannot_be_stored_is_stored_again_later() -> None:
    leader = Leader()
    places = leader.running(job_graph(1))
    leader.stores = False
    leader.finish(places)
    answer = leader.handle(STORE_FAILED)
    (timer,) = find(answer, effects.SetTimer)
    assert "disk full" in leader.machine.job(JOB).waiting_for
    assert find(leader.fire(timer.key), effects.PersistResult)
    leader.handle(events.ResultPersisted(job_id=JOB))
    assert leader.status is JobStatus.FINISHED
    assert leader.machine.job(JOB).waiting_for == ""


def test_a_graph_that_cannot_be_stored_is_refused_after_some_tries() -> None:
    leader = Leader()
    leader.stores = False
    answer = leader.submit(job_graph(1))
    for _ in range(4):
        assert find(answer, effects.PersistJob)
        (timer,) = find(leader.handle(STORE_FAILED), effects.SetTimer)
        answer = leader.fire(timer.key)
    answer = leader.handle(STORE_FAILED)
    assert isinstance(only_reply(answer).error, ExternalError)
    assert find(answer, effects.PersistResult)[0].status is JobStatus.FAILED
    leader.handle(events.ResultPersisted(job_id=JOB))
    assert leader.status is JobStatus.FAILED


def test_what_cannot_run_is_refused_with_a_sentence() -> None:
    leader = Leader()
    backwards = {"restart-strategy.type": "exponential-delay", "restart-strategy.exponential-delay.max-backoff": "1 ms"}
    assert isinstance(only_reply(leader.submit(job_graph(1, configuration=backwards))).error, ConfigurationError)
    assert isinstance(only_reply(leader.submit(job_graph(1, 1, blocking=True))).error, NotYetSupportedError)
    assert isinstance(only_reply(leader.submit(job_graph())).error, UserError)
    with pytest.raises(JobNotFoundError):
        leader.machine.job(JOB)


def test_cancel_a_running_job() -> None:
    leader = Leader()
    places = leader.running(job_graph(1, 2))
    answer = leader.cancel()
    assert only_reply(answer).error is None
    (order,) = messages(answer, CancelTasks)
    assert set(order.attempt_ids) == set(places)
    assert leader.status is JobStatus.CANCELLING
    assert only_reply(leader.cancel("c2")).error is None
    for attempt_id in places:
        leader.report("t1", attempt_id, ExecutionState.CANCELED)
    assert leader.status is JobStatus.CANCELED
    assert only_reply(leader.cancel("c3")).error is None


def test_cancel_a_job_that_waits_for_slots() -> None:
    leader = Leader()
    leader.submit(job_graph(1, 2))
    assert leader.machine.job(JOB).waiting_for == "2 slots wanted, 0 free of 0"
    answer = leader.cancel()
    assert leader.status is JobStatus.CANCELED
    assert find(answer, effects.RequestTaskManagers)[-1].missing_slots == 0


def test_cancel_before_the_graph_is_durable() -> None:
    leader = Leader()
    leader.stores = False
    leader.submit(job_graph(1))
    assert only_reply(leader.cancel()).error is None
    leader.stores = True
    leader.handle(events.JobPersisted(job_id=JOB))
    assert leader.status is JobStatus.CANCELED


def test_cancel_what_has_ended_otherwise_is_a_conflict() -> None:
    leader = Leader()
    leader.finish(leader.running(job_graph(1)))
    error = only_reply(leader.cancel()).error
    assert isinstance(error, ClusterError)
    assert "it has already ended as FINISHED" in str(error)
    assert isinstance(only_reply(leader.cancel(job_id="f" * 32)).error, JobNotFoundError)


def test_an_attempt_that_finishes_while_it_is_cancelled_counts() -> None:
    leader = Leader()
    places = leader.running(job_graph(1, 1))
    leader.cancel()
    leader.finish(places)
    assert leader.status is JobStatus.CANCELED


def test_a_failure_without_restarts_is_the_jobs() -> None:
    leader = Leader()
    places = leader.running(job_graph(1, 1))
    first, second = places
    answer = leader.report("t1", first, ExecutionState.FAILED, BOOM)
    assert leader.status is JobStatus.FAILING
    assert messages(answer, CancelTasks)[0].attempt_ids == [second]
    answer = leader.report("t1", second, ExecutionState.CANCELED)
    assert find(answer, effects.PersistResult)[0].failure is not None
    assert leader.status is JobStatus.FAILED
    (entry,) = leader.machine.job(JOB).exceptions
    assert entry.failure.headline() == "ValueError: boom"
    assert entry.failure.notes == ["Recovery is suppressed by NoRestartBackoffTimeStrategy"]


def test_the_cause_comes_before_its_consequences() -> None:
    leader = Leader()
    first, second = leader.running(job_graph(1, 1))
    broken = FailureInfo(exception="pyflow_runtime.network.ChannelBroken", message="peer is gone")
    leader.report("t1", second, ExecutionState.FAILED, broken)
    answer = leader.report("t1", first, ExecutionState.FAILED, BOOM)
    failure = find(answer, effects.PersistResult)[0].failure
    assert failure is not None
    assert failure.exception == "ValueError"
    (entry,) = leader.machine.job(JOB).exceptions
    assert [failure.message for failure in entry.concurrent] == ["peer is gone"]


def test_cancelling_a_failing_job_makes_it_cancelled() -> None:
    leader = Leader()
    first, second = leader.running(job_graph(1, 1))
    leader.report("t1", first, ExecutionState.FAILED, BOOM)
    leader.cancel()
    assert leader.status is JobStatus.CANCELLING
    leader.report("t1", second, ExecutionState.CANCELED)
    assert leader.status is JobStatus.CANCELED


def test_a_new_leader_runs_jobs_again_with_attempts_of_its_own() -> None:
    graph = job_graph(1, 1)
    leader = Leader(epoch=3, jobs=[graph])
    assert leader.status is JobStatus.RUNNING
    leader.register("t1", 1)
    places = deployed(leader.ready())
    assert {attempt_id.attempt for attempt_id in places} == {2_000_000}
    assert all(message.epoch == 3 for message in messages(leader.said, DeployTasks))


def test_ended_jobs_never_run_again() -> None:
    leader = Leader(epoch=2, jobs=[job_graph(1)], ended=[JOB])
    leader.register("t1", 4)
    assert only_reply(leader.submit(job_graph(1))).result == JOB
    assert not messages(leader.said, AllocateSlot)
    assert "already ended" in str(only_reply(leader.cancel()).error)


def test_a_deposed_leader_does_nothing_any_more() -> None:
    leader = Leader()
    leader.stores = False
    leader.register("t1", 1)
    leader.submit(job_graph(1))
    answer = leader.handle(events.LeadershipRevoked())
    assert isinstance(only_reply(answer).error, ClusterError)
    assert leader.status is JobStatus.SUSPENDED
    assert leader.handle(events.JobPersisted(job_id=JOB)) == []
    assert leader.fire("resources/heartbeat") == []
    assert isinstance(only_reply(leader.submit(job_graph(1), "r9")).error, ClusterError)


def test_shutting_down_cancels_what_runs() -> None:
    leader = Leader()
    places = leader.running(job_graph(1, 1))
    answer = leader.handle(events.ShutDown(request_id="s"))
    assert not find(answer, effects.TerminateCluster)
    assert isinstance(only_reply(leader.submit(job_graph(1, job_id="f" * 32), "r9")).error, ClusterError)
    for attempt_id in places:
        answer = leader.report("t1", attempt_id, ExecutionState.CANCELED)
    assert only_reply(answer).request_id == "s"
    assert len(find(answer, effects.TerminateCluster)) == 1
    assert leader.status is JobStatus.CANCELED


def test_ended_jobs_are_forgotten_in_time() -> None:
    leader = Leader({"completed-application-store.max-capacity": "1"})
    leader.finish(leader.running(job_graph(1)))
    other = "00000000000000000000000000000002"
    leader.finish(deployed(leader.ready(leader.submit(job_graph(1, job_id=other), "r2"))))
    assert [view.job_id for view in leader.machine.jobs()] == [other]
    leader.fire(f"forget/{other}")
    assert leader.machine.jobs() == []
    assert only_reply(leader.submit(job_graph(1), "r3")).result == JOB
    assert leader.machine.jobs() == []


def test_views_count_jobs_and_slots() -> None:
    leader = Leader()
    places = leader.running(job_graph(1, 2), slots=3)
    cluster = leader.machine.cluster()
    assert (cluster.task_managers, cluster.slots_total, cluster.slots_available) == (1, 3, 1)
    assert cluster.jobs_running == 1
    (task_manager,) = leader.machine.task_managers()
    assert task_manager.assigned_tasks == 3
    assert [slot.job_id for slot in task_manager.slots] == [JOB, JOB, ""]
    subtask = leader.machine.job(JOB).vertices[0].subtasks[0]
    assert (subtask.host, subtask.endpoint, subtask.state) == ("host-t1", "host-t1:7", ExecutionState.RUNNING)
    leader.finish(places)
    assert leader.machine.cluster().jobs_finished == 1


def client_timer(answer: list[effects.Effect]) -> effects.SetTimer:
    (timer,) = (timer for timer in find(answer, effects.SetTimer) if timer.key.startswith("client/"))
    return timer


def with_client(attached: str = "true") -> JobGraph:
    configuration = {
        "execution.attached": attached,
        "execution.shutdown-on-attached-exit": "true",
        "client.heartbeat.timeout": "20 s",
    }
    return msgspec.structs.replace(job_graph(1), configuration=configuration)


def test_a_job_ends_with_its_client() -> None:
    leader = Leader()
    leader.register("t1", 1)
    submitted = leader.now + 1
    assert client_timer(leader.submit(with_client())).at == submitted + 20_000
    leader.now += 15_000
    timer = client_timer(leader.handle(events.ClientHeartbeat(job_id=JOB)))
    assert timer.at == leader.now + 20_000
    leader.fire(timer.key)
    assert leader.status in (JobStatus.CANCELLING, JobStatus.CANCELED)


@pytest.mark.parametrize("graph", [job_graph(1), with_client(attached="false")])
def test_other_jobs_outlive_their_clients(graph: JobGraph) -> None:
    leader = Leader()
    leader.register("t1", 1)
    answer = leader.submit(graph) + leader.handle(events.ClientHeartbeat(job_id=JOB))
    assert not [timer for timer in find(answer, effects.SetTimer) if timer.key.startswith("client/")]


def test_another_leader_waits_for_the_client_too() -> None:
    leader = Leader(jobs=[with_client()])
    leader.fire(f"client/{JOB}")
    assert leader.status in (JobStatus.CANCELLING, JobStatus.CANCELED)
