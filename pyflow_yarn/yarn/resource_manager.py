"""The ResourceManager's REST API, as far as the client asks it."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pyflow_yarn.errors import ConfigurationError, ExternalError
from pyflow_yarn.yarn import ApplicationNotFoundError, ApplicationReport
from pyflow_yarn.yarn.kerberos import NegotiationHandler
from pyflow_yarn.yarn.resources import Node, Queue, Resource, read_nodes, read_queues, read_resource

REQUEST_SECONDS = 10.0


class RefusedError(ExternalError):
    """The ResourceManager answered that it will not do it."""


class ContainerReport(NamedTuple):
    """A container and the address of the NodeManager it was given to."""

    id: str
    node: str


class ResourceManager:
    """Asks each address in turn until the active ResourceManager answers, and that one first from then on."""

    def __init__(self, addresses: Sequence[str], user: str) -> None:
        self._addresses = list(addresses)
        self._user = user
        self._opener = direct_opener()

    def check(self) -> None:
        """Raise unless it answers. Hadoop's own libraries go on trying for a quarter of an hour."""
        self._ask("GET", "info")

    def report(self, application_id: str) -> ApplicationReport:
        """What it knows of an application."""
        return _report(self._of_application("GET", application_id)["app"])

    def kill(self, application_id: str) -> None:
        """Ask it to end an application."""
        self._of_application("PUT", application_id, "/state", {"state": "KILLED"})

    def new_application(self) -> str:
        """The id of an application that will be submitted."""
        return str(self._ask("POST", "apps/new-application")["application-id"])

    def submit(self, application: Mapping[str, Any]) -> None:
        """Hand over an application; it may still be refused after this."""
        self._ask("POST", "apps", application)

    def queues(self) -> list[Queue]:
        """Its scheduler's queues, parents before their children."""
        return read_queues(self._ask("GET", "scheduler"))

    def nodes(self) -> list[Node]:
        """The nodes that run."""
        return read_nodes(self._ask("GET", "nodes"))

    def largest_container(self) -> Resource:
        """The most that one container may have; it is told to those who ask for an application's id."""
        return read_resource(self._ask("POST", "apps/new-application")["maximum-resource-capability"])

    def running(self, user: str, application_type: str) -> list[ApplicationReport]:
        """The user's applications of that type that run."""
        answer = self._ask("GET", "apps", user=user, applicationTypes=application_type, states="RUNNING")
        return [_report(app) for app in _listed(answer, "apps", "app")]

    def jobs(self, application: ApplicationReport) -> set[str]:
        """The ids of an application's jobs; empty where its page tells none."""
        try:
            with self._opener.open(f"{application.tracking_url}jobs/overview", timeout=REQUEST_SECONDS) as response:
                return {job["jid"] for job in json.loads(response.read())["jobs"]}
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
            return set()

    def masters(self, application_id: str) -> list[ContainerReport]:
        """The container of each attempt's ApplicationMaster, as far as there is one."""
        attempts = _listed(self._of_application("GET", application_id, "/appattempts"), "appAttempts", "appAttempt")
        return [
            ContainerReport(one["containerId"], one["nodeHttpAddress"]) for one in attempts if one.get("containerId")
        ]

    def containers(self, master: str) -> list[ContainerReport]:
        """The containers that the attempt with this master's container holds now."""
        application, attempt = _ids(master)
        path = f"/appattempts/{attempt}/containers"
        try:
            found = _listed(self._of_application("GET", application, path), "container")
        except ApplicationNotFoundError:
            return []  # Hadoop 2 does not tell
        return [ContainerReport(one["containerId"], one["nodeHttpAddress"].rpartition("/")[2]) for one in found]

    def _of_application(self, method: str, key: str, what: str = "", body: object = None) -> dict[str, Any]:
        try:
            return self._ask(method, f"apps/{urllib.parse.quote(key, safe='')}{what}", body)
        except LookupError:
            raise ApplicationNotFoundError(f"YARN knows no application {key}: look at the id.") from None

    def _ask(self, method: str, path: str, body: object = None, **parameters: str) -> dict[str, Any]:
        query = urllib.parse.urlencode({"user.name": self._user, **parameters})
        failures = []
        for address in list(self._addresses):
            request = urllib.request.Request(
                f"{address}/ws/v1/cluster/{path}?{query}",
                None if body is None else json.dumps(body).encode(),
                {"Accept": "application/json", "Content-Type": "application/json"},
                method=method,
            )
            try:
                with self._opener.open(request, timeout=REQUEST_SECONDS) as response:
                    content = response.read()
                    # What was submitted is answered with an address alone.
                    answer = {} if response.status == http.HTTPStatus.ACCEPTED else json.loads(content)
            except urllib.error.HTTPError as refusal:
                with refusal:
                    text = reason(refusal.read())
                if refusal.code == 404 or "Invalid ApplicationId" in text:
                    raise LookupError(path) from None
                if refusal.code in (400, 401, 403):
                    raise RefusedError(f"YARN at {address} refuses it: {text or refusal.reason}.") from None
                failures.append(f"{address} answers {refusal.code} {text or refusal.reason}")
            except ConfigurationError:
                raise
            # What is no JSON is a standby's hint at the active one, which is among the addresses.
            except (OSError, http.client.HTTPException, ValueError) as failure:
                failures.append(f"{address}: {getattr(failure, 'reason', None) or failure}")
            else:
                self._addresses.remove(address)
                self._addresses.insert(0, address)
                return dict(answer)
        raise ExternalError(f"YARN's ResourceManager does not answer ({'; '.join(failures)}): is it running?")


def direct_opener() -> urllib.request.OpenerDirector:
    """Clusters are reached directly: an edge node's HTTP proxy is for the world outside."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), NegotiationHandler())


def reason(answer: bytes) -> str:
    """What a daemon of YARN says of a failure, without the end of its sentence."""
    try:
        text = json.loads(answer)["RemoteException"]["message"]
    except (ValueError, KeyError, TypeError):
        return ""
    return str(text).strip().removesuffix(".")


def _listed(answer: dict[str, Any], *names: str) -> list[dict[str, Any]]:
    """What stands below the names: nothing, one or several."""
    found: Any = answer
    for name in names:
        found = (found or {}).get(name)
    return found if isinstance(found, list) else [found] if found else []


def _ids(container: str) -> tuple[str, str]:
    """The application and the attempt that a container belongs to."""
    *_, time, application, attempt, _number = container.split("_")
    return f"application_{time}_{application}", f"appattempt_{time}_{application}_{int(attempt):06}"


def _report(app: dict[str, Any]) -> ApplicationReport:
    return ApplicationReport(
        id=app["id"],
        name=app["name"],
        type=app["applicationType"],
        user=app["user"],
        queue=app["queue"].rpartition(".")[2],
        tags=frozenset(filter(None, app.get("applicationTags", "").split(","))),
        state=app["state"],
        final_status=app["finalStatus"],
        diagnostics=app.get("diagnostics", "").strip(),
        tracking_url=app.get("trackingUrl", ""),
        master_address=app.get("amRPCAddress", ""),
        finish_time=app.get("finishedTime", 0),
        log_aggregation=app.get("logAggregationStatus", ""),
    )
