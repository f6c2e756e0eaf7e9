"""Interpreters and dependencies of programs, files and logs."""

from __future__ import annotations

from pyflow_yarn.configuration.config_option import ConfigOption, choice, integer, text

PYTHON_CLIENT_EXECUTABLE: ConfigOption[str | None] = ConfigOption(
    "python.client.executable",
    text(),
    None,
    "Interpreter that runs the program's main(); unset: the active virtual environment, else the project's own.",
)
PYTHON_EXECUTABLE: ConfigOption[str | None] = ConfigOption(
    "python.executable", text(), None, "Interpreter of workers; unset: the one that runs main()."
)
PYTHON_FILES: ConfigOption[str | None] = ConfigOption(
    "python.files", text(), None, "Python files, packages and archives for the path of workers, separated by commas."
)
PYTHON_ARCHIVES: ConfigOption[str | None] = ConfigOption(
    "python.archives",
    text(),
    None,
    "Archives unpacked in the working directory of workers, separated by commas; `#name` chooses the directory.",
)
PYTHON_REQUIREMENTS: ConfigOption[str | None] = ConfigOption(
    "python.requirements", text(), None, "A requirements file, with `#directory` of packages to install from."
)
PYTHON_PYTHONPATH: ConfigOption[str | None] = ConfigOption(
    "python.pythonpath", text(), None, "Directories put in front of the path of workers, separated by `:`."
)
ENV_LOG_DIR: ConfigOption[str | None] = ConfigOption(
    "env.log.dir", text(), None, "Directory of log files; unset: inside the cluster's working directory."
)
ENV_PID_DIR: ConfigOption[str | None] = ConfigOption(
    "env.pid.dir", text(), None, "Directory of the pid files of daemons; unset: inside the user's state directory."
)
ENV_SSH_OPTS: ConfigOption[str | None] = ConfigOption(
    "env.ssh.opts", text(), None, "Options of ssh, with which `start-cluster.sh` reaches other hosts."
)
ENV_LOG_MAX: ConfigOption[int] = ConfigOption(
    "env.log.max", integer(0), 10, "Number of rotated log files that are kept."
)
ENV_LOG_LEVEL: ConfigOption[str] = ConfigOption(
    "env.log.level",
    choice("DEBUG", "INFO", "WARNING", "ERROR", aliases={"warn": "WARNING"}),
    "INFO",
    "Level of the root logger of cluster processes.",
)
