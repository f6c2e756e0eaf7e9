"""``flink info``: the program runs up to its first ``execute()``, which shows the plan and goes no further.

A picture of the plan (``--svg``) may go to the standard output, and then nothing else does.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Mapping
from typing import NoReturn

from pyflow_yarn.client import pictures
from pyflow_yarn.client.failures import show_error_block, show_exit
from pyflow_yarn.client.launch import EXIT_OK, NO_JOB, Launch
from pyflow_yarn.datastream.execution import PreparedJob, set_executor
from pyflow_yarn.errors import ExternalError

HEADER = "----------------------- Execution Plan -----------------------"
FOOTER = "-" * 62
EXIT_ERROR = 1


class _PlanCaptured(BaseException):
    """Ends the program at its first job; no ``except Exception`` of the program stops it."""

    def __init__(self, job: PreparedJob) -> None:
        self.job = job


class PlanExecutor:
    """Takes the plan of the first job and ends the program; starts nothing."""

    def __init__(self, configuration: Mapping[str, str]) -> None:
        self.configuration = configuration

    def execute(self, job: PreparedJob, attached: bool) -> NoReturn:
        """Never returns."""
        raise _PlanCaptured(job)

    def fetch_results(self, job_id: str, operator_id: str, offset: int) -> NoReturn:
        """Never called: no job was ever accepted."""
        raise AssertionError("no job was submitted")


def show_plan(launch: Launch) -> int:
    """Print the plan of the program's first job, or draw it; what the program itself prints is held back."""
    if launch.picture:
        try:
            pictures.check(launch.picture)
        except ExternalError as error:
            sys.stderr.write(f"{error}\n")
            return EXIT_ERROR
    set_executor(PlanExecutor(launch.configuration))
    output = io.StringIO()
    told = sys.stderr if launch.picture else sys.stdout
    job = None
    try:
        with pictures.clean_output(launch.picture), contextlib.redirect_stdout(output):
            launch.program.run()
    except _PlanCaptured as captured:
        job = captured.job
    except SystemExit as exit:
        if exit.code not in (None, 0):
            told.write(output.getvalue())
            show_exit(exit)
            return EXIT_ERROR
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        told.write(output.getvalue())
        show_error_block(error)
        return EXIT_ERROR
    finally:
        set_executor(None)
    if job is None:
        sys.stderr.write(f"\n{NO_JOB}\n")
        return EXIT_ERROR
    if launch.picture:
        return _draw(job, launch.picture)
    sys.stdout.write(f"{HEADER}\n{job.stream_plan()}\n{FOOTER}\n\nNo description provided.\n")
    return EXIT_OK


def _draw(job: PreparedJob, file: str) -> int:
    from pyflow_yarn.graph.svg import job_svg

    try:
        pictures.write(file, job_svg(job.graph))
    except ExternalError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_ERROR
    return EXIT_OK
