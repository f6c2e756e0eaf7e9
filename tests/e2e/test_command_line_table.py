"""Exit codes and texts of ``bin/flink``, one row a situation: what scripts that call the command line rely on."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import Completed, Flink
from tests.e2e.standing_cluster import StandingCluster
from tests.integration.embedded_cluster import wait_until

pytestmark = pytest.mark.slow

PROGRAM_FAILED = 31
JOB = "0" * 31 + "1"
ID = "[0-9a-f]{32}"
NOBODY = "localhost:1"
PLAN = """\
from pyflow_yarn.datastream import StreamExecutionEnvironment
env = StreamExecutionEnvironment.get_execution_environment()
"""
PROGRAMS = {
    "nothing.py": "",
    "words.py": "import sys\nprint(sys.argv[1:])\n",
    "raises.py": "raise ValueError('of mine')\n",
    "exits.py": "raise SystemExit(3)\n",
    "job.py": f"{PLAN}env.from_collection([1]).print()\nenv.execute('a job')\n",
    "several.py": f"{PLAN}for number in range(2):\n    env.from_collection([number]).print()\n    env.execute()\n",
    "fails.py": f"{PLAN}env.from_collection([0]).map(lambda v: 1 // v).print()\nenv.execute()\n",
    "waits.py": (
        f"import time\n{PLAN}"
        "env.from_collection(range(10**6)).map(lambda v: time.sleep(0.1) or v).filter(lambda v: False).print()\n"
        "env.execute('it waits')\n"
    ),
}


@dataclass(frozen=True)
class Row:
    """A command line and how it ends; ``stdout`` and ``stderr`` are patterns of the whole stream."""

    name: str
    arguments: tuple[str, ...]
    code: int
    stdout: str = ""
    stderr: str = ""

    def check(self, done: Completed) -> None:
        """Compare."""
        assert done.returncode == self.code, done
        assert re.fullmatch(self.stdout, done.stdout, re.DOTALL), f"stdout is\n{done.stdout}"
        assert re.fullmatch(self.stderr, done.stderr, re.DOTALL), f"stderr is\n{done.stderr}"


def lines(*texts: str) -> str:
    """The pattern of exactly these lines."""
    return "".join(re.escape(f"{text}\n") for text in texts)


def block(pattern: str) -> str:
    """The pattern of the block on standard error, whose text begins so."""
    return lines("", "-" * 60, " The program finished with the following exception:", "") + rf"(?=[^\n]){pattern}.*"


def wrong(name: str, command: str, message: str) -> Row:
    """Wrong arguments: one line on standard output, and where to find help."""
    hint = "Use the help option (-h or --help) to get help on the command."
    return Row(name, tuple(command.split()), 1, lines(message, "", hint))


def refused(name: str, command: str, stdout: str = "", text: str = "", code: int = 1) -> Row:
    """An action that failed: what it printed so far, and the block with at least this text in it."""
    return Row(name, tuple(command.split()), code, stdout, block(rf".*{re.escape(text)}" if text else ""))


def helps(name: str, action: str, command: str) -> Row:
    """Help of one action, and of no other."""
    return Row(name, tuple(command.split()), 0, rf'\nAction "{action}" ((?!\nAction ).)*-h,--help((?!\nAction ).)*')


ACTIONS = ("run", "info", "list", "stop", "cancel", "savepoint", "checkpoint", "logs")
FULL_HELP = "".join(rf'.*\nAction "{action}" ' for action in ("run", "info", "list")) + ".*"
NO_ACTION = lines(
    '"{}" is not a valid action.',
    "",
    'Valid actions are "run", "list", "info", "savepoint", "stop", or "cancel".',
    "",
    "Specify the version option (-v or --version) to print Flink version.",
    "",
    "Specify the help option (-h or --help) to get help on the command.",
)
NO_JAR = "Could not get job jar and dependencies from JAR file: JAR file does not exist: "
NO_PROGRAM = (
    "No program was specified: give a Python script (flink run script.py, or -py script.py) or a module (-pym module)."
)
NOT_LOCAL = (
    'Detached mode (-d) is not possible with the target "local": its cluster lives as long as the client,'
    " so the job would end at once. Leave -d out, or submit to a running cluster with -m host:port."
)
NO_ID = {
    "stop": "Missing JobId",
    "cancel": "Missing JobID. Specify a JobID to cancel a job.",
    "savepoint": "Missing JobID. Specify a Job ID to trigger a savepoint.",
    "checkpoint": "Missing JobID. Specify a Job ID to manipulate a checkpoint.",
}


def no_action(word: str) -> str:
    """What an unknown action prints."""
    return NO_ACTION.replace(re.escape("{}"), re.escape(word))


def no_id(word: str) -> str:
    """What a malformed job id prints."""
    example = "fd72014d4c864993a2e5a9287b4a9c5d"
    return f'Cannot parse JobID from "{word}". The expected format is [0-9a-fA-F]{{32}}, e.g. {example}.'


VERSION = r"Version: \d[^\n ]*(, Commit ID: [0-9a-f]{7})?\n"
WAITING = lines("Waiting for response...")
CANCELLING = lines(f"Cancelling job {JOB}.")
NO_STOP = "Stopping with a savepoint is not supported yet"
NO_CANCEL = "Cancelling with a savepoint is not supported yet"
NO_SAVEPOINT = "The action savepoint is not supported yet"
NO_CHECKPOINT = "The action checkpoint is not supported yet"
DEPRECATED = 'DEPRECATION WARNING: Cancelling a job with savepoint is deprecated. Use "stop" instead.'
TRIGGERING = f"Triggering savepoint for job {JOB}."
IGNORING = "Provided more arguments than required. Ignoring not needed arguments."
CHECKPOINTING = lines(f"Triggering checkpoint for job {JOB}.")
OLD_MODE = "The option 'restoreMode' is deprecated. Please use 'claimMode' instead."
NOT_FROM = "Starting from a savepoint (-s) is not supported yet: this version has no savepoints. Leave -s out."


def suspending(verb: str, kind: str) -> str:
    """The first line of ``stop``."""
    return lines(f'{verb} job "{JOB}" with a {kind} savepoint.')


def stopping(verb: str, kind: str) -> str:
    """What ``stop`` prints before it asks."""
    return suspending(verb, kind) + lines(f"Triggering stop-with-savepoint for job {JOB}.") + WAITING


def cancelling(place: str, kind: str = "CANONICAL") -> str:
    """What ``cancel -s`` prints before it asks."""
    return lines(DEPRECATED, f"Cancelling job {JOB} with {kind} savepoint {place}.")


UNREACHABLE = "The cluster at localhost:1 cannot be reached: connection refused."

WITHOUT_CLUSTER = (
    Row("no action", (), 1, FULL_HELP + lines("Please specify an action.")),
    Row("help -h", ("-h",), 0, FULL_HELP),
    Row("help --help", ("--help",), 0, FULL_HELP),
    Row("version -v", ("-v",), 0, VERSION),
    Row("version --version", ("--version",), 0, VERSION),
    Row("unknown action", ("foo",), 1, no_action("foo")),
    Row("version only as the first word", ("foo", "--version"), 1, no_action("foo")),
    Row("help of an unknown action", ("foo", "--help"), 1, no_action("foo")),
    Row("empty action", ("",), 1, no_action("")),
    *(helps(f"{action} -h", action, f"{action} -h") for action in ACTIONS),
    *(helps(f"{action} --help", action, f"{action} --help") for action in ACTIONS),
    helps("run-application is run", "run", "run-application --help"),
    # Options end at the first word that is none, for actions with a program; elsewhere each must be known.
    wrong("run unknown option", "run --nonsense", NO_JAR + "--nonsense"),
    wrong("info unknown option", "info --nonsense", NO_JAR + "--nonsense"),
    *(wrong(f"{a} unknown option", f"{a} --x", "Unrecognized option: --x") for a in ACTIONS[2:]),
    wrong("run without a program", "run", NO_PROGRAM),
    wrong("run-application without a program", "run-application", NO_PROGRAM),
    wrong("info without a program", "info", NO_PROGRAM),
    wrong("run missing jar", "run missing.jar", NO_JAR + "missing.jar"),
    wrong("run -j missing jar", "run -j missing.jar", NO_JAR + "missing.jar"),
    wrong("run parallelism of words", "run -p many job.py", "The parallelism must be a positive number: many"),
    wrong("run parallelism of 0", "run -p 0 job.py", "The parallelism must be a positive number: 0"),
    wrong("info parallelism of words", "info -p many job.py", "The parallelism must be a positive number: many"),
    wrong("run -p without its value", "run -p", "Missing argument for option: p"),
    wrong("run -s without its value", "run -s", "Missing argument for option: s"),
    wrong("run -pym without files", "run -pym job", "Option -pym must be used in conjunction with `--pyFiles`."),
    wrong("run -py and -pym", "run -py job.py -pym job", "Cannot use options -py and -pym simultaneously."),
    wrong(
        "run unknown claim mode",
        "run -cm mine job.py",
        "'mine' is not a valid value of -cm: allowed are claim, no_claim, legacy.",
    ),
    wrong("run -t local -d", "run -t local -d job.py", NOT_LOCAL),
    wrong("run -d --target local", "run --detached --target local job.py", NOT_LOCAL),
    *(wrong(f"{action} without a job id", action, text) for action, text in NO_ID.items()),
    *(wrong(f"{action} malformed job id", f"{action} xyz", no_id("xyz")) for action in NO_ID),
    wrong("cancel a job id too long", f"cancel {JOB}0", no_id(f"{JOB}0")),
    # Flink knows no such ids; schedulers give them all the same.
    refused("cancel an application of YARN", "cancel application_1_1", text="HADOOP_CONF_DIR"),
    # A Python program that fails for any reason is 31, what an action on a cluster meets is 1.
    refused("run missing script", "run missing.py", text="missing.py", code=PROGRAM_FAILED),
    refused("run -py missing script", "run -py missing.py", text="missing.py", code=PROGRAM_FAILED),
    refused("run unknown target", "run -t mine job.py", text='"mine"', code=PROGRAM_FAILED),
    refused("run unreachable", f"run -m {NOBODY} job.py", text=UNREACHABLE, code=PROGRAM_FAILED),
    refused("run -D unreachable", "run -t remote -Drest.port=1 -D rest.address=localhost job.py", "", UNREACHABLE, 31),
    refused("info missing script", "info missing.py", text="missing.py"),
    refused("list unknown target", "list -t mine", text='"mine" is not a valid target.'),
    refused("list -D unknown target", "list -Dexecution.target=mine", text='"mine" is not a valid target.'),
    refused("list unreachable", f"list -m {NOBODY}", WAITING, UNREACHABLE),
    refused("list -v is ignored", f"list -v -m {NOBODY}", WAITING, UNREACHABLE),
    refused("cancel unreachable", f"cancel -m {NOBODY} {JOB}", CANCELLING, UNREACHABLE),
    refused("info of a program that raises", "info raises.py", text="ValueError: of mine"),
    refused("info of a program that exits", "info exits.py", "", "Python process exits with code: 3\n"),
    # What needs savepoints is refused where the cluster would be asked, after the lines that come before.
    refused("stop", f"stop {JOB}", stopping("Suspending", "CANONICAL"), NO_STOP),
    refused("stop -p -d", f"stop -p dir -d {JOB}", stopping("Draining", "CANONICAL"), NO_STOP),
    refused("stop -p without a directory", f"stop -p {JOB}", stopping("Suspending", "CANONICAL"), NO_STOP),
    refused("stop -type", f"stop -type native {JOB}", stopping("Suspending", "NATIVE"), NO_STOP),
    refused(
        "stop -detached",
        f"stop -detached {JOB}",
        lines(
            f'Suspending job "{JOB}" with a CANONICAL savepoint.',
            f"Triggering stop-with-savepoint in detached mode for job {JOB}.",
        ),
        NO_STOP,
    ),
    refused("stop unknown target", f"stop -t mine {JOB}", suspending("Suspending", "CANONICAL"), '"mine"'),
    wrong("stop -p malformed job id", "stop -p xyz", no_id("xyz")),
    wrong("stop -p alone", "stop -p", "Missing JobId"),
    refused("cancel -s", f"cancel -s {JOB}", cancelling("to default savepoint directory"), NO_CANCEL),
    refused("cancel -s dir", f"cancel -type native -s dir {JOB}", cancelling("to dir", "NATIVE"), NO_CANCEL),
    wrong("cancel -s alone", "cancel -s", f"{DEPRECATED}\nMissing JobId"),
    wrong("cancel -s malformed job id", "cancel -s dir xyz", f"{DEPRECATED}\n{no_id('xyz')}"),
    refused("savepoint", f"savepoint {JOB} dir", lines(TRIGGERING) + WAITING, NO_SAVEPOINT),
    refused("savepoint more words", f"savepoint {JOB} dir more", lines(IGNORING, TRIGGERING) + WAITING, NO_SAVEPOINT),
    refused(
        "savepoint -detached",
        f"savepoint -detached {JOB}",
        lines(f"Triggering savepoint in detached mode for job {JOB}."),
        NO_SAVEPOINT,
    ),
    refused("savepoint -d disposes", "savepoint -d dir", lines("Disposing savepoint 'dir'.") + WAITING, NO_SAVEPOINT),
    wrong("savepoint -d without its value", "savepoint -d", "Missing argument for option: d"),
    refused("savepoint unknown target", f"savepoint -t mine {JOB}", text='"mine"'),
    refused("checkpoint", f"checkpoint --full {JOB}", CHECKPOINTING + WAITING, NO_CHECKPOINT),
    wrong("run -rm and -s", "run -rm claim -s dir job.py", f"{OLD_MODE}\n{NOT_FROM}"),
    wrong("run -rm, -cm and -s", "run -rm claim -cm claim -s dir job.py", NOT_FROM),
    Row("run -n without -s", ("run", "-n", "nothing.py"), 0, "", "WARNING: [^\n]*didn't contain a Flink job[^\n]*\n"),
    Row(
        "info",
        ("info", "job.py"),
        0,
        lines("----------------------- Execution Plan -----------------------")
        + r'\{.*"nodes".*\}\n'
        + lines("-" * 62, "", "No description provided."),
    ),
)


@pytest.fixture
def working(flink: Flink) -> Flink:
    """The command, in a folder with the programs of the table."""
    write_programs(flink.working_directory)
    return flink


def write_programs(folder: Path) -> None:
    """Write them."""
    for name, text in PROGRAMS.items():
        (folder / name).write_text(text)


@pytest.mark.parametrize("row", WITHOUT_CLUSTER, ids=lambda row: row.name)
def test_without_a_cluster(working: Flink, row: Row) -> None:
    row.check(working(*row.arguments))


# -- on a standing cluster: the rows run in this order, on one cluster, and are compared one by one --

SUBMITTED = rf"Job has been submitted with JobID {ID}\n"


def finished(name: str = "id") -> str:
    """The lines of an attached job from start to end."""
    return (
        rf"Job has been submitted with JobID (?P<{name}>{ID})\n"
        + r"Program execution finished\n"
        + rf"Job with JobID (?P={name}) has finished\.\n"
        + r"Job Runtime: \d+ ms\n\n"
    )


NONE_RUNNING = lines("No running jobs.")
NONE_SCHEDULED = lines("No scheduled jobs.")
RUNNING_HEADER = "------------------ Running/Restarting Jobs -------------------"
TERMINATED_HEADER = "---------------------- Terminated Jobs -----------------------"
START = r"\d\d\.\d\d\.\d{4} \d\d:\d\d:\d\d"
FOOTER = lines("-" * 62)
RUNNING_BLOCK = rf"{lines(RUNNING_HEADER)}{START} : {ID} : it waits \(RUNNING\)\n{FOOTER}"
# {waits} and {finished} stand for the ids of these jobs.
ON_A_CLUSTER = (
    Row("list nothing", ("list",), 0, WAITING + NONE_RUNNING + NONE_SCHEDULED),
    Row("list -r nothing", ("list", "-r"), 0, WAITING + NONE_RUNNING),
    Row("list -s nothing", ("list", "--scheduled"), 0, WAITING + NONE_SCHEDULED),
    Row("list -a nothing", ("list", "-a"), 0, WAITING + NONE_RUNNING + NONE_SCHEDULED),
    refused("cancel unknown job", f"cancel {JOB}", CANCELLING, JOB),
    Row("arguments of the program", ("run", "words.py", "-p", "0", "--x"), 0, lines("['-p', '0', '--x']"), ".*"),
    refused("a program that raises", "run raises.py", text="ValueError: of mine", code=PROGRAM_FAILED),
    refused("a program that exits", "run exits.py", "", "Python process exits with code: 3\n", PROGRAM_FAILED),
    Row("a job", ("run", "job.py"), 0, finished()),
    Row("several jobs", ("run", "several.py"), 0, finished("first") + finished("second")),
    refused("a job that fails", "run fails.py", SUBMITTED, "ZeroDivisionError", PROGRAM_FAILED),
    Row("a job that fails later", ("run", "-d", "fails.py"), 0, SUBMITTED),
    Row("run -d", ("run", "-d", "waits.py"), 0, SUBMITTED),
    Row("list", ("list",), 0, WAITING + RUNNING_BLOCK + NONE_SCHEDULED),
    Row("list --running", ("list", "--running"), 0, WAITING + RUNNING_BLOCK),
    Row("cancel", ("cancel", "{waits}"), 0, r"Cancelling job {waits}\.\nCancelled job {waits}\.\n"),
    Row("cancel a cancelled job", ("cancel", "{waits}"), 0, r"Cancelling job {waits}\.\nCancelled job {waits}\.\n"),
    Row("cancel a finished job", ("cancel", "{finished}"), 1, r"Cancelling job {finished}\.\n", block(".*{finished}")),
    Row(
        "list -a",
        ("list", "-a"),
        0,
        WAITING
        + NONE_RUNNING
        + NONE_SCHEDULED
        + lines(TERMINATED_HEADER)
        + rf"({START} : {ID} : [^\n]+ \((FINISHED|FAILED)\)\n){{5}}"
        + rf"{START} : {{waits}} : it waits \(CANCELED\)\n{FOOTER}",
    ),
)


def with_ids(text: str, ids: dict[str, str]) -> str:
    """The text with the ids of the jobs so far."""
    for name, job_id in ids.items():
        text = text.replace(f"{{{name}}}", job_id)
    return text


@pytest.fixture(scope="module")
def outcomes(
    built_environment: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, tuple[Row, Completed]]]:
    """Each row with its ids, and how it ended; nothing runs any more."""
    folder = tmp_path_factory.mktemp("table")
    write_programs(folder)
    with tempfile.TemporaryDirectory(prefix="f", ignore_cleanup_errors=True) as root:
        flink = Flink(Path(root), folder)
        cluster = StandingCluster(flink)
        try:
            cluster.start()
            yield run_rows(cluster)
        finally:
            cluster.stop()
            flink.close()


def run_rows(cluster: StandingCluster) -> dict[str, tuple[Row, Completed]]:
    """Run the rows, and wait for what the next one needs."""
    address = json.loads((cluster.state / "jm" / "endpoint.json").read_text())["rest_address"]
    ids: dict[str, str] = {}
    result: dict[str, tuple[Row, Completed]] = {}
    for row in ON_A_CLUSTER:
        arguments = tuple(with_ids(word, ids) for word in row.arguments)
        done = cluster.flink(arguments[0], "-m", address, *arguments[1:], env=cluster.env)
        concrete = Row(row.name, arguments, row.code, with_ids(row.stdout, ids), with_ids(row.stderr, ids))
        result[row.name] = (concrete, done)
        found = re.findall(ID, done.stdout)
        if row.name == "a job":
            ids["finished"] = found[0]
        elif row.name == "a job that fails later":
            cluster.await_state(found[0], "FAILED")
        elif row.name == "run -d":
            ids["waits"] = found[0]
            wait_until("the job runs", lambda: cluster.job_state(ids["waits"]) == "RUNNING")
        elif row.name == "cancel":
            cluster.await_state(ids["waits"], "CANCELED")
    return result


@pytest.mark.parametrize("name", [row.name for row in ON_A_CLUSTER])
def test_on_a_cluster(outcomes: dict[str, tuple[Row, Completed]], name: str) -> None:
    row, done = outcomes[name]
    row.check(done)
