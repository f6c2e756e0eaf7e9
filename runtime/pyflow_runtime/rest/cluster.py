"""The cluster as a whole, and its JobManager."""

from __future__ import annotations

import platform
import sys
import time

from starlette.requests import Request
from starlette.responses import Response

from pyflow_runtime.dispatcher.views import JobManagerGateway
from pyflow_runtime.rest.answers import json_answer
from pyflow_yarn import __version__
from pyflow_yarn.configuration.config_option import redact
from pyflow_yarn.configuration.options import WEB_CANCEL_ENABLE, WEB_REFRESH_INTERVAL

FLINK_VERSION = "2.3.0"
"""The release whose REST interface this is."""


async def health(request: Request, gateway: JobManagerGateway) -> Response:
    """Whether the JobManager answers; the only path without the token."""
    return json_answer({"status": "ok"})


async def web_configuration(request: Request, gateway: JobManagerGateway) -> Response:
    """What the web interface needs to know."""
    local = time.localtime()
    return json_answer(
        {
            "refresh-interval": WEB_REFRESH_INTERVAL.read(gateway.configuration),
            "timezone-name": local.tm_zone,
            "timezone-offset": local.tm_gmtoff * 1000,
            "flink-version": FLINK_VERSION,
            "flink-revision": f"pyflow-yarn {__version__}",
            "features": {
                "web-submit": False,
                "web-cancel": WEB_CANCEL_ENABLE.read(gateway.configuration),
                "web-rescale": False,
                "web-history": False,
            },
        }
    )


async def overview(request: Request, gateway: JobManagerGateway) -> Response:
    """Counts of TaskManagers, slots and jobs."""
    cluster = gateway.cluster()
    return json_answer(
        {
            "taskmanagers": cluster.task_managers,
            "slots-total": cluster.slots_total,
            "slots-available": cluster.slots_available,
            "jobs-running": cluster.jobs_running,
            "jobs-finished": cluster.jobs_finished,
            "jobs-cancelled": cluster.jobs_cancelled,
            "jobs-failed": cluster.jobs_failed,
            "flink-version": FLINK_VERSION,
            "flink-commit": f"pyflow-yarn {__version__}",
        }
    )


async def shut_down(request: Request, gateway: JobManagerGateway) -> Response:
    """Ends the cluster."""
    await gateway.shut_down_cluster()
    return json_answer({})


async def configuration(request: Request, gateway: JobManagerGateway) -> Response:
    """The effective configuration; secrets are hidden."""
    shown = redact(gateway.configuration)
    return json_answer([{"key": key, "value": shown[key]} for key in sorted(shown)])


async def environment(request: Request, gateway: JobManagerGateway) -> Response:
    """The JobManager's interpreter and its path, in the fields for a JVM and its class path."""
    implementation = f"{platform.python_implementation()} {platform.python_version()}"
    return json_answer(
        {
            "jvm": {
                "version": f"{implementation} - {platform.python_compiler()}",
                "arch": platform.machine(),
                "options": [*(f"-X{name}" for name in sys._xoptions), *(["-O"] if sys.flags.optimize else [])],
            },
            "classpath": [entry for entry in sys.path if entry],
        }
    )
