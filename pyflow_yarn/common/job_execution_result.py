"""What a job that has ended leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyflow_yarn.common.job_id import JobID

__all__ = ["JobExecutionResult"]


class JobExecutionResult:
    """Id, run time and accumulators of a job that has ended."""

    def __init__(self, job_id: JobID, net_runtime: int, accumulators: Mapping[str, Any] | None = None) -> None:
        self._job_id = job_id
        self._net_runtime = net_runtime
        self._accumulators = dict(accumulators or {})

    def get_job_id(self) -> JobID:
        """The id of the job."""
        return self._job_id

    def is_job_execution_result(self) -> bool:
        """Whether the job has ended: always true."""
        return True

    def get_net_runtime(self) -> int:
        """Milliseconds from the start to the end of the job."""
        return self._net_runtime

    def get_accumulator_result(self, accumulator_name: str) -> Any:
        """The value of one accumulator, None if there is none of that name."""
        return self._accumulators.get(accumulator_name)

    def get_all_accumulator_results(self) -> dict[str, Any]:
        """The values of all accumulators by name."""
        return dict(self._accumulators)

    def __str__(self) -> str:
        lines = [
            "Program execution finished",
            f"Job with JobID {self._job_id} has finished.",
            f"Job Runtime: {self._net_runtime} ms",
        ]
        if self._accumulators:
            lines.append("Accumulator Results: ")
            width = max(map(len, self._accumulators))
            lines += [
                f"- {name:<{width}} ({type(value).__name__}): {value}" for name, value in self._accumulators.items()
            ]
        return "\n".join(lines) + "\n"
