"""Flink and ours on one YARN, in turns: ``python benchmarks/yarn.py [--runs 5] [--systems SYSTEM ...]``.

The YARN is that of the tests and lives as long as the run. The job writes records to a file of this machine, where the
containers run too, and with each its time. One JSON line for each scenario and system; then the tables of
``README.md`` are written, unless ``--no-readme`` is given.
"""

from __future__ import annotations

import argparse
import datetime
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

# The cluster is that of the tests.
sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

from measure import Run, become_subreaper, run
from peers.environments import PeerUnavailableError, java_home
from peers.flink_on_yarn import PACKAGE, compile_job, flink_home
from peers.report import replace_between_markers
from run import emit
from tests.hadoop.cluster import Hadoop, start_hadoop
from tests.hadoop.installation import Unavailable
from yarn_report import (
    APPLICATION,
    COLD,
    FIRST,
    FLINK,
    GOALS,
    OURS,
    PROVIDED,
    SESSION,
    WARM,
    Sample,
    cells,
    figures,
    first_of,
    render,
    since,
    specified_at,
)
from yarn_watch import Watch, files_stored, wait_until_quiet

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent
README = HERE / "README.md"
BEGIN = "<!-- on YARN: written by benchmarks/yarn.py -->"
RECORDS = 100
WARM_JOBS = 2
CLIENT_SECONDS = 300.0
QUIET_SECONDS = 120.0
LIBRARIES = "/flink"


@dataclass(frozen=True)
class System:
    """What differs between the commands of the systems."""

    name: str
    scripts: Path
    program: tuple[str, ...]
    environment: Mapping[str, str]
    options: tuple[str, ...] = ()
    sessions: bool = True

    def application(self, output: Path) -> list[str]:
        """Submits the job as an application, and leaves when it runs."""
        return self._run("yarn-application", "-d", output=output)

    def session(self) -> list[str]:
        """Starts a session."""
        return [str(self.scripts / "yarn-session.sh"), "-d", *self.options]

    def job(self, session: str, output: Path) -> list[str]:
        """Runs the job in a session and waits for its end."""
        return self._run("yarn-session", f"-Dyarn.application.id={session}", output=output)

    def _run(self, target: str, *options: str, output: Path) -> list[str]:
        flink = [str(self.scripts / "flink"), "run", "-t", target, *options, *self.options]
        return [*flink, *self.program, str(RECORDS), str(output)]


@dataclass(frozen=True)
class Observed:
    """A client that has ended, what was seen of its application, bytes of new files on HDFS, and the load before."""

    client: Run
    watch: Watch
    uploaded: int
    load: list[float]
    command: str


class Measurement:
    """Takes samples on a cluster; the jobs write to files in ``folder``."""

    def __init__(self, hadoop: Hadoop, folder: Path) -> None:
        self.samples: list[Sample] = []
        self._hadoop = hadoop
        self._folder = folder

    def application(self, system: System, round_number: int) -> None:
        """From a submission to the end of the application."""
        output = self._new_output()
        seen = self._observe(system, system.application(output))
        try:
            report = wait_until_quiet(self._hadoop, seen.watch.application, QUIET_SECONDS)
        finally:
            seen.watch.close()
        if report["finalStatus"] != "SUCCEEDED":
            raise SystemExit(f"{report['id']} has ended as {report['finalStatus']}:\n{seen.client.output}")
        times = self._times_of_the_application(seen) | {"finished": report["finishedTime"] / 1e3}
        self._add(APPLICATION if round_number else FIRST, system, round_number, seen, times, output)

    def session(self, system: System, round_number: int) -> None:
        """From the start of a session to its end, with jobs in it."""
        seen = self._observe(system, system.session())
        session = seen.watch.application
        try:
            seen.watch.close()
            self._add(SESSION, system, round_number, seen, self._times_of_the_application(seen), None)
            for scenario in (COLD, *[WARM] * WARM_JOBS):
                output = self._new_output()
                job = self._observe(system, system.job(session, output), session)
                job.watch.close()
                began = [one.began for one in job.watch.containers_since(job.client.began)]
                self._add(scenario, system, round_number, job, {"worker_began": min(began, default=0.0)}, output)
        finally:
            self._hadoop.kill_application(session)
            wait_until_quiet(self._hadoop, session, QUIET_SECONDS)

    def _observe(self, system: System, command: list[str], session: str = "") -> Observed:
        """Run a client to its end; the watch goes on."""
        load = [round(average, 2) for average in os.getloadavg()]
        before = files_stored(self._hadoop)
        watch = Watch(self._hadoop, session)
        try:
            client = run(command, timeout=CLIENT_SECONDS, environment=system.environment)
            if not watch.application:
                raise SystemExit(f"{shlex.join(command)} has submitted no application:\n{client.output}")
            new = {path: size for path, size in files_stored(self._hadoop).items() if path not in before}
        except BaseException:
            watch.close()
            raise
        return Observed(client, watch, sum(new.values()), load, self._shown(system, command))

    def _times_of_the_application(self, seen: Observed) -> dict[str, float]:
        watch, client = seen.watch, seen.client
        submitted = self._hadoop.application(watch.application)["startedTime"] / 1e3
        times = {"specified": specified_at(client.lines), "submitted": submitted, "running": watch.running}
        containers = watch.containers_since(client.began)
        for name, container in zip(("master_began", "worker_began"), containers, strict=False):
            times[name] = container.began
        return times | {"python_began": containers[0].python_began if containers else 0.0}

    def _add(
        self,
        scenario: str,
        system: System,
        round_number: int,
        seen: Observed,
        times: Mapping[str, float],
        output: Path | None,
    ) -> None:
        client, watch = seen.client, seen.watch
        reached = {"job_running": watch.job_running, "client_exit": client.began + client.wall, **times}
        if output:
            try:
                reached["first_record"] = first_of(output.read_text(), RECORDS)
            except (OSError, ValueError) as error:
                raise SystemExit(f"wrong output of {seen.command}: {error}\n{client.output}") from None
        containers = [
            {"cpu_s": container.cpu, "pss_mb": container.memory / 1e6}
            for container in watch.containers_since(client.began)
        ]
        milestones = since(client.began, reached)
        self.samples.append(
            Sample(
                scenario,
                system.name,
                round_number,
                milestones,
                client.cpu,
                seen.uploaded,
                containers,
                seen.command,
                seen.load,
            )
        )
        told = ", ".join(f"{name} {seconds:.2f}" for name, seconds in milestones.items())
        costs = f"CPU {client.cpu:.2f} s, {seen.uploaded} bytes"
        print(f"[{round_number}] {scenario}, {system.name}: {told}, {costs}", file=sys.stderr, flush=True)

    def _new_output(self) -> Path:
        return self._folder / f"records-{len(self.samples)}"

    def _shown(self, system: System, command: list[str]) -> str:
        places = {f"{system.scripts}/": "bin/", f"{CHECKOUT}/": "", f"{self._folder}/": ""}
        text = shlex.join(command)
        for place, name in places.items():
            text = text.replace(place, name)
        return re.sub(r"records-\d+", "FILE", re.sub(r"application_\d+_\d+", "ID", text))


def ours(hadoop: Hadoop, folder: Path) -> System:
    """This checkout, with its defaults."""
    program = str(HERE / "programs" / "sequence_to_file.py")
    environment = _environment(hadoop, CHECKOUT / "conf", folder / "ours")
    return System(OURS, CHECKOUT / "bin", (program,), environment)


def flink(hadoop: Hadoop, folder: Path) -> System:
    """Flink as it is distributed, with its defaults."""
    home = flink_home()
    variables = {"HADOOP_CLASSPATH": hadoop.run("hadoop", "classpath").strip(), "JAVA_HOME": java_home()}
    environment = _environment(hadoop, home / "conf", folder / "flink")
    return System(FLINK, home / "bin", (str(compile_job(home, folder)),), {**environment, **variables})


def flink_with_provided_libraries(hadoop: Hadoop, folder: Path) -> System:
    """Flink whose libraries are on HDFS already; its other clients are the same, so it has no sessions of its own."""
    home = flink_home()
    hadoop.run("hdfs", "dfs", "-mkdir", LIBRARIES)
    hadoop.run("hdfs", "dfs", "-put", str(home / "lib"), str(home / "plugins"), LIBRARIES)
    places = ";".join(f"{hadoop.default_fs}{LIBRARIES}/{name}" for name in ("lib", "plugins"))
    options = (f"-Dyarn.provided.lib.dirs={places}",)
    return replace(flink(hadoop, folder / "provided"), name=PROVIDED, options=options, sessions=False)


SYSTEMS = {"flink": flink, "flink-provided": flink_with_provided_libraries, "pyflow-yarn": ours}


def _environment(hadoop: Hadoop, configuration: Path, folder: Path) -> dict[str, str]:
    """The cluster's variables, and the shipped configuration with a place for sessions that nobody else looks at."""
    shutil.copytree(configuration, folder / "conf")
    (folder / "log").mkdir()
    with (folder / "conf" / "config.yaml").open("a") as file:
        file.write(f"\nyarn.properties-file.location: {folder}\n")
    return {**hadoop.env, "FLINK_CONF_DIR": str(folder / "conf"), "FLINK_LOG_DIR": str(folder / "log")}


def measure(hadoop: Hadoop, folder: Path, systems: list[System], runs: int) -> list[Sample]:
    """All rounds; in the one before the first, applications are submitted to a cluster that knows no files yet."""
    measurement = Measurement(hadoop, folder)
    for round_number in range(runs + 1):
        for system in systems:
            measurement.application(system, round_number)
        for system in systems if round_number else []:
            if system.sessions:
                measurement.session(system, round_number)
    return measurement.samples


def main() -> None:
    """Measure, print, and write the tables."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, default=5)
    arguments.add_argument("--systems", nargs="*", choices=SYSTEMS, default=list(SYSTEMS), metavar="SYSTEM")
    arguments.add_argument("--no-readme", action="store_true", help="print only")
    options = arguments.parse_args()
    settings = {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": shlex.join(["python", "benchmarks/yarn.py", *sys.argv[1:]]),
        "versions": versions(),
        "cores": os.cpu_count(),
    }
    become_subreaper()
    with tempfile.TemporaryDirectory(prefix="h") as folder:
        try:
            hadoop = start_hadoop(Path(folder) / "hadoop")
        except Unavailable as missing:
            raise SystemExit(str(missing)) from None
        try:
            files = hadoop.folder / "benchmark"
            files.mkdir()
            systems = [SYSTEMS[name](hadoop, files) for name in options.systems]
            samples = measure(hadoop, files, systems, options.runs)
        except PeerUnavailableError as error:
            raise SystemExit(str(error)) from None
        finally:
            hadoop.close()
    for cell in cells(samples):
        emit(benchmark="yarn", **figures(cell))
    for goal in GOALS:
        print(goal.verdict(samples), file=sys.stderr)
    if not options.no_readme:
        README.write_text(replace_between_markers(README.read_text(), render(samples, settings), BEGIN))


def versions() -> str:
    """What takes part."""
    commit = subprocess.run(["git", "-C", str(CHECKOUT), "describe", "--always"], capture_output=True, check=False)
    return f"{OURS} {commit.stdout.decode().strip() or 'without git'}, {PACKAGE}"


if __name__ == "__main__":
    main()
