"""What requests carry in path, query and body, read with sentences for whatever is wrong."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request

from pyflow_runtime.dispatcher.views import JobManagerGateway, JobView, SubtaskView, VertexView
from pyflow_runtime.rest.answers import RequestError

T = TypeVar("T")

_ID = re.compile(r"[0-9a-fA-F]{32}")
_SHOWN = 80
MALFORMED = (msgspec.MsgspecError, ValueError, RecursionError)
MAX_NUMBER = 2**63 - 1


def shown(text: str) -> str:
    """A part of a request as an error repeats it: short and printable."""
    printable = "".join(character if character.isprintable() else "?" for character in text[: _SHOWN + 1])
    return f"{printable[:_SHOWN]}..." if len(printable) > _SHOWN else printable


def identifier(request: Request, name: str, what: str) -> str:
    """An id in the path: 32 hexadecimal digits."""
    text: str = request.path_params[name]
    if _ID.fullmatch(text) is None:
        raise RequestError(400, f"'{shown(text)}' is not a {what} id: those have 32 hexadecimal digits.")
    return text.lower()


def whole_number(text: str, what: str) -> int:
    """A number from 0."""
    if not (text.isascii() and text.isdecimal() and len(text) < 20) or int(text) > MAX_NUMBER:
        raise RequestError(400, f"'{shown(text)}' is not a valid {what}: a whole number from 0 is expected.")
    return int(text)


def query_number(request: Request, name: str, default: int) -> int:
    """A number in the query."""
    text = request.query_params.get(name)
    return default if text is None else whole_number(text, f"value of {name}")


def job_of(request: Request, gateway: JobManagerGateway) -> JobView:
    """The job that the path names."""
    return gateway.job(identifier(request, "job", "job"))


def vertex_of(request: Request, job: JobView) -> VertexView:
    """The vertex that the path names."""
    vertex_id = identifier(request, "vertex", "vertex")
    for vertex in job.vertices:
        if vertex.id == vertex_id:
            return vertex
    raise RequestError(404, f"Job {job.job_id} has no vertex {vertex_id}.")


def subtask_of(request: Request, vertex: VertexView) -> SubtaskView:
    """The subtask that the path names."""
    index = whole_number(request.path_params["subtask"], "subtask")
    for subtask in vertex.subtasks:
        if subtask.subtask == index:
            return subtask
    raise RequestError(404, f"Vertex {vertex.id} has no subtask {index}: there are {vertex.parallelism}.")


async def json_body(request: Request, type: type[T]) -> T:
    """The body, which is JSON of that type; an empty body is an empty object."""
    body = await request.body()
    try:
        return msgspec.json.decode(body or b"{}", type=type)
    except MALFORMED as error:
        raise RequestError(400, f"The body of the request is not as expected: {shown(str(error))}.") from None


def string_list(request: Request, name: str) -> list[str]:
    """A list in the query: repeated or separated by commas."""
    values: list[Any] = request.query_params.getlist(name)
    return [part for value in values for part in value.split(",") if part]
