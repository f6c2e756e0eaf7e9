"""Fixtures of every test, and the check that no test leaves anything behind."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.hadoop.cluster import Hadoop, start_hadoop
from tests.hadoop.installation import Unavailable
from tests.leaks import Belongings, Watch
from tests.privileges import let_permissions_hold, permissions_hold

CHECKOUT = Path(__file__).resolve().parent.parent
CLUSTERS = ("e2e", "integration", "yarn")
BUILD_SECONDS = 300
HADOOP_SECONDS = 1800
OTHER_INSTALLATIONS = ("VIRTUAL_ENV", "PYTHONPATH", "XDG_STATE_HOME", "COLUMNS", "LINES")
WORDS = ("stream", "window", "Key", "state", "timer", "naïve", "Zürich", "the", "of", "and", "slot", "über")

# How fast an example is depends on what else the machine does; what takes too long is ended by the timeout of its test.
# In a CI run they are the same each time, so that it tells of what was changed; others are tried everywhere else.
settings.register_profile(
    "pyflow",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
    derandomize="CI" in os.environ,
)
settings.load_profile("pyflow")

_watch = pytest.StashKey[Watch]()


def pytest_configure(config: pytest.Config) -> None:
    """Watch from the very beginning: whatever starts later inherits the session's tag and temporary folder.

    A shell without job control lets what it starts in the background ignore Ctrl-C, which tests of ours send.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.stash[_watch] = Watch()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the session's temporary folder."""
    if (watch := config.stash.get(_watch, None)) is not None:
        watch.close()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Whatever starts a cluster takes seconds: it is in one of three folders, and no part of the fast tier.

    Campaigns take minutes: they run only when they are asked for (``-m campaign``).
    """
    for item in items:
        if any(item.path.is_relative_to(CHECKOUT / "tests" / folder) for folder in CLUSTERS):
            item.add_marker(pytest.mark.slow)
        if "hadoop" in getattr(item, "fixturenames", ()):
            # The first one of a session starts the cluster, and on a new machine fetches its jars.
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(HADOOP_SECONDS))
    if "campaign" not in config.getoption("markexpr"):
        campaigns = [item for item in items if item.get_closest_marker("campaign")]
        items[:] = [item for item in items if item not in campaigns]
        config.hook.pytest_deselected(items=campaigns)


@pytest.fixture(scope="session")
def watch(pytestconfig: pytest.Config) -> Watch:
    """What looks for leaks in this session."""
    return pytestconfig.stash[_watch]


@pytest.fixture(scope="session", autouse=True)
def nothing_left_by_the_session(watch: Watch) -> Iterator[None]:
    """At the very end nothing is left, by fixtures of any scope either."""
    before = watch.look()
    yield
    _complain("The test session", watch, before)


@pytest.fixture(autouse=True)
def nothing_left(watch: Watch, nothing_left_by_the_session: None) -> Iterator[None]:
    """After each test no process, listening socket, shared memory or temporary folder of ours is left."""
    before = watch.look()
    yield
    _complain("The test", watch, before)


def _complain(who: str, watch: Watch, before: Belongings) -> None:
    if left := watch.left_since(before):
        watch.end_processes_since(before)
        pytest.fail(f"{who} left behind:\n  " + "\n  ".join(left), pytrace=False)


@pytest.fixture(scope="session")
def hadoop_of_the_session() -> Iterator[Hadoop]:
    """One cluster for all tests of a session, started by the first that wants it."""
    with tempfile.TemporaryDirectory(prefix="h") as folder:
        try:
            cluster = start_hadoop(Path(folder) / "hadoop")
        except Unavailable as missing:
            pytest.fail(str(missing), pytrace=False)
        try:
            yield cluster
        finally:
            cluster.close()


@pytest.fixture
def hadoop(hadoop_of_the_session: Hadoop) -> Iterator[Hadoop]:
    """A real Hadoop; a test that leaves an application running fails, daemons it killed are started again."""
    yield hadoop_of_the_session
    if left := hadoop_of_the_session.recover():
        pytest.fail(f"The test left applications running on YARN: {', '.join(left)}", pytrace=False)


@pytest.fixture
def hdfs_folder(hadoop: Hadoop) -> Iterator[str]:
    """The path of a folder on HDFS of the test's own."""
    with hadoop.new_folder() as path:
        yield path


@pytest.fixture
def read_only_hdfs(hadoop: Hadoop) -> Iterator[None]:
    """HDFS in safe mode."""
    hadoop.run("hdfs", "dfsadmin", "-safemode", "enter")
    try:
        yield
    finally:
        hadoop.run("hdfs", "dfsadmin", "-safemode", "leave")


@pytest.fixture
def file_permissions() -> Iterator[None]:
    """Permissions of files hold in this test, for the superuser too."""
    with permissions_hold():
        yield


@dataclass(frozen=True)
class Completed:
    """How a run of ``bin/flink`` ended."""

    returncode: int
    stdout: str
    stderr: str

    def lines(self) -> list[str]:
        """The lines of the standard output."""
        return self.stdout.splitlines()


class Flink:
    """Runs ``bin/flink`` as a user would: with a home, a cache and a temporary folder of its own."""

    def __init__(self, root: Path, working_directory: Path) -> None:
        self.root = root
        self.working_directory = working_directory
        self.temporary = root / "t"
        self.home = root / "h"
        self.command: tuple[str | Path, ...] = (CHECKOUT / "bin" / "flink",)
        self._started: list[subprocess.Popen[str]] = []
        for folder in (self.temporary, self.home):
            folder.mkdir()

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment of the command: the caller's, without what would lead it to other installations."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("FLINK_") and name not in OTHER_INSTALLATIONS
        }
        private = {"HOME": str(self.home), "XDG_CONFIG_HOME": str(self.home / "c"), "TMPDIR": str(self.temporary)}
        return {**kept, **private, **(extra or {})}

    def start(
        self,
        *arguments: str | Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: int = subprocess.DEVNULL,
    ) -> subprocess.Popen[str]:
        """Start the command in a process group of its own; the fixture ends it if the test does not."""
        process = subprocess.Popen(
            [*self.command, *arguments],
            cwd=cwd or self.working_directory,
            env=self.environment(env),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=let_permissions_hold,
        )
        self._started.append(process)
        return process

    def __call__(
        self,
        *arguments: str | Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        timeout: float = 60,
    ) -> Completed:
        """Run the command to its end; a test whose command does not end in time fails with what it printed."""
        process = self.start(*arguments, env=env, cwd=cwd)
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self._end(process)
            stdout, stderr = process.communicate()
            pytest.fail(f"bin/flink {arguments} took more than {timeout} s.\nstdout: {stdout}\nstderr: {stderr}")
        return Completed(process.returncode, stdout, stderr)

    def close(self) -> None:
        """End what is still running."""
        for process in self._started:
            if process.poll() is None:
                self._end(process)
            process.communicate()

    @staticmethod
    def _end(process: subprocess.Popen[str]) -> None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def built_environment() -> None:
    """The checkout's virtual environment, built here if no start of ``bin/flink`` has built it."""
    command = [str(CHECKOUT / "bin" / "flink"), "--version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
    if done.returncode:
        pytest.fail(f"bin/flink --version does not run: {done.stderr}")


@pytest.fixture
def flink(built_environment: None, tmp_path: Path) -> Iterator[Flink]:
    """``flink("run", "job.py")`` runs ``bin/flink`` and fails the test if it leaves a temporary file."""
    # Not below tmp_path: a Unix socket's path has 108 characters.
    with tempfile.TemporaryDirectory(prefix="f", ignore_cleanup_errors=True) as root:
        command = Flink(Path(root), tmp_path)
        try:
            yield command
        finally:
            command.close()
        if left := sorted(path.name for path in command.temporary.iterdir()):
            pytest.fail(f"bin/flink left in its temporary folder: {', '.join(left)}", pytrace=False)


@dataclass(frozen=True)
class WordFile:
    """A text and how often each of its words occurs."""

    path: Path
    counts: Counter[str]


@pytest.fixture
def word_file(tmp_path: Path) -> Callable[..., WordFile]:
    """``word_file(lines=1000, seed=1)`` writes a text of words, some not ASCII, with blank lines between."""

    def write(lines: int = 1000, seed: int = 1, name: str = "words.txt") -> WordFile:
        chance = random.Random(seed)
        counts: Counter[str] = Counter()
        path = tmp_path / name
        with path.open("w", encoding="utf-8") as file:
            for _ in range(lines):
                words = chance.choices(WORDS, k=chance.randrange(12))
                counts.update(words)
                file.write(" ".join(words) + "\n")
        return WordFile(path, counts)

    return write
