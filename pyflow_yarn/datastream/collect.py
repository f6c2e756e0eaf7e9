"""The results of ``execute_and_collect()``, fetched while the job runs."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from pyflow_yarn.common.job_client import JobClient
    from pyflow_yarn.datastream.execution import Executor

T = TypeVar("T")


class CloseableIterator(Iterator[T], Generic[T]):
    """Iterates over the records of a running job; ``close`` (or leaving a ``with``) cancels it if it still runs."""

    def __init__(self, executor: Executor, client: JobClient, operator_id: str) -> None:
        self._executor = executor
        self._client = client
        self._operator_id = operator_id
        self._page: list[Any] = []
        self._position = 0
        self._offset = 0
        self._last = False
        self._closed = False

    def __iter__(self) -> CloseableIterator[T]:
        return self

    def __next__(self) -> T:
        while self._position == len(self._page):
            if self._last or self._closed:
                self._closed = True
                raise StopIteration
            self._fetch()
        record: T = self._page[self._position]
        self._position += 1
        return record

    def next(self) -> T:
        """The next record; ``StopIteration`` at the end."""
        return self.__next__()

    def close(self) -> None:
        """Cancel the job unless all its records have been fetched."""
        if not self._closed and not self._last:
            self._client.cancel().result()
        self._closed = True
        self._page = []
        self._position = 0

    def _fetch(self) -> None:
        job_id = str(self._client.get_job_id())
        self._page, self._last = self._executor.fetch_results(job_id, self._operator_id, self._offset)
        self._offset += len(self._page)
        self._position = 0
        if self._last:
            self._client.get_job_execution_result().result()

    def __enter__(self) -> CloseableIterator[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
