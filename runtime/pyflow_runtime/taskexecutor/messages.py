"""Messages between the JobManager and a TaskManager.

Rules of the protocol, on which the simulation relies:

- Every message to a TaskManager carries the leader ``epoch``; one with an older epoch than the highest
  seen is ignored. Every message from a TaskManager is accompanied (by the RPC session) by its
  ``(task_manager_id, incarnation)``; the JobManager ignores messages of any incarnation but the registered one.
- Handling is idempotent: each message may arrive twice, late or never. What matters is repeated: heartbeats carry the
  full report of slots and executions, and the JobManager re-sends (deploy, cancel, free) whatever the report
  contradicts.
- Operator events of one attempt are numbered from 1 in each direction, taken in order and once, and repeated (with
  the heartbeats) until acknowledged: a broken session loses no split and no committable.
- A TaskManager repeats the terminal state of an attempt in its heartbeats until the JobManager acknowledged it
  (``AcknowledgeTerminal``).
"""

from __future__ import annotations

import msgspec

from pyflow_runtime.executiongraph.ids import ExecutionAttemptId
from pyflow_runtime.executiongraph.states import ExecutionState
from pyflow_yarn.errors import FailureInfo
from pyflow_yarn.graph.job_graph import Artifact, JobEdge, JobVertex


class WorkerAddress(msgspec.Struct, frozen=True, kw_only=True):
    """Where a slot worker takes data connections.

    ``host_id`` is equal for processes of one machine (boot id and mount of the socket directory): then
    ``unix_path`` (if not empty) can be used, else ``host``:``port`` by TCP or, if ``tls``, TLS.
    """

    worker_id: str
    host: str
    host_id: str
    unix_path: str = ""
    port: int = 0
    tls: bool = False


class ChannelTarget(msgspec.Struct, frozen=True):
    """One consumer of an edge's data: a subtask of the target vertex, and its worker."""

    subtask: int
    attempt: int
    address: WorkerAddress


class OutputEdge(msgspec.Struct, frozen=True):
    """An edge out of the deployed vertex with the consumers of this subtask, by subtask."""

    edge: JobEdge
    targets: list[ChannelTarget]


class InputEdge(msgspec.Struct, frozen=True):
    """An edge into the deployed vertex with the producers of this subtask: (subtask, attempt) pairs, by subtask."""

    edge: JobEdge
    producers: list[tuple[int, int]]


class TaskDeployment(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a worker needs to run one subtask."""

    attempt_id: ExecutionAttemptId
    allocation_id: str
    job_name: str
    vertex: JobVertex
    inputs: list[InputEdge]
    outputs: list[OutputEdge]


class JobEnvironment(msgspec.Struct, frozen=True, kw_only=True):
    """What all tasks of a job share: interpreter, artifacts, configuration."""

    job_id: str
    job_name: str
    python_executable: str
    artifacts: list[Artifact]
    configuration: dict[str, str]
    job_parameters: dict[str, str]


class Hardware(msgspec.Struct, frozen=True, kw_only=True):
    """What the machine of a TaskManager has, in cores and bytes."""

    cpu_cores: int
    physical_memory: int
    free_memory: int
    managed_memory: int


class IoMetrics(msgspec.Struct, kw_only=True):
    """Counters of one execution attempt since its start; times in milliseconds."""

    read_bytes: int = 0
    write_bytes: int = 0
    read_records: int = 0
    write_records: int = 0
    idle_time: int = 0
    backpressured_time: int = 0
    busy_time: int = 0


class Accumulator(msgspec.Struct, frozen=True, kw_only=True):
    """A user accumulator's name, type and current value as text."""

    name: str
    type: str
    value: str


# ---- JobManager -> TaskManager ---------------------------------------------------------------------


class ToTaskManager(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all messages to a TaskManager."""

    epoch: int


class RegistrationAccepted(ToTaskManager, tag="registration_accepted", frozen=True, kw_only=True):
    """Times in milliseconds."""

    job_manager_id: str
    heartbeat_interval: int
    heartbeat_timeout: int


class RegistrationRefused(ToTaskManager, tag="registration_refused", frozen=True, kw_only=True):
    """This TaskManager is not wanted; ``reason`` is a sentence."""

    reason: str


class HeartbeatRequest(ToTaskManager, tag="heartbeat_request", frozen=True, kw_only=True):
    """Wants a ``HeartbeatReport`` at once."""

    sequence: int


class AllocateSlot(ToTaskManager, tag="allocate_slot", frozen=True, kw_only=True):
    """Start (or take a warm) worker for the slot; answered by SlotReady or SlotFailed.

    Allocation ids are 32 hexadecimal digits that grow: a greater one means that the slot's earlier allocation is over.
    """

    allocation_id: str
    slot: int
    environment: JobEnvironment


class FreeSlot(ToTaskManager, tag="free_slot", frozen=True, kw_only=True):
    """End the worker of that allocation and offer the slot again; its tasks are gone with it."""

    allocation_id: str


class DeployTasks(ToTaskManager, tag="deploy_tasks", frozen=True, kw_only=True):
    """Run these subtasks in the slot; attempts that are known already are left alone."""

    allocation_id: str
    tasks: list[TaskDeployment]


class CancelTasks(ToTaskManager, tag="cancel_tasks", frozen=True, kw_only=True):
    """Cancel these attempts; unknown ones are reported as CANCELED."""

    attempt_ids: list[ExecutionAttemptId]


class AcknowledgeTerminal(ToTaskManager, tag="acknowledge_terminal", frozen=True, kw_only=True):
    """The terminal states of these attempts are recorded; the TaskManager may forget them."""

    attempt_ids: list[ExecutionAttemptId]


class DeliverOperatorEvent(ToTaskManager, tag="deliver_operator_event", frozen=True, kw_only=True):
    """From the job's coordinator (or a client) to one attempt's operator. Payloads are opaque to the JobManager."""

    attempt_id: ExecutionAttemptId
    operator_id: str
    payload: bytes
    sequence: int


class AcknowledgeOperatorEvents(ToTaskManager, tag="acknowledge_operator_events", frozen=True, kw_only=True):
    """All ``OperatorEvent`` of that attempt up to this sequence were taken."""

    attempt_id: ExecutionAttemptId
    received: int


# ---- TaskManager -> JobManager ---------------------------------------------------------------------


class FromTaskManager(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all messages of a TaskManager."""


class RegisterTaskManager(FromTaskManager, tag="register_task_manager", frozen=True, kw_only=True):
    """First message of a session, repeated until answered. ``started`` is epoch milliseconds."""

    task_manager_id: str
    incarnation: str
    host: str
    data_port: int
    slots: int
    hardware: Hardware
    process_memory: int
    managed_memory: int
    network_memory: int
    pid: int
    started: int


class SlotReport(msgspec.Struct, frozen=True):
    """``allocation_id`` is "" for a free slot; ``address`` is None until its worker is ready."""

    slot: int
    allocation_id: str
    job_id: str
    address: WorkerAddress | None
    managed_memory: int = 0


class ExecutionReport(msgspec.Struct, frozen=True):
    """State of one attempt the TaskManager knows.

    ``events_sent`` (set by the TaskManager): the sequence of its last operator event; FINISHED counts once all of
    them have arrived.
    """

    attempt_id: ExecutionAttemptId
    state: ExecutionState
    failure: FailureInfo | None = None
    metrics: IoMetrics | None = None
    accumulators: list[Accumulator] = []
    events_sent: int = 0


class HeartbeatReport(FromTaskManager, tag="heartbeat_report", frozen=True, kw_only=True):
    """The whole truth of a TaskManager at one moment; ``sequence`` echoes the request's."""

    sequence: int
    slots: list[SlotReport]
    executions: list[ExecutionReport]


class SlotReady(FromTaskManager, tag="slot_ready", frozen=True, kw_only=True):
    """The worker of that allocation runs, and its exchange can be reached at ``address``."""

    allocation_id: str
    slot: int
    address: WorkerAddress


class SlotFailed(FromTaskManager, tag="slot_failed", frozen=True, kw_only=True):
    """The worker of that allocation could not start or died; the slot is free again."""

    allocation_id: str
    slot: int
    failure: FailureInfo


class TaskStateChanged(FromTaskManager, tag="task_state_changed", frozen=True, kw_only=True):
    """What a worker reported of one attempt, or what became of the attempt with its worker."""

    report: ExecutionReport


class OperatorEvent(FromTaskManager, tag="operator_event", frozen=True, kw_only=True):
    """From one attempt's operator to its counterpart in the coordinator (or to the client, for ``collect``).

    ``sequence`` is set by the TaskManager, not by the worker.
    """

    attempt_id: ExecutionAttemptId
    operator_id: str
    payload: bytes
    sequence: int = 0


class OperatorEventsReceived(FromTaskManager, tag="operator_events_received", frozen=True, kw_only=True):
    """All ``DeliverOperatorEvent`` for that attempt up to this sequence were taken."""

    attempt_id: ExecutionAttemptId
    received: int


class TaskManagerLeaving(FromTaskManager, tag="task_manager_leaving", frozen=True, kw_only=True):
    """Planned end: slots and tasks of this TaskManager are gone."""

    reason: str


ToTaskManagerMessage = (
    RegistrationAccepted
    | RegistrationRefused
    | HeartbeatRequest
    | AllocateSlot
    | FreeSlot
    | DeployTasks
    | CancelTasks
    | AcknowledgeTerminal
    | DeliverOperatorEvent
    | AcknowledgeOperatorEvents
)
FromTaskManagerMessage = (
    RegisterTaskManager
    | HeartbeatReport
    | SlotReady
    | SlotFailed
    | TaskStateChanged
    | OperatorEvent
    | OperatorEventsReceived
    | TaskManagerLeaving
)
