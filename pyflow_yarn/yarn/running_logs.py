"""Logs of an application that runs, from the NodeManagers of its containers, those that have ended among them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from pyflow_yarn.errors import ExternalError
from pyflow_yarn.yarn.container_logs import LogFile, ordered
from pyflow_yarn.yarn.node_manager import NodeManagers, UnknownThereError
from pyflow_yarn.yarn.resource_manager import ContainerReport, RefusedError, ResourceManager

REQUESTS_AT_ONCE = 16
# Numbers of containers that were given back unused stay unused.
GAP = 10
# A container may end a while after YARN was asked for its end; then its logs change no more.
MOST_LOOKS = 30


class RunningLogs:
    """See ``ContainerLogs``."""

    def __init__(self, resource_manager: ResourceManager, node_managers: NodeManagers, application_id: str) -> None:
        # Nodes that did not answer when they were asked last.
        self._silent: dict[str, str] = {}
        self._resource_manager = resource_manager
        self._node_managers = node_managers
        self._application_id = application_id
        self._nodes: dict[str, str] = {}
        # Containers that have ended: how often they were asked since, and what they told.
        self._ended_looks: dict[str, int] = {}
        self._last: dict[str, list[LogFile]] = {}
        self._attempts: set[str] = set()

    @property
    def problems(self) -> list[str]:
        """See ``ContainerLogs``."""
        return list(self._silent.values())

    def files(self) -> list[LogFile]:
        """See ``ContainerLogs``."""
        running: set[str] = set()
        for master in self._resource_manager.masters(self._application_id):
            containers = {one.id: one.node for one in (master, *self._resource_manager.containers(master.id))}
            running |= containers.keys()
            if master.id not in self._attempts:
                self._attempts.add(master.id)
                containers |= self._ended(master, containers)
            self._nodes |= containers
        self._silent = {}
        for container, node in self._nodes.items():
            looks = self._ended_looks[container] = (
                0 if container in running else self._ended_looks.get(container, 0) + 1
            )
            if looks <= MOST_LOOKS:
                self._last[container] = self._files(container, node)
        return ordered(file for files in self._last.values() for file in files)

    def read(self, file: LogFile, offset: int) -> Iterator[bytes]:
        """See ``ContainerLogs``; nothing if it has gone with its application or node meanwhile."""
        try:
            yield from self._node_managers.read(file.node, file.container, file.name, offset, file.length)
        except UnknownThereError:
            return
        except RefusedError:
            raise
        except ExternalError as failure:
            self._silent[file.node] = f"{failure}: the logs of its containers are missing here."

    def _files(self, container: str, node: str) -> list[LogFile]:
        if node in self._silent:
            return []
        try:
            found = self._node_managers.log_files(node, container)
        except UnknownThereError:
            return []
        except RefusedError:
            raise
        except ExternalError as failure:
            self._silent[node] = f"{failure}: the logs of its containers are missing here."
            return []
        return [LogFile(container, node, name, length) for name, length in found.items()]

    def _ended(self, master: ContainerReport, known: dict[str, str]) -> dict[str, str]:
        """Nobody lists containers that ended while the application goes on: they are tried, by their numbers."""
        with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
            nodes = [node.address for node in self._resource_manager.nodes()]
            hosts = [node for node, has in zip(nodes, pool.map(self._has_application, nodes), strict=True) if has]
            prefix, _, first = master.id.rpartition("_")
            number, missed, found = 0, 0, {}
            last = max(int(container.rpartition("_")[2]) for container in known)
            while number < last or missed < GAP:
                number += 1
                container = f"{prefix}_{number:0{len(first)}}"
                tried = pool.map(lambda host, one=container: self._files(one, host), hosts)
                here = [host for host, files in zip(hosts, tried, strict=True) if files]
                missed = 0 if here or container in known else missed + 1
                if here and container not in known:
                    found[container] = here[0]
        return found

    def _has_application(self, node: str) -> bool:
        try:
            return self._node_managers.has_application(node, self._application_id)
        except ExternalError:
            return False
