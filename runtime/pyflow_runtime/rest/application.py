"""The REST application: what every request passes before and after its handler."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pyflow_runtime.dispatcher.views import JobManagerGateway
from pyflow_runtime.rest.answers import BodyTooLargeError, RequestError, answer_to_failure, error_answer
from pyflow_runtime.rest.parameters import shown
from pyflow_runtime.rest.routes import CANCELLING, ENDPOINTS, HEALTH, Handler
from pyflow_yarn.configuration.options import REST_SERVER_MAX_CONTENT_LENGTH, WEB_ACCESS_CONTROL_ALLOW_ORIGIN

logger = logging.getLogger(__name__)

_UNBOUNDED = 1 << 62
_READING = ("GET", "HEAD", "OPTIONS")


def create_application(gateway: JobManagerGateway, token: str | None, pages: str = "") -> Starlette:
    """The ASGI application over a JobManager. Without a ``token`` it serves everybody who reaches it.

    ``pages``: a secret first part of paths; what is below it may be read without the token. YARN's proxy knows it.
    """
    if token is None:
        logger.warning("security.rest.auth is none: whoever reaches the REST port can run programs as this user")
    routes = [
        Route(endpoint.path, _endpoint(endpoint.handler, gateway), methods=[endpoint.method]) for endpoint in ENDPOINTS
    ]
    gate = Middleware(
        Gate,
        token=token,
        pages=pages,
        max_content_length=REST_SERVER_MAX_CONTENT_LENGTH.read(gateway.configuration),
        allowed_origin=WEB_ACCESS_CONTROL_ALLOW_ORIGIN.read(gateway.configuration),
    )
    return Starlette(routes=routes, middleware=[gate], exception_handlers={404: _unknown, 405: _unknown})


def _endpoint(handler: Handler, gateway: JobManagerGateway) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            return await handler(request, gateway)
        except BodyTooLargeError:
            raise
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception as error:
            return answer_to_failure(error)

    return endpoint


async def _unknown(request: Request, error: Exception) -> Response:
    """Also for a method that a path does not have: the reference system knows no 405."""
    return error_answer(404, f"Unable to load requested file {shown(request.url.path)}.")


class Gate:
    """Strips ``/v1``, wants the token, bounds bodies, and puts the common headers on answers."""

    def __init__(
        self, app: ASGIApp, token: str | None, pages: str, max_content_length: int, allowed_origin: str
    ) -> None:
        self._app = app
        self._token = None if token is None else token.encode()
        self._pages = pages.encode()
        self._max_content_length = max_content_length
        self._allowed_origin = allowed_origin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path, through_proxy = self._without_pages(scope["path"])
        scope = {**scope, "path": _plain_path(path)}
        headers = Headers(scope=scope)
        body = _BoundedBody(receive, _UNBOUNDED if _is_blob(scope) else self._max_content_length)
        sender = _Sender(send, self._allowed_origin)
        try:
            self._admit(scope, headers, through_proxy)
            body.check_declared(headers.get("content-length"))
            await self._app(scope, body.receive, sender.send)
        except RequestError as refusal:
            if isinstance(refusal, BodyTooLargeError):
                # The client sends on before it looks at the answer, and would see a broken connection instead of it.
                await body.drain()
            await answer_to_failure(refusal)(scope, receive, sender.send)

    def _without_pages(self, path: str) -> tuple[str, bool]:
        """The path below the secret part, and whether that was there."""
        first, slash, rest = path.removeprefix("/").partition("/")
        if self._pages and hmac.compare_digest(first.encode("utf-8", "replace"), self._pages):
            return slash + rest, True
        return path, False

    def _admit(self, scope: Scope, headers: Headers, through_proxy: bool) -> None:
        if scope["path"] == HEALTH and scope["method"] == "GET":
            return
        if through_proxy:
            if scope["method"] not in _READING or scope["path"].endswith(CANCELLING):
                raise RequestError(403, "Through YARN's proxy nothing can be changed: use the command line (flink).")
            return
        if self._token is None:
            origin = headers.get("origin")
            if origin is not None and scope["method"] not in _READING and _host(origin) != headers.get("host"):
                raise RequestError(403, "Pages of other origins may not change anything here.")
            return
        kind, _, given = headers.get("authorization", "").partition(" ")
        matches = hmac.compare_digest(given.strip().encode("utf-8", "replace"), self._token)
        if kind.lower() != "bearer" or not matches:
            raise RequestError(401, "This cluster wants its token in the header 'Authorization: Bearer <token>'.")


def _is_blob(scope: Scope) -> bool:
    """Whether the body goes to disk as it comes in: then its size is no matter of memory."""
    return bool(scope["method"] == "PUT" and scope["path"].startswith("/blobs/"))


def _plain_path(path: str) -> str:
    if path == "/v1" or path.startswith("/v1/"):
        path = path[3:]
    return path.rstrip("/") or "/"


def _host(origin: str) -> str:
    return origin.partition("://")[2]


class _Sender:
    """Sends an answer with the headers that all answers have."""

    def __init__(self, send: Send, allowed_origin: str) -> None:
        self._send = send
        self._allowed_origin = allowed_origin

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["access-control-allow-origin"] = self._allowed_origin
            headers["cache-control"] = "no-store"
        await self._send(message)


class _BoundedBody:
    """The body of a request, which ends with a 413 when it gets too long."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self._received = 0
        self._more = True

    def check_declared(self, content_length: str | None) -> None:
        if content_length is not None and content_length.isdecimal() and int(content_length) > self._limit:
            raise BodyTooLargeError(self._limit)

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._received += len(message.get("body", b""))
            self._more = message.get("more_body", False)
            if self._received > self._limit:
                raise BodyTooLargeError(self._limit)
        else:
            self._more = False
        return message

    async def drain(self) -> None:
        """Read and forget what still comes, within bounds."""
        left = self._limit
        while self._more and left > 0:
            message = await self._receive()
            left -= len(message.get("body", b""))
            self._more = message["type"] == "http.request" and message.get("more_body", False)
