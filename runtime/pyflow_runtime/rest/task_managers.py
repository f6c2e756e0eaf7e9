"""TaskManagers, their slots and memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from pyflow_runtime.dispatcher.views import JobManagerGateway, TaskManagerView
from pyflow_runtime.rest.answers import RequestError, json_answer
from pyflow_runtime.rest.parameters import shown
from pyflow_runtime.rest.shapes import Json
from pyflow_yarn.configuration.memory import supervisor_size

_MB = 1024**2
_JVM_METRICS = (
    "heapUsed",
    "heapCommitted",
    "heapMax",
    "nonHeapUsed",
    "nonHeapCommitted",
    "nonHeapMax",
    "directCount",
    "directUsed",
    "directMax",
    "mappedCount",
    "mappedUsed",
    "mappedMax",
    "nettyShuffleMemorySegmentsAvailable",
    "nettyShuffleMemorySegmentsUsed",
    "nettyShuffleMemorySegmentsTotal",
    "nettyShuffleMemoryAvailable",
    "nettyShuffleMemoryUsed",
    "nettyShuffleMemoryTotal",
)


def _supervisor(view: TaskManagerView, configuration: Mapping[str, str]) -> int:
    return min(supervisor_size(configuration, view.registration.process_memory), _rest(view))


def _rest(view: TaskManagerView) -> int:
    registration = view.registration
    return max(0, registration.process_memory - registration.managed_memory - registration.network_memory)


def _resource(view: TaskManagerView, slots: int, configuration: Mapping[str, str]) -> Json:
    """The resources of some of a TaskManager's slots; sizes in megabytes."""
    registration = view.registration
    share = slots / registration.slots if registration.slots else 0.0
    heap = _rest(view) - _supervisor(view, configuration)
    return {
        "cpuCores": registration.hardware.cpu_cores * share,
        "taskHeapMemory": int(heap * share / _MB),
        "taskOffHeapMemory": 0,
        "managedMemory": int(registration.managed_memory * share / _MB),
        "networkMemory": int(registration.network_memory * share / _MB),
        "extendedResources": {},
    }


def _row(view: TaskManagerView, configuration: Mapping[str, str]) -> Json:
    registration = view.registration
    free = sum(1 for slot in view.slots if not slot.allocation_id)
    supervisor = _supervisor(view, configuration)
    return {
        "id": registration.task_manager_id,
        "path": f"pyflow://{registration.host}/{registration.task_manager_id}",
        "dataPort": registration.data_port,
        "jmxPort": -1,
        "timeSinceLastHeartbeat": view.last_heartbeat,
        "slotsNumber": registration.slots,
        "freeSlots": free,
        "assignedTasks": view.assigned_tasks,
        "totalResource": _resource(view, registration.slots, configuration),
        "freeResource": _resource(view, free, configuration),
        "hardware": {
            "cpuCores": registration.hardware.cpu_cores,
            "physicalMemory": registration.hardware.physical_memory,
            "freeMemory": registration.hardware.free_memory,
            "managedMemory": registration.managed_memory,
        },
        "memoryConfiguration": {
            "frameworkHeap": 0,
            "taskHeap": _rest(view) - supervisor,
            "frameworkOffHeap": 0,
            "taskOffHeap": 0,
            "networkMemory": registration.network_memory,
            "managedMemory": registration.managed_memory,
            "jvmMetaspace": 0,
            "jvmOverhead": supervisor,
            "totalFlinkMemory": registration.process_memory - supervisor,
            "totalProcessMemory": registration.process_memory,
        },
        "blocked": False,
    }


async def task_managers(request: Request, gateway: JobManagerGateway) -> Response:
    """All TaskManagers."""
    return json_answer({"taskmanagers": [_row(view, gateway.configuration) for view in gateway.task_managers()]})


async def task_manager_detail(request: Request, gateway: JobManagerGateway) -> Response:
    """A TaskManager with its allocated slots."""
    wanted = request.path_params["task_manager"]
    for view in gateway.task_managers():
        if view.registration.task_manager_id == wanted:
            break
    else:
        raise RequestError(404, f"No TaskManager has the id '{shown(wanted)}'.")
    slots = Counter(slot.job_id for slot in view.slots if slot.allocation_id)
    tasks = Counter(
        job.job_id
        for job in gateway.jobs()
        if job.job_id in slots
        for vertex in job.vertices
        for subtask in vertex.subtasks
        if subtask.task_manager_id == wanted and not subtask.state.terminal
    )
    return json_answer(
        {
            **_row(view, gateway.configuration),
            "allocatedSlots": [
                {
                    "jobId": slot.job_id,
                    "resource": _resource(view, 1, gateway.configuration),
                    # Slots of one job share its tasks evenly: which task is in which slot is the scheduler's knowledge.
                    "assignedTasks": -(-tasks[slot.job_id] // slots[slot.job_id]),
                }
                for slot in view.slots
                if slot.allocation_id
            ],
            "metrics": {**dict.fromkeys(_JVM_METRICS, 0), "garbageCollectors": []},
        }
    )
