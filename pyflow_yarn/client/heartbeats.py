"""Heartbeats of a client whose jobs are cancelled when it dies (``-sae``)."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from pyflow_yarn.client.job_client import RestJobClient
from pyflow_yarn.client.rest import RestClient
from pyflow_yarn.configuration.options import CLIENT_HEARTBEAT_INTERVAL
from pyflow_yarn.errors import PyflowError


class ClientHeartbeats:
    """Says for one job, from a thread of its own, that its client lives, until the job has ended or ``stop``."""

    def __init__(self, rest: RestClient, job: RestJobClient, configuration: Mapping[str, str], timeout: int) -> None:
        self._rest = rest
        self._job = job
        self._interval = CLIENT_HEARTBEAT_INTERVAL.read(configuration) / 1000
        self._timeout = timeout
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="client-heartbeats", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No more heartbeats."""
        self._stopped.set()

    def _run(self) -> None:
        path = f"/jobs/{self._job.job_id}/clientHeartbeat"
        try:
            while not self._stopped.wait(self._interval) and not self._job.ended:
                try:
                    self._rest.send("PATCH", path, {"expiredTimestamp": round(time.time() * 1000) + self._timeout})
                except PyflowError:
                    continue  # who waits for the job learns what is wrong, and says it
        finally:
            self._rest.close()
