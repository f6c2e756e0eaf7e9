"""Why a container has not come to its program: what its script says when it finds no Python that works.

The sentence is the last of a log of the container, which its NodeManager shows as long as the application runs.
"""

from __future__ import annotations

from contextlib import suppress

from pyflow_yarn.errors import PyflowError
from pyflow_yarn.yarn.node_manager import NodeManagers, UnknownThereError
from pyflow_yarn.yarn.resource_manager import ContainerReport

COMPLAINT = "pyflow: "
MASTER_ERRORS = "jobmanager.err"
WORKER_ERRORS = "taskmanager.err"


def complaint(nodes: NodeManagers, container: ContainerReport, log: str) -> str:
    """The sentence, after the name of the node; "" where a container says nothing, or its node does not show it."""
    content = b""
    with suppress(UnknownThereError, PyflowError):
        # Scripts write little, and before anybody else.
        content = next(nodes.read(container.node, container.id, log, 0, 0), b"")
    _, mark, said = f"\n{content.decode(errors='replace')}".rpartition(f"\n{COMPLAINT}")
    return " ".join(said.split()) if mark else ""
