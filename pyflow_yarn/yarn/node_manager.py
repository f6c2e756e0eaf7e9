"""The NodeManagers' REST API, as far as logs need it."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from pyflow_yarn.errors import ExternalError
from pyflow_yarn.yarn.resource_manager import REQUEST_SECONDS, RefusedError, direct_opener, reason

PIECE = 1 << 16
# Files grow between two requests: so much more is asked for, and what is known already left out.
MARGIN = 1 << 16
_CONTENTS = b"LogContents:\n"
_LENGTH = b"LogLength:"
_HEADER_LINES = 20


class UnknownThereError(LookupError):
    """The node does not have it, or no longer."""


class NodeManagers:
    """Asks the NodeManager at an address, host and port."""

    def __init__(self, scheme: str, user: str) -> None:
        self._scheme = scheme
        self._user = user
        self._opener = direct_opener()

    def has_application(self, node: str, application_id: str) -> bool:
        """Whether containers of an application are there, or were."""
        try:
            self._json(node, f"apps/{application_id}")
        except UnknownThereError:
            return False
        return True

    def log_files(self, node: str, container: str) -> dict[str, int]:
        """The names and lengths of a container's log files; they are there until the application ends."""
        answer = self._json(node, f"containers/{container}/logs")
        found: dict[str, int] = {}
        for kind in _several(answer.get("containerLogsInfo")):
            # Parts that were aggregated before the end are listed as well: they are no longer on the node.
            if kind.get("logAggregationType", "LOCAL") == "LOCAL":
                found |= {one["fileName"]: int(one["fileSize"]) for one in _several(kind.get("containerLogInfo"))}
        return found

    def read(self, node: str, container: str, name: str, offset: int, length: int) -> Iterator[bytes]:
        """A log file from an offset on; ``length`` is how long it was lately."""
        path = f"containers/{container}/logs/{urllib.parse.quote(name, safe='')}"
        missed, margin = True, MARGIN
        while missed:
            # The API gives ends of files, but no parts from an offset on.
            asked = max(0, length - offset) + margin
            margin *= 2
            with closing(self._open(node, path, {"size": str(-asked)} if offset else {})) as response:
                try:
                    length = _length(response)
                    given = min(asked, length) if offset else length
                    missed = length - given > offset
                    if not missed:
                        yield from _pieces(response, given, skipped=min(given, offset - (length - given)))
                except (OSError, http.client.HTTPException, ValueError) as failure:
                    raise _silent(node, failure) from None

    def _json(self, node: str, path: str) -> dict[str, Any]:
        try:
            with self._open(node, path, {}) as response:
                return dict(json.loads(response.read()))
        except (OSError, http.client.HTTPException, ValueError) as failure:
            raise _silent(node, failure) from None

    def _open(self, node: str, path: str, parameters: dict[str, str]) -> http.client.HTTPResponse:
        query = urllib.parse.urlencode({"user.name": self._user, **parameters})
        url = f"{self._scheme}://{node}/ws/v1/node/{path}?{query}"
        accepted = "text/plain" if parameters or "/logs/" in path else "application/json"
        try:
            response: http.client.HTTPResponse = self._opener.open(
                urllib.request.Request(url, headers={"Accept": accepted}), timeout=REQUEST_SECONDS
            )
            return response
        except urllib.error.HTTPError as refusal:
            with refusal:
                answer = refusal.read()
            text = reason(answer) or answer.decode(errors="replace").strip().split("\n")[0].removesuffix(".")
            if "not authorized" in text or refusal.code in (401, 403):
                text = text.rpartition("Exception: ")[2] or refusal.reason
                raise RefusedError(
                    f"The NodeManager at {node} refuses it ({text}): ask the owner of the application for the right to"
                    " view it (yarn.view.acls)."
                ) from None
            # What an application that has ended leads to has another code in each version.
            raise UnknownThereError(text) from None
        except (OSError, http.client.HTTPException) as failure:
            raise _silent(node, failure) from None


def _silent(node: str, failure: Exception) -> ExternalError:
    why = getattr(failure, "reason", None) or failure
    return ExternalError(f"The NodeManager at {node} does not answer ({why})")


def _several(found: Any) -> list[dict[str, Any]]:
    return found if isinstance(found, list) else [found] if found else []


def _length(response: http.client.HTTPResponse) -> int:
    """Read what stands before the content."""
    length = 0
    for _ in range(_HEADER_LINES):
        line = response.readline()
        if line.startswith(_LENGTH):
            length = int(line[len(_LENGTH) :])
        if line == _CONTENTS:
            return length
    raise http.client.HTTPException("this is no log file")


def _pieces(response: http.client.HTTPResponse, given: int, skipped: int) -> Iterator[bytes]:
    """The content without what is skipped; what follows it, the NodeManager's own text, is read to be polite."""
    left = given
    while left and (piece := response.read(min(left, PIECE))):
        begin = max(0, skipped - (given - left))
        left -= len(piece)
        if piece[begin:]:
            yield piece[begin:]
    response.read(PIECE)
