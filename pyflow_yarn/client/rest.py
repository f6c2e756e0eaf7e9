"""Flink's REST interface as the client uses it: JSON over HTTP connections that are kept, with the cluster's token."""

from __future__ import annotations

import http.client
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from pyflow_yarn.configuration.options import REST_CONNECTION_TIMEOUT, REST_RETRY_DELAY, REST_RETRY_MAX_ATTEMPTS
from pyflow_yarn.deployment.cluster import Endpoint
from pyflow_yarn.errors import ClusterError, JobNotFoundError, PyflowError, UserError

ANSWER_TIMEOUT = 60.0
FIRST_CONTACT_ATTEMPTS = 3
FIRST_CONTACT_DELAY = 0.5
RESTART_DELAY = 0.5
COMPLAIN_AFTER = 5.0
HEADERS_VARIABLE = "FLINK_REST_CLIENT_HEADERS"


class Unreachable(ClusterError):
    """Nobody answers at the cluster's address."""


class Conflict(ClusterError):
    """The cluster refuses the request in its present state (HTTP 409)."""


class Unavailable(ClusterError):
    """The cluster cannot answer just now (HTTP 503): later."""


class Body(NamedTuple):
    """A request's body: ``parts()``, as often as it is called, are ``length`` bytes in pieces."""

    parts: Callable[[], Iterable[bytes]]
    length: int
    content_type: str


def json_body(value: Any) -> Body:
    """A body of JSON."""
    content = msgspec.json.encode(value)
    return Body(lambda: (content,), len(content), "application/json")


def binary_body(content: bytes) -> Body:
    """A body of bytes."""
    return Body(lambda: (content,), len(content), "application/octet-stream")


class RestClient:
    """Requests to one REST server. Safe to use from several threads: each has a connection of its own.

    ``check`` is called between attempts; it raises when it is known that nobody will ever answer, and tells where the
    server is by now, if it knows.
    """

    def __init__(
        self, endpoint: Endpoint, configuration: Mapping[str, str], check: Callable[[], Endpoint | None] = lambda: None
    ) -> None:
        self.endpoint = endpoint
        self._check = check
        self._connect_timeout = REST_CONNECTION_TIMEOUT.read(configuration) / 1000
        retries = (REST_RETRY_MAX_ATTEMPTS, REST_RETRY_DELAY)
        self._patient_from_start = any(option.is_set(configuration) for option in retries)
        self._attempts = REST_RETRY_MAX_ATTEMPTS.read(configuration) + 1
        self._delay = REST_RETRY_DELAY.read(configuration) / 1000
        self._contacted = False
        self._headers = _extra_headers()
        if endpoint.token and not any(name.lower() == "authorization" for name in self._headers):
            self._headers["Authorization"] = f"Bearer {endpoint.token}"
        self._local = threading.local()

    # -- requests --

    def get(self, path: str, timeout: float = ANSWER_TIMEOUT) -> Any:
        """The decoded JSON answer to a GET."""
        return _decode(self.request("GET", path, None, timeout))

    def send(self, method: str, path: str, value: Any = None) -> Any:
        """The decoded JSON answer to a request that carries JSON."""
        return _decode(self.request(method, path, json_body({} if value is None else value)))

    def request(
        self, method: str, path: str, body: Body | None = None, timeout: float = ANSWER_TIMEOUT, repeat: bool = True
    ) -> bytes:
        """The body of the answer; every request is idempotent, so that a broken connection means: again.

        With ``repeat``, so does ``Unavailable``.
        """
        attempt = 0
        waited = 0.0
        while True:
            attempt += 1
            try:
                status, answer = self._exchange(method, "/v1" + path, body, timeout)
            except (OSError, http.client.HTTPException) as broken:
                self._drop()
                failure: ClusterError = self._unreachable(broken)
            except BaseException:
                self._drop()
                raise
            else:
                self._contacted = True
                if status < 300:
                    return answer
                error = self._error(status, answer)
                if not isinstance(error, Unavailable) or not repeat:
                    raise error
                failure = error
            self.endpoint = self._check() or self.endpoint
            attempts, delay = self._patience()
            if attempt >= attempts:
                raise failure from None
            if waited < COMPLAIN_AFTER <= waited + delay:
                left = delay * (attempts - attempt)
                sys.stderr.write(f"WARNING: {failure} Trying again, for {left:.0f} s at most.\n")
            waited += delay
            time.sleep(delay)

    def _patience(self) -> tuple[int, float]:
        """How often to try, and the pause between.

        A server that never answered is given up soon, unless the configuration says otherwise. One that did may
        restart: then the configured time is spent on more attempts.
        """
        if self._patient_from_start:
            return self._attempts, self._delay
        if self._contacted:
            return round((self._attempts - 1) * self._delay / RESTART_DELAY) + 1, RESTART_DELAY
        return FIRST_CONTACT_ATTEMPTS, FIRST_CONTACT_DELAY

    # -- one exchange --

    def _exchange(self, method: str, path: str, body: Body | None, timeout: float) -> tuple[int, bytes]:
        for _ in range(2):
            connection, fresh = self._connection()
            try:
                return self._converse(connection, method, path, body, timeout)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                # A kept connection that the server closed meanwhile says nothing about the server.
                self._drop()
                if fresh:
                    raise
        raise AssertionError("a fresh connection was tried")

    def _converse(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: Body | None, timeout: float
    ) -> tuple[int, bytes]:
        headers = {**self._headers, "Accept": "*/*"}
        if body is not None:
            headers["Content-Type"] = body.content_type
            headers["Content-Length"] = str(body.length)
        if connection.sock is None:
            connection.connect()
        connection.sock.settimeout(timeout)
        connection.request(method, path, body=body.parts() if body is not None else None, headers=headers)
        response = connection.getresponse()
        content = response.read()
        # Not left to its finaliser: a Ctrl-C that arrives in the finaliser of a file object is lost without a word.
        response.close()
        if response.will_close:
            self._drop()
        return response.status, content

    def _connection(self) -> tuple[http.client.HTTPConnection, bool]:
        kept: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if kept is not None:
            return kept, False
        host, _, port = self.endpoint.address.rpartition(":")
        connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=self._connect_timeout)
        self._local.connection = connection
        return connection, True

    def _drop(self) -> None:
        kept: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if kept is not None:
            kept.close()
            self._local.connection = None

    def close(self) -> None:
        """Close this thread's connection."""
        self._drop()

    # -- what went wrong --

    def _unreachable(self, error: Exception) -> Unreachable:
        if isinstance(error, TimeoutError):
            reason = "it does not answer"
        elif isinstance(error, OSError):
            reason = (error.strerror or str(error) or type(error).__name__).lower()
        else:
            reason = "what answers is no REST server"
        return Unreachable(
            f"The cluster at {self.endpoint.address} cannot be reached: {reason}."
            " Check that it runs and that the address is right (rest.address and rest.port, or -m host:port)."
        )

    def _error(self, status: int, answer: bytes) -> PyflowError:
        try:
            errors = msgspec.json.decode(answer, type=_Errors).errors
        except msgspec.DecodeError:
            errors = []
        sentence = errors[0].strip() if errors else f"The cluster at {self.endpoint.address} answered HTTP {status}."
        if status == 401:
            return ClusterError(
                f"The cluster at {self.endpoint.address} wants its token: name the file that holds it with"
                f" -Dsecurity.rest.token-file=<file>, or set {HEADERS_VARIABLE} to 'Authorization:Bearer <token>'."
            )
        if status == 404:
            return JobNotFoundError(sentence)
        if status == 409:
            return Conflict(sentence)
        if status in (400, 413):
            return UserError(sentence)
        if status == 503:
            return Unavailable(sentence)
        return ClusterError(sentence)


class _Errors(msgspec.Struct):
    errors: list[str] = []


def _decode(answer: bytes) -> Any:
    try:
        return msgspec.json.decode(answer) if answer else {}
    except msgspec.DecodeError:
        raise ClusterError("The cluster's answer is not JSON: what answers is no REST server of a cluster.") from None


def _extra_headers() -> dict[str, str]:
    """The headers of ``FLINK_REST_CLIENT_HEADERS``: ``name:value``, one a line."""
    headers = {}
    for line in os.environ.get(HEADERS_VARIABLE, "").splitlines():
        name, separator, value = line.partition(":")
        if separator and name.strip():
            headers[name.strip()] = value.strip()
    return headers
