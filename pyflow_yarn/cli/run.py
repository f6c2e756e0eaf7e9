"""The actions that take a program: ``run`` and ``info``."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from pyflow_yarn.cli import options as opt
from pyflow_yarn.cli.flavours import flavour_configuration
from pyflow_yarn.cli.parser import ArgumentError, CommandLine
from pyflow_yarn.client.configuration import (
    configuration_directory,
    warn,
    warn_about,
    with_absolute_paths,
    with_defaults,
)
from pyflow_yarn.client.interpreter import become, client_executable
from pyflow_yarn.client.program import Program, check_readable, local_path
from pyflow_yarn.client.registered import on_registered_cluster
from pyflow_yarn.configuration.loading import load
from pyflow_yarn.configuration.options import (
    EXECUTION_ATTACHED,
    EXECUTION_SHUTDOWN_ON_ATTACHED_EXIT,
    PARALLELISM_DEFAULT,
    PYTHON_ARCHIVES,
    PYTHON_EXECUTABLE,
    PYTHON_FILES,
    PYTHON_REQUIREMENTS,
)
from pyflow_yarn.deployment.targets import LOCAL, YARN_APPLICATION, chosen_target
from pyflow_yarn.errors import ConfigurationError, PyflowError

NO_PROGRAM = (
    "No program was specified: give a Python script (flink run script.py, or -py script.py) or a module (-pym module)."
)

EXIT_ERROR = 1


def run(line: CommandLine) -> int:
    """``flink run``: run the program, here or in the interpreter of its choice, on the cluster of its target."""
    program = program_of(line)
    _check_savepoint_options(line)
    try:
        configuration = on_registered_cluster(
            effective_configuration(line), line.properties(opt.DYNAMIC_PROPERTY), for_program=True
        )
        target = chosen_target(configuration)
        if target == LOCAL and configuration[EXECUTION_ATTACHED.key] == "false":
            raise ArgumentError(
                'Detached mode (-d) is not possible with the target "local": its cluster lives as long as the client,'
                " so the job would end at once. Leave -d out, or submit to a running cluster with -m host:port."
            )
        check_files(program, configuration, remote=target == YARN_APPLICATION)
        executable = client_executable(configuration)
        return _launch(program, with_absolute_paths(configuration), target, executable)
    except PyflowError as error:
        from pyflow_yarn.client.launch import EXIT_PROGRAM_FAILED

        return _refused(error, EXIT_PROGRAM_FAILED)


def _launch(program: Program, configuration: dict[str, str], target: str, executable: str) -> int:
    here = executable == sys.executable
    if target == LOCAL:
        from pyflow_yarn.deployment.local import LocalCluster

        # Before the program, and before what the client itself still has to import.
        cluster = LocalCluster(configuration).start()
        try:
            from pyflow_yarn.client import launch

            if here:
                return launch.run(launch.Launch(program=program, configuration=configuration), cluster)
            _become(
                executable,
                launch.Launch(
                    program=program,
                    configuration=configuration,
                    cluster=cluster.hand_over(),
                    python_executable=executable,
                ),
            )
        finally:
            cluster.stop()
    from pyflow_yarn.client import launch

    decided = launch.Launch(program=program, configuration=configuration)
    if not here:
        _become(executable, decided)
    return launch.run_on_target(decided)


def info(line: CommandLine) -> int:
    """``flink info``: show the plan of the program's first job, without any cluster."""
    program = program_of(line)
    picture = _picture_of(line)
    try:
        configuration = effective_configuration(line)
        check_files(program, configuration)
        executable = client_executable(configuration)
        from pyflow_yarn.client.launch import Launch
        from pyflow_yarn.client.plan import show_plan

        launch = Launch(program=program, configuration=configuration, plan_only=True, picture=picture)
        if executable != sys.executable:
            _become(executable, launch)
        return show_plan(launch)
    except PyflowError as error:
        return _refused(error, EXIT_ERROR)


def _picture_of(line: CommandLine) -> str:
    """The file that ``--svg`` names; "" without that option."""
    if not line.has(opt.SVG):
        return ""
    file = line.value(opt.SVG) or "-"
    if file.endswith(".py"):
        raise ArgumentError(f"'{file}' is a Python program: name another file for the picture (--svg).")
    return file if file == "-" else os.path.abspath(file)


def _become(executable: str, launch: object) -> None:
    import msgspec

    become(executable, msgspec.json.encode(launch))


def _refused(error: PyflowError, code: int) -> int:
    from pyflow_yarn.client.failures import show_error_block

    show_error_block(error)
    return code


def program_of(line: CommandLine) -> Program:
    """The program that the command line names; ``ArgumentError`` if it names none, or one for a JVM."""
    words = [*line.values.get(opt.ARGUMENTS.name, []), *line.arguments]
    script, module = line.value(opt.PYTHON), line.value(opt.PYTHON_MODULE)
    files = _split(line.value(opt.PYTHON_FILES) or "")
    if script and module:
        raise ArgumentError("Cannot use options -py and -pym simultaneously.")
    if module:
        if not files:
            raise ArgumentError("Option -pym must be used in conjunction with `--pyFiles`.")
        return Program(module=module, arguments=words, files=files)
    if script:
        return Program(script=script, arguments=words, files=files)
    jar = line.value(opt.JAR)
    if jar is None and not words:
        raise ArgumentError(NO_PROGRAM)
    first, rest = (jar, words) if jar is not None else (words[0], words[1:])
    if first.endswith(".py"):
        return Program(script=first, arguments=rest, files=files)
    if not os.path.exists(local_path(first)):
        raise ArgumentError(f"Could not get job jar and dependencies from JAR file: JAR file does not exist: {first}")
    raise ArgumentError(f"'{first}' is no Python program (*.py): programs for the JVM cannot run here. {NO_PROGRAM}")


def _split(text: str) -> list[str]:
    return [entry.strip() for entry in text.split(",") if entry.strip()]


def _check_savepoint_options(line: CommandLine) -> None:
    if line.has(opt.FROM_SAVEPOINT):
        if line.has(opt.RESTORE_MODE) and not line.has(opt.CLAIM_MODE):
            print("The option 'restoreMode' is deprecated. Please use 'claimMode' instead.")
        raise ArgumentError(
            "Starting from a savepoint (-s) is not supported yet: this version has no savepoints. Leave -s out."
        )


def effective_configuration(line: CommandLine) -> dict[str, str]:
    """Files and environment, then the flavour's options, then the program's; warns about what has no effect."""
    files = load(configuration_directory(), {})
    flavoured, warnings = flavour_configuration(line, files)
    overrides = {**flavoured, **_program_configuration(line)}
    configuration = load(configuration_directory(), overrides)
    for sentence in warnings:
        warn(sentence)
    warn_about(configuration)
    return with_defaults(configuration)


def _program_configuration(line: CommandLine) -> dict[str, str]:
    result: dict[str, str] = {}
    parallelism = line.value(opt.PARALLELISM)
    if parallelism is not None:
        if not parallelism.isdecimal() or int(parallelism) < 1:
            raise ArgumentError(f"The parallelism must be a positive number: {parallelism}")
        result[PARALLELISM_DEFAULT.key] = parallelism
    detached = line.has(opt.DETACHED) or "yd" in line.values
    result[EXECUTION_ATTACHED.key] = "false" if detached else "true"
    if line.has(opt.SHUTDOWN_ON_EXIT):
        result[EXECUTION_SHUTDOWN_ON_ATTACHED_EXIT.key] = "true"
    for option in opt.PROGRAM:
        value = line.value(option)
        if option.key.startswith("python.") and value is not None:
            result[option.key] = value
    return result


def check_files(program: Program, configuration: Mapping[str, str], remote: bool = False) -> None:
    """A sentence for the first file of the program that is missing or cannot be read.

    ``remote``: the script and its files may be on another file system, where nobody looks now.
    """
    program.check(remote)
    for entry in _split(PYTHON_FILES.read(configuration) or ""):
        if "://" not in local_path(entry):
            check_readable(local_path(entry), f"The file '{entry}' given with -pyfs (python.files)")
    for entry in _split(PYTHON_ARCHIVES.read(configuration) or ""):
        path = entry.partition("#")[0]
        if "://" not in local_path(path):
            check_readable(local_path(path), f"The archive '{path}' given with -pyarch (python.archives)")
    requirements = PYTHON_REQUIREMENTS.read(configuration)
    if requirements:
        path, _, directory = requirements.partition("#")
        check_readable(local_path(path), f"The file '{path}' given with -pyreq (python.requirements)")
        if directory:
            check_readable(
                local_path(directory), f"The directory '{directory}' given with -pyreq (python.requirements)"
            )
    executable = PYTHON_EXECUTABLE.read(configuration)
    # A relative path may point into an archive, which only workers unpack; other machines have other interpreters.
    here = chosen_target(configuration) == LOCAL
    if here and executable and os.path.isabs(executable) and not os.access(executable, os.X_OK):
        raise ConfigurationError(
            f"The Python interpreter '{executable}' given with -pyexec (python.executable) does not exist or cannot be"
            " executed."
        )
