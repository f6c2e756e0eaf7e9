"""A TaskManager in a container of YARN.

python -m pyflow_runtime.entrypoint.yarn_taskmanager
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pyflow_runtime.entrypoint import taskmanager
from pyflow_runtime.entrypoint.container import host, log_directory, private_folder
from pyflow_runtime.processes.control import end_children, raise_descriptor_limit, run_and_exit
from pyflow_runtime.processes.zygote import warm_up
from pyflow_yarn.configuration import options
from pyflow_yarn.configuration.memory import task_manager_memory
from pyflow_yarn.errors import PyflowError
from pyflow_yarn.yarn.application_file import (
    JOB_MANAGER_VARIABLE,
    JOIN_TOKEN_VARIABLE,
    TASK_MANAGER_FILE_NAME,
    TASK_MANAGER_VARIABLE,
    read_task_manager_file,
)

LOG_NAME = "taskmanager.log"


def main() -> int:
    """The program."""
    raise_descriptor_limit()
    try:
        told = read_task_manager_file(Path(TASK_MANAGER_FILE_NAME))
        configuration = told.configuration
        # What starts from here has no need of it.
        join_token = os.environ.pop(JOIN_TOKEN_VARIABLE)
        node = host(os.environ)
        logs = log_directory(os.environ)
        joins = options.SECURITY_SSL_INTERNAL_ENABLED.read(configuration)
        slots = options.TASKMANAGER_NUMBER_OF_TASK_SLOTS.read(configuration)
        if not options.TASKMANAGER_BIND_HOST.is_set(configuration):
            configuration = {**configuration, options.TASKMANAGER_BIND_HOST.key: node}
        warm_up()
        with private_folder() as directory:
            return taskmanager.run(
                configuration,
                memory=task_manager_memory(configuration, slots),
                task_manager_id=os.environ[TASK_MANAGER_VARIABLE],
                slots=slots,
                host=node,
                directory=directory,
                log_directory=logs,
                address=lambda: os.environ[JOB_MANAGER_VARIABLE],
                secret=told.secret,
                certificates=directory / "tls" if joins else None,
                joins=joins,
                join_token=join_token,
                ends_with_supervisor=True,
                own_log=logs / LOG_NAME,
            )
    except PyflowError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        end_children(taskmanager.CHILDREN_END_SECONDS)


if __name__ == "__main__":
    run_and_exit(main)
