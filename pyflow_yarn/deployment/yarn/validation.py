"""What is checked before anything is uploaded: an application that YARN cannot run is refused with one sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pyflow_yarn.configuration.options import (
    JOBMANAGER_MEMORY_PROCESS_SIZE,
    TASKMANAGER_MEMORY_PROCESS_SIZE,
    YARN_APPLICATION_NODE_LABEL,
    YARN_APPLICATION_QUEUE,
    YARN_APPMASTER_VCORES,
    YARN_CONTAINERS_VCORES,
    YARN_TASKMANAGER_NODE_LABEL,
)
from pyflow_yarn.deployment.yarn.sizes import container_sizes
from pyflow_yarn.errors import ConfigurationError, ExternalError
from pyflow_yarn.yarn.hadoop_configuration import HadoopConfiguration
from pyflow_yarn.yarn.resource_manager import ResourceManager
from pyflow_yarn.yarn.resources import Node, Queue, Resource

DEFAULT_QUEUE = "default"
_MINIMUM = "yarn.scheduler.minimum-allocation-mb"


def validate(
    configuration: Mapping[str, str], hadoop: HadoopConfiguration, resource_manager: ResourceManager
) -> list[str]:
    """Raise unless YARN can run an application so configured; what may surprise its user comes as sentences."""
    master, worker = container_sizes(configuration)
    nodes = resource_manager.nodes()
    if not nodes:
        raise ExternalError("YARN has no running node: start its NodeManagers, or look at `yarn node -list -all`.")
    queue, warnings = _queue(configuration, resource_manager.queues())
    allowed = (queue and queue.largest_container) or resource_manager.largest_container()
    master_label = YARN_APPLICATION_NODE_LABEL.read(configuration) or ""
    worker_label = YARN_TASKMANAGER_NODE_LABEL.read(configuration) or master_label
    masters_nodes, workers_nodes = _labelled(nodes, master_label), _labelled(nodes, worker_label)
    _check_master(master, _largest(masters_nodes, allowed))
    _check_worker(worker, _largest(workers_nodes, allowed))
    warnings += _rounding("JobManager", master, hadoop)
    warnings += _rounding("TaskManager", worker, hadoop)
    if queue is not None and queue.limit is not None:
        warnings += _too_small(queue.path, queue.limit, master, worker)
    warnings += _nothing_free("JobManager", master, masters_nodes)
    warnings += _nothing_free("TaskManager", worker, workers_nodes)
    return warnings


def _queue(configuration: Mapping[str, str], queues: Sequence[Queue]) -> tuple[Queue | None, list[str]]:
    """The queue that is asked for, or None and a warning where rules of the cluster may yet find or make one."""
    wanted = YARN_APPLICATION_QUEUE.read(configuration) or DEFAULT_QUEUE
    key = YARN_APPLICATION_QUEUE.key
    usable = [queue for queue in queues if queue.is_leaf and queue.is_running]
    found = [queue for queue in queues if queue.path == wanted] or [queue for queue in queues if wanted in queue.names]
    if not queues:
        return None, []
    if not found:
        unknown = f"The specified queue '{wanted}' does not exist. Available queues: {_names(usable)}"
        parent = wanted.rpartition(".")[0] or "root"
        if wanted == DEFAULT_QUEUE or any(queue.creates_queues for queue in queues if parent in queue.names):
            return None, [f"{unknown}."]
        raise ConfigurationError(f"{unknown}; choose one by {key}.")
    if len(found) > 1:
        raise ConfigurationError(f"There are several queues '{wanted}': set {key} to one of {_paths(found)}.")
    queue = found[0]
    if not queue.is_leaf:
        inside = [leaf for leaf in usable if leaf.path.startswith(f"{queue.path}.")]
        raise ConfigurationError(
            f"The queue '{wanted}' holds other queues and takes no applications: set {key} to one of {_paths(inside)}."
        )
    if not queue.is_running:
        raise ConfigurationError(
            f"The queue '{wanted}' is stopped and takes no applications: have it started, or set {key} to one of"
            f" {_names(usable)}."
        )
    return queue, []


def _names(queues: Sequence[Queue]) -> str:
    """Their short names, but the paths of those that share one."""
    names = [queue.names[-1] for queue in queues]
    return ", ".join(queue.names[-1] if names.count(queue.names[-1]) == 1 else queue.path for queue in queues) or "none"


def _paths(queues: Sequence[Queue]) -> str:
    return ", ".join(queue.path for queue in queues) or "none"


def _labelled(nodes: Sequence[Node], label: str) -> Sequence[Node]:
    """The nodes on which a container with that label, or with none, may run."""
    if not label:
        return [node for node in nodes if not node.labels] or nodes
    if found := [node for node in nodes if label in node.labels]:
        return found
    labels = sorted({name for node in nodes for name in node.labels})
    raise ConfigurationError(
        f"No running node has the label '{label}', there are: {', '.join(labels) or 'none'}; look at"
        f" {YARN_APPLICATION_NODE_LABEL.key} and {YARN_TASKMANAGER_NODE_LABEL.key}."
    )


def _largest(nodes: Sequence[Node], allowed: Resource) -> Resource:
    return Resource(
        min(allowed.memory_mb, max(node.total.memory_mb for node in nodes)),
        min(allowed.vcores, max(node.total.vcores for node in nodes)),
    )


def _check_master(wanted: Resource, most: Resource) -> None:
    _check_memory("JobManager", wanted, most, JOBMANAGER_MEMORY_PROCESS_SIZE.key)
    if wanted.vcores > most.vcores:
        raise ConfigurationError(
            f"The number of requested virtual cores for application master {wanted.vcores} exceeds the maximum number"
            f" of virtual cores {most.vcores} available in the Yarn Cluster: lower {YARN_APPMASTER_VCORES.key}."
        )


def _check_worker(wanted: Resource, most: Resource) -> None:
    _check_memory("TaskManagers", wanted, most, TASKMANAGER_MEMORY_PROCESS_SIZE.key)
    if wanted.vcores > most.vcores:
        raise ConfigurationError(
            f"The number of requested virtual cores per node {wanted.vcores} exceeds the maximum number of virtual"
            f" cores {most.vcores} available in the Yarn Cluster. Please note that the number of virtual cores is set"
            " to the number of task slots by default unless configured in the Flink config with"
            f" '{YARN_CONTAINERS_VCORES.key}'."
        )


def _check_memory(process: str, wanted: Resource, most: Resource, key: str) -> None:
    if wanted.memory_mb > most.memory_mb:
        raise ConfigurationError(
            f"The cluster does not have the requested resources for the {process} available! Maximum Memory:"
            f" {most.memory_mb}MB Requested: {wanted.memory_mb}MB. Please check the"
            " 'yarn.scheduler.maximum-allocation-mb' and the 'yarn.nodemanager.resource.memory-mb' configuration"
            f" values, or lower {key}."
        )


def _rounding(process: str, wanted: Resource, hadoop: HadoopConfiguration) -> Iterator[str]:
    unit = int(hadoop.get(_MINIMUM, "1024"))
    extra = -wanted.memory_mb % unit if unit > 0 else 0
    if extra:
        yield (
            f"The configured {process} memory is {wanted.memory_mb} MB. YARN will allocate"
            f" {wanted.memory_mb + extra} MB to make up an integer multiple of its minimum allocation memory"
            f" ({unit} MB, configured via '{_MINIMUM}'). The extra {extra} MB may not be used by Flink."
        )


def _too_small(queue: str, limit: Resource, master: Resource, worker: Resource) -> Iterator[str]:
    together = master.memory_mb + worker.memory_mb
    if together > limit.memory_mb:
        yield (
            f"JobManager and TaskManager need {together}MB, but the queue {queue} may use {limit.memory_mb}MB at most:"
            " the job will wait for its TaskManager."
        )


def _nothing_free(process: str, wanted: Resource, nodes: Sequence[Node]) -> Iterator[str]:
    if all(node.free.memory_mb < wanted.memory_mb or node.free.vcores < wanted.vcores for node in nodes):
        cores = f"{wanted.vcores} virtual core{'s' if wanted.vcores > 1 else ''}"
        yield (
            f"No node has {wanted.memory_mb}MB and {cores} free for the {process} at the moment: it starts when there"
            " is room."
        )
