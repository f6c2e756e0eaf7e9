"""``flink info``: the program runs up to its first ``execute()``, which shows the plan and goes no further."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Mapping
from typing import NoReturn

from pyflow_yarn.client.failures import show_error_block
from pyflow_yarn.client.launch import EXIT_OK, EXIT_PROGRAM_FAILED, NO_JOB, Launch
from pyflow_yarn.datastream.execution import PreparedJob, set_executor

HEADER = "----------------------- Execution Plan -----------------------"
FOOTER = "-" * 62


class _PlanCaptured(BaseException):
    """Ends the program at its first job; no ``except Exception`` of the program stops it."""

    def __init__(self, plan: str) -> None:
        self.plan = plan


class PlanExecutor:
    """Takes the plan of the first job and ends the program; starts nothing."""

    def __init__(self, configuration: Mapping[str, str]) -> None:
        self.configuration = configuration

    def execute(self, job: PreparedJob, attached: bool) -> NoReturn:
        """Never returns."""
        raise _PlanCaptured(job.stream_plan())

    def fetch_results(self, job_id: str, operator_id: str, offset: int) -> NoReturn:
        """Never called: no job was ever accepted."""
        raise AssertionError("no job was submitted")


def show_plan(launch: Launch) -> int:
    """Print the plan of the program's first job; what the program itself prints is held back."""
    set_executor(PlanExecutor(launch.configuration))
    output = io.StringIO()
    plan = ""
    try:
        with contextlib.redirect_stdout(output):
            launch.program.run()
    except _PlanCaptured as captured:
        plan = captured.plan
    except SystemExit as exit:
        if exit.code not in (None, 0):
            sys.stdout.write(output.getvalue())
            if not isinstance(exit.code, int):
                sys.stderr.write(f"{exit.code}\n")
            return EXIT_PROGRAM_FAILED
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        sys.stdout.write(output.getvalue())
        show_error_block(error)
        return EXIT_PROGRAM_FAILED
    finally:
        set_executor(None)
    if not plan:
        sys.stderr.write(f"\n{NO_JOB}\n")
        return 1
    sys.stdout.write(f"{HEADER}\n{plan}\n{FOOTER}\n\nNo description provided.\n")
    return EXIT_OK
