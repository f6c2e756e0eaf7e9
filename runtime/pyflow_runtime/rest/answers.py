"""Answers of the REST interface: compact JSON, and errors as ``{"errors": [sentence, ...]}``."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import Response

from pyflow_yarn.errors import (
    ClusterError,
    ConfigurationError,
    JobNotFoundError,
    NoResourceAvailableError,
    PyflowError,
    RetryHint,
    UserError,
)

logger = logging.getLogger(__name__)

JSON = "application/json; charset=UTF-8"
BYTES = "application/octet-stream"


class RequestError(Exception):
    """A request that cannot be served: status and the sentence that says why."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class BodyTooLargeError(RequestError):
    """The body of a request is longer than is allowed."""

    def __init__(self, limit: int) -> None:
        super().__init__(413, f"The body of a request may have {limit} bytes (rest.server.max-content-length).")


def json_answer(value: Any, status: int = 200) -> Response:
    """An answer in JSON."""
    return Response(msgspec.json.encode(value), status, media_type=JSON)


def error_answer(status: int, *sentences: str) -> Response:
    """An answer that says what went wrong."""
    headers = {"www-authenticate": "Bearer"} if status == 401 else None
    return Response(msgspec.json.encode({"errors": sentences}), status, headers, JSON)


def status_of(error: PyflowError) -> int:
    """The HTTP status of an error of ours."""
    if isinstance(error, JobNotFoundError):
        return 404
    if isinstance(error, (UserError, ConfigurationError)):
        return 400
    if isinstance(error, ClusterError) and (
        error.retry_hint is not RetryHint.NEVER or isinstance(error, NoResourceAvailableError)
    ):
        return 503
    return 500


def answer_to_failure(error: Exception) -> Response:
    """The answer when a handler raised; what nobody foresaw goes to the log and not over the wire."""
    if isinstance(error, RequestError):
        return error_answer(error.status, str(error))
    if isinstance(error, HTTPException):
        return error_answer(error.status_code, error.detail)
    if isinstance(error, PyflowError):
        return error_answer(status_of(error), str(error))
    if isinstance(error, TimeoutError):
        return error_answer(503, "The JobManager did not answer in time; try again.")
    logger.error("A REST request failed.", exc_info=error)
    return error_answer(
        500, "Internal server error.", f"The JobManager's log has the details ({type(error).__name__})."
    )
