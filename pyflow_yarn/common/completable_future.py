"""A value that is not there yet."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from pyflow_yarn.errors import PyflowError

__all__ = ["CompletableFuture"]

T = TypeVar("T")


class CompletableFuture(Generic[T]):
    """The result of something that runs in the background; ``result`` waits for it."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._state = "pending"
        self._result: T | None = None
        self._exception: BaseException | None = None

    @classmethod
    def supply(cls, function: Callable[[], T]) -> CompletableFuture[T]:
        """The future result of ``function``, which runs in a thread of its own."""
        future: CompletableFuture[T] = cls()

        def run() -> None:
            try:
                future.set_result(function())
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=run, name="completable-future", daemon=True).start()
        return future

    @classmethod
    def completed(cls, value: T) -> CompletableFuture[T]:
        """A future whose result is there already."""
        future: CompletableFuture[T] = cls()
        future.set_result(value)
        return future

    def _complete(self, state: str, result: T | None = None, exception: BaseException | None = None) -> bool:
        with self._condition:
            if self._state != "pending":
                return False
            self._state, self._result, self._exception = state, result, exception
            self._condition.notify_all()
            return True

    def set_result(self, result: T) -> bool:
        """Complete with a value; False if it was complete before."""
        return self._complete("done", result=result)

    def set_exception(self, exception: BaseException) -> bool:
        """Complete with an error; False if it was complete before."""
        return self._complete("failed", exception=exception)

    def cancel(self) -> bool:
        """Give the result up; whether that was in time. What runs in the background runs on."""
        return self._complete("cancelled", exception=FutureCancelledError("The future was cancelled."))

    def cancelled(self) -> bool:
        """Whether ``cancel`` was in time."""
        return self._state == "cancelled"

    def done(self) -> bool:
        """Whether a value or an error is there."""
        return self._state != "pending"

    def result(self, timeout: float | None = None) -> T:
        """The value, or the error raised; waits for it, ``timeout`` seconds at most."""
        error = self.exception(timeout)
        if error is not None:
            raise error
        return self._result  # type: ignore[return-value]

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """The error, or None; waits like ``result``."""
        with self._condition:
            if not self._condition.wait_for(self.done, timeout):
                raise TimeoutError(f"No result within {timeout} s.")
            return self._exception


class FutureCancelledError(PyflowError):
    """The result was given up before it was there."""
