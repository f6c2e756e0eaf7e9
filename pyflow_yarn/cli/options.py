"""The options of every action as a table: names, arguments and meaning are Flink's."""

from __future__ import annotations

from typing import NamedTuple

UNLIMITED = -1


class Option(NamedTuple):
    """One option. ``arguments``: how many values it takes; ``key``: the configuration key that it sets, if it sets one.

    A hidden option is parsed but absent from the help text. ``not_value``: a word after the option that ends so is not
    its value. ``choices``: the values that it may have, in any case; any, if there are none.
    """

    short: str
    long: str
    description: str
    argument: str = ""
    arguments: int = 0
    optional: bool = False
    key: str = ""
    hidden: bool = False
    not_value: str = ""
    choices: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What the parsed option is called: the short name."""
        return self.short


def _value(
    short: str,
    long: str,
    argument: str,
    description: str,
    key: str = "",
    hidden: bool = False,
    choices: tuple[str, ...] = (),
) -> Option:
    return Option(short, long, description, argument, 1, key=key, hidden=hidden, choices=choices)


def _flag(short: str, long: str, description: str, hidden: bool = False) -> Option:
    return Option(short, long, description, hidden=hidden)


HELP = _flag("h", "help", "Show the help message of the client or of the action.")
VERBOSE = _flag("v", "verbose", "Ignored; kept for old scripts.", hidden=True)
GENERAL = (HELP, VERBOSE)

DYNAMIC_PROPERTY = Option(
    "D",
    "D",
    "A configuration key and its value, for example -Dparallelism.default=4; a key alone means true. May be repeated.",
    "property=value",
    2,
)
TARGET = _value(
    "t",
    "target",
    "arg",
    "Where the program runs; the same as the configuration key 'execution.target'. Available: \"local\" (a cluster of "
    'processes on this machine, the default), "remote" (a running cluster), "yarn-application" (an application of its '
    'own on YARN, with main() inside), "yarn-session" (a running session on YARN) and "yarn-per-job" (DEPRECATED: an '
    'application for each job). Valid but not yet available: "kubernetes-session", "kubernetes-application".',
)
EXECUTOR = _value("e", "executor", "arg", "DEPRECATED: use -t instead.")
ADDRESS = _value(
    "m",
    "jobmanager",
    "arg",
    "Address (host:port) of the JobManager's REST server to connect to, instead of the one in the configuration.",
)
NAMESPACE = _value(
    "z",
    "zookeeperNamespace",
    "arg",
    "Namespace of the ZooKeeper paths in high availability mode.",
    key="high-availability.cluster-id",
)

GENERIC_FLAVOUR = (DYNAMIC_PROPERTY, EXECUTOR, TARGET)
DEFAULT_FLAVOUR = (DYNAMIC_PROPERTY, ADDRESS, NAMESPACE)
YARN_FLAVOUR = (
    _value("yat", "yarnapplicationType", "arg", "Application type on YARN.", "yarn.application.type"),
    Option("yD", "yarnD", "A configuration key and its value.", "property=value", 2),
    _flag("yd", "yarndetached", "DEPRECATED: use -d instead.", hidden=True),
    _flag("yh", "yarnhelp", "Help for the YARN options.", hidden=True),
    _value("yid", "yarnapplicationId", "arg", "Attach to the running application of that id.", "yarn.application.id"),
    _value("yj", "yarnjar", "arg", "Path of the distribution.", "yarn.flink-dist-jar", hidden=True),
    _value(
        "yjm",
        "yarnjobManagerMemory",
        "arg",
        "Memory of the JobManager's container, in MB unless a unit is given.",
        "jobmanager.memory.process.size",
    ),
    _value("ynl", "yarnnodeLabel", "arg", "Node label of the application.", "yarn.application.node-label"),
    _value("ynm", "yarnname", "arg", "Name of the application on YARN.", "yarn.application.name"),
    _flag("yq", "yarnquery", "Show the resources of the YARN cluster."),
    _value("yqu", "yarnqueue", "arg", "YARN queue.", "yarn.application.queue"),
    _value("ys", "yarnslots", "arg", "Slots per TaskManager.", "taskmanager.numberOfTaskSlots"),
    _value("yt", "yarnship", "arg", "Files or directories to ship.", "yarn.ship-files"),
    _value(
        "ytm",
        "yarntaskManagerMemory",
        "arg",
        "Memory of a TaskManager's container, in MB unless a unit is given.",
        "taskmanager.memory.process.size",
    ),
    _value(
        "yz",
        "yarnzookeeperNamespace",
        "arg",
        "Namespace of the ZooKeeper paths in high availability mode.",
        "high-availability.cluster-id",
    ),
)
FLAVOURS = {
    "Generic CLI": GENERIC_FLAVOUR,
    "yarn-cluster": YARN_FLAVOUR,
    "default": DEFAULT_FLAVOUR,
}

CLASS = _value("c", "class", "classname", "Class with the entry point of a Java program; there is no JVM here.")
CLASSPATH = _value("C", "classpath", "url", "URL for the class path of a Java program; there is no JVM here.")
JAR = _value("j", "jarfile", "jarfile", "The program's jar file.", hidden=True)
ARGUMENTS = Option("a", "arguments", "The program's arguments.", "programArgs", UNLIMITED, hidden=True)
PARALLELISM = _value(
    "p",
    "parallelism",
    "parallelism",
    "The parallelism of the program, instead of the one in the configuration.",
    "parallelism.default",
)
DETACHED = _flag("d", "detached", "Submit the job and return, without waiting for its end.")
SHUTDOWN_ON_EXIT = _flag(
    "sae",
    "shutdownOnAttachedExit",
    "If the program is attached, cancel its job when the client ends abruptly, for example by Ctrl-C.",
)
FROM_SAVEPOINT = _value("s", "fromSavepoint", "savepointPath", "Path of a savepoint to start the job from.")
ALLOW_NON_RESTORED = _flag(
    "n", "allowNonRestoredState", "Skip state of the savepoint that belongs to no operator of the program."
)
_CLAIM_MODES = ("claim", "no_claim", "legacy")
CLAIM_MODE = _value(
    "cm",
    "claimMode",
    "arg",
    'Who owns the restored savepoint afterwards: "claim", "no_claim" (default) or "legacy".',
    choices=_CLAIM_MODES,
)
RESTORE_MODE = _value("rm", "restoreMode", "arg", "DEPRECATED: use -cm instead.", choices=_CLAIM_MODES)
PYTHON = _value(
    "py",
    "python",
    "pythonFile",
    "Python script with the program's entry point. Its dependencies can be given with --pyFiles.",
)
PYTHON_MODULE = _value(
    "pym", "pyModule", "pythonModule", "Python module with the program's entry point; needs --pyFiles."
)
PYTHON_FILES = _value(
    "pyfs",
    "pyFiles",
    "pythonFiles",
    "Files (.py, .zip, .whl, .egg) and directories, separated by commas, that are put on the PYTHONPATH of the "
    "client and of the workers.",
    "python.files",
)
PYTHON_ARCHIVES = _value(
    "pyarch",
    "pyArchives",
    "arg",
    "Archives (zip, jar, tar, tar.gz, tgz), separated by commas, that are unpacked in the workers' working directory; "
    "'#name' after a path names the directory. Example: --pyArchives data.zip#data,venv.tgz#venv",
    "python.archives",
)
PYTHON_REQUIREMENTS = _value(
    "pyreq",
    "pyRequirements",
    "arg",
    "A requirements.txt whose packages are installed for the workers; '#directory' after it holds the packages for an "
    "installation without network.",
    "python.requirements",
)
PYTHON_EXECUTABLE = _value("pyexec", "pyExecutable", "arg", "The workers' Python interpreter.", "python.executable")
PYTHON_CLIENT_EXECUTABLE = _value(
    "pyclientexec",
    "pyClientExecutable",
    "arg",
    "The Python interpreter that runs the program's main().",
    "python.client.executable",
)
PYTHON_PATH = _value(
    "pypath", "pyPythonPath", "arg", "Library path of the workers, separated by colons.", "python.pythonpath"
)

PROGRAM = (
    CLASS,
    CLASSPATH,
    JAR,
    ARGUMENTS,
    PARALLELISM,
    DETACHED,
    SHUTDOWN_ON_EXIT,
    PYTHON,
    PYTHON_MODULE,
    PYTHON_FILES,
    PYTHON_ARCHIVES,
    PYTHON_REQUIREMENTS,
    PYTHON_EXECUTABLE,
    PYTHON_CLIENT_EXECUTABLE,
    PYTHON_PATH,
)
SAVEPOINT_TYPE = _value(
    "type",
    "type",
    "arg",
    'Format of the savepoint: "canonical" (default) or "native".',
    choices=("canonical", "native"),
)
SVG = Option(
    "svg",
    "svg",
    "Show the plan as a picture (SVG); without a file, or with -, on the standard output.",
    "file",
    1,
    optional=True,
    not_value=".py",
)
SHOW_ORIGIN = _flag("o", "show-origin", "Say where each value comes from.")
FOLLOW = _flag("f", "follow", "Go on showing what is written, until the application ends.")
TASK_MANAGER = _value("tm", "tm", "name", "Only the logs of this TaskManager: its number, or its name.")
ALL_KEYS = _flag("a", "all", "Show the keys that are not set as well, with their defaults.")
SAVEPOINT_DETACHED = _flag("dcp", "detached", "Trigger the savepoint and return, without waiting for its end.")


class Action(NamedTuple):
    """An action of the client; ``help_options`` are those that its help shows, if not all of them."""

    name: str
    summary: str
    syntax: str
    options: tuple[Option, ...]
    help_options: tuple[Option, ...] = ()
    stops_at_non_option: bool = False


ACTIONS = {
    action.name: action
    for action in (
        Action(
            "run",
            "compiles and runs a program.",
            "run [OPTIONS] <script.py> <arguments>",
            (*PROGRAM, FROM_SAVEPOINT, ALLOW_NON_RESTORED, CLAIM_MODE, RESTORE_MODE),
            stops_at_non_option=True,
        ),
        Action(
            "info",
            "shows the execution plan of the program (JSON).",
            "info [OPTIONS] <script.py> <arguments>",
            (*PROGRAM, SVG),
            help_options=(CLASS, PARALLELISM, SVG),
            stops_at_non_option=True,
        ),
        Action(
            "list",
            "lists running and scheduled programs.",
            "list [OPTIONS]",
            (
                _flag("a", "all", "Show all programs and their JobIDs."),
                _flag("r", "running", "Show only running programs and their JobIDs."),
                _flag("s", "scheduled", "Show only scheduled programs and their JobIDs."),
            ),
        ),
        Action(
            "stop",
            "stops a running program with a savepoint (streaming jobs only).",
            "stop [OPTIONS] <Job ID>",
            (
                _flag("d", "drain", "Send MAX_WATERMARK before taking the savepoint."),
                Option("p", "savepointPath", "Directory of the savepoint.", "savepointPath", 1, optional=True),
                SAVEPOINT_TYPE,
                SAVEPOINT_DETACHED,
            ),
        ),
        Action(
            "cancel",
            "cancels a running program.",
            "cancel [OPTIONS] <Job ID>",
            (
                Option(
                    "s",
                    "withSavepoint",
                    'DEPRECATED: use "stop" instead. Trigger a savepoint and cancel the job.',
                    "targetDirectory",
                    1,
                    optional=True,
                ),
                SAVEPOINT_TYPE,
            ),
        ),
        Action(
            "savepoint",
            "triggers savepoints for a running job or disposes existing ones.",
            "savepoint [OPTIONS] <Job ID> [<target directory>]",
            (
                _value("d", "dispose", "arg", "Path of the savepoint to dispose."),
                JAR,
                SAVEPOINT_TYPE,
                SAVEPOINT_DETACHED,
            ),
        ),
        Action(
            "checkpoint",
            "triggers checkpoints for a running job.",
            "checkpoint [OPTIONS] <Job ID>",
            (_flag("full", "full", "Trigger a full checkpoint."),),
        ),
        Action(
            "config",
            "shows the effective configuration (YAML).",
            "config [OPTIONS] [<key> ...]",
            (ALL_KEYS, SHOW_ORIGIN),
        ),
        Action(
            "logs",
            "shows the logs of an application on YARN, one that runs or one that has ended.",
            "logs [OPTIONS] <application ID or Job ID>",
            (FOLLOW, TASK_MANAGER),
        ),
    )
}
