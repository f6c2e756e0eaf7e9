"""``bin/yarn-session.sh``: a session on YARN, with Flink's options and texts."""

from __future__ import annotations

import os
import sys

from pyflow_yarn.cli.help import option_lines
from pyflow_yarn.cli.main import EXIT_ERROR, EXIT_OK, HELP_HINT, guarded
from pyflow_yarn.cli.options import DYNAMIC_PROPERTY, HELP, YARN_FLAVOUR, Option
from pyflow_yarn.cli.parser import ArgumentError, CommandLine, parse
from pyflow_yarn.client.configuration import configuration_directory, warn, warn_about
from pyflow_yarn.client.program import local_path
from pyflow_yarn.configuration.loading import load
from pyflow_yarn.configuration.options import EXECUTION_ATTACHED, EXECUTION_TARGET, YARN_SHIP_FILES
from pyflow_yarn.deployment.targets import YARN_SESSION
from pyflow_yarn.errors import PyflowError

DETACHED = Option("d", "detached", "Return when the session runs, without attending to it.")
_HELP = HELP._replace(description="Show this help.")
CONTAINERS = Option("n", "container", "Ignored; kept for old scripts.", "arg", 1, hidden=True)
_OTHERWISE = ("yD", "yd", "yh")
# The same options as for `flink run`, without the letter in front.
_OF_YARN = tuple(
    option._replace(short=option.short.removeprefix("y"), long=option.long.removeprefix("yarn"))
    for option in YARN_FLAVOUR
    if option.short not in _OTHERWISE
)
OPTIONS = (_HELP, DYNAMIC_PROPERTY, DETACHED, CONTAINERS, *_OF_YARN)
_QUERY = next(option for option in OPTIONS if option.short == "q")
_MEMORY = ("jm", "tm")  # in MB unless a unit is given


def run(words: list[str]) -> int:
    """Run the command; the answer is the exit code."""
    try:
        line = parse(OPTIONS, words, False)
        if line.has(_HELP):
            print("\n".join(["Usage:", "   Optional", *option_lines(OPTIONS)]))
            return EXIT_OK
        for word in line.arguments:
            raise ArgumentError(f"Unexpected argument '{word}'!")
        return _run(line)
    except ArgumentError as error:
        print(f"{error}\n\n{HELP_HINT}")
    except PyflowError as error:
        from pyflow_yarn.client.failures import show_error_block

        show_error_block(error)
    return EXIT_ERROR


def _run(line: CommandLine) -> int:
    configuration = load(configuration_directory(), session_configuration(line))
    if line.has(CONTAINERS):
        warn("The option -n has no effect: TaskManagers are started when jobs need them, and end when none does.")
    warn_about(configuration)
    if line.has(_QUERY):
        from pyflow_yarn.deployment.yarn.deployer import YarnEdge
        from pyflow_yarn.deployment.yarn.resources_table import resources_table

        manager = YarnEdge(configuration, os.environ).resource_manager
        print(resources_table(manager.nodes(), manager.queues()))
        return EXIT_OK
    from pyflow_yarn.client.yarn_session import run_session

    return run_session(configuration, line.properties(DYNAMIC_PROPERTY))


def session_configuration(line: CommandLine) -> dict[str, str]:
    """What the options say; ``-D`` wins."""
    result = {
        EXECUTION_TARGET.key: YARN_SESSION,
        EXECUTION_ATTACHED.key: "false" if line.has(DETACHED) else "true",
    }
    for option in _OF_YARN:
        value = line.value(option)
        if option.key and value is not None:
            result[option.key] = f"{value}m" if option.short in _MEMORY and value.isdecimal() else value
            if option.key == YARN_SHIP_FILES.key:
                result[option.key] = _shipped(line.values[option.name])
    return {**result, **line.properties(DYNAMIC_PROPERTY)}


def _shipped(paths: list[str]) -> str:
    for path in paths:
        if "://" not in local_path(path) and not os.path.exists(local_path(path)):
            raise ArgumentError(f"The file or directory '{path}' given with -t (--ship) does not exist.")
    return ";".join(paths)


if __name__ == "__main__":
    sys.exit(guarded(run, sys.argv[1:]))
