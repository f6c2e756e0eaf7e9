"""What schedulers and scripts that drive Flink on YARN write, search for and ask, with their own patterns."""

from __future__ import annotations

import getpass
import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from tests.conftest import Completed, Flink
from tests.hadoop.cluster import ENDED, Hadoop, wait_until

ENVIRONMENT = (
    "import time\n"
    "from pyflow_yarn.datastream import StreamExecutionEnvironment\n"
    "env = StreamExecutionEnvironment.get_execution_environment()\n"
)
WAITS = (
    f"{ENVIRONMENT}"
    "env.from_collection(range(10**6)).map(lambda v: time.sleep(0.1) or v).filter(lambda v: False).print()\n"
    "env.execute('it waits')\n"
)
ENDS = f"{ENVIRONMENT}env.from_collection([1]).filter(lambda v: False).print()\nenv.execute('it ends')\n"

# DolphinScheduler: the first match in a line of the log; all that are found are killed with the task.
DOLPHIN_APPLICATION = re.compile(r"(application_\d+_\d+)")
DOLPHIN_JOB = re.compile(r"(JobID \w+)")
# AIFlow, and the launchers of Oozie.
AIFLOW_APPLICATION = re.compile(r"(application[0-9_]+)")
AIFLOW_JOB = re.compile(r"^Job has been submitted with JobID ([a-z0-9]+)")
OOZIE = re.compile(r"Submitted application (application[0-9_]*)")
# JobNavi of BK-BASE, line by line.
JOBNAVI = re.compile(r"^Job has been submitted with JobID (\S+)$")
LOG_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (?:INFO|WARN|ERROR) +\S+ +\[\] - ")
DEPLOYMENT = (
    r"Cluster specification: ClusterSpecification\{masterMemoryMB=512, taskManagerMemoryMB=640,"
    r" slotsPerTaskManager=2\}",
    r"Submitting application master application_\d+_\d+",
    r"Submitted application application_\d+_\d+",
    r"Waiting for the cluster to be allocated",
    r"Deploying cluster, current state ACCEPTED",
    r"YARN application has been deployed successfully\.",
    r"Found Web Interface \S+:\d+ of application 'application_\d+_\d+'\.",
)
OVERVIEW = {
    "taskmanagers",
    "slots-total",
    "slots-available",
    "jobs-running",
    "jobs-finished",
    "jobs-cancelled",
    "jobs-failed",
    "flink-version",
}
JOB = {"jid", "name", "state", "start-time", "end-time", "duration", "last-modification", "tasks"}
TASKS = {
    "total",
    "created",
    "scheduled",
    "deploying",
    "running",
    "finished",
    "canceling",
    "canceled",
    "failed",
    "reconciling",
}
ROW = re.compile(r"^\d\d\.\d\d\.\d{4} \d\d:\d\d:\d\d : ([0-9a-f]{32}) : it waits \(RUNNING\)$")


def _found(pattern: re.Pattern[str], lines: Iterable[str]) -> list[str]:
    """What a pattern finds first in each line."""
    return [match[1] for match in map(pattern.search, lines) if match]


def _application(done: Completed) -> str:
    """The application that each of them finds; no other id is in the output, which they would kill."""
    assert "\x1b" not in done.stdout + done.stderr and "\r" not in done.stdout + done.stderr
    lines = (done.stdout + done.stderr).splitlines()
    (found,) = set(_found(DOLPHIN_APPLICATION, lines))
    assert set(_found(AIFLOW_APPLICATION, lines)) == {found}
    assert _found(OOZIE, lines) == [found]
    return found


def _ask(url: str) -> Any:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=30) as response:
        return json.load(response)


def _statuses(hadoop: Hadoop, folder: str) -> list[dict[str, Any]]:
    answer = json.loads(hadoop.webhdfs("GET", folder, "LISTSTATUS"))
    return list(answer["FileStatuses"]["FileStatus"])


def _answers(url: str) -> bool:
    try:
        _ask(url)
    except urllib.error.HTTPError:
        return False
    return True


def test_an_application_of_a_scheduler(flink: Flink, hadoop: Hadoop, tmp_path: Path) -> None:
    program = tmp_path / "waits.py"
    program.write_text(WAITS)
    # As DolphinScheduler composes it, and detached.
    sizes = ("-ys", "2", "-ynm", "the_name", "-yjm", "512m", "-ytm", "640m", "-p", "1", "-sae")
    keys = ("-Dyarn.application.queue=etl", "-Dyarn.file-replication=2", "-Dyarn.view.acls=* staff")
    options = ("-t", "yarn-application", *sizes, *keys, "-d", "-py", program)
    started = flink("run-application", *options, env=hadoop.exports, timeout=180)
    assert started.returncode == 0, started
    application = _application(started)
    assert not DOLPHIN_JOB.search(started.stdout)
    texts = [LOG_LINE.sub("", line) for line in started.stdout.splitlines() if LOG_LINE.match(line)]
    assert len(texts) == len(started.stdout.splitlines()), started.stdout
    assert [text for text in texts if any(re.fullmatch(pattern, text) for pattern in DEPLOYMENT)] == texts
    assert len(texts) == len(DEPLOYMENT)

    cache = f"/user/{getpass.getuser()}/.flink/cache"
    staged = [status for key in hadoop.names(cache) for status in _statuses(hadoop, f"{cache}/{key}")]
    assert {status["permission"] for status in staged} == {"600"}
    assert 2 in {status["replication"] for status in staged}

    running = _ask(f"{hadoop.rm_address}/ws/v1/cluster/apps?applicationTypes=Apache%20Flink&states=RUNNING")
    (report,) = running["apps"]["app"]
    assert (report["id"], report["name"], report["queue"]) == (application, "the_name", "root.etl")
    assert (report["state"], report["finalStatus"], report["allocatedMB"] >= 512) == ("RUNNING", "UNDEFINED", True)
    # Pages come one after the other.
    proxy = f"{hadoop.rm_address}/proxy/{application}"
    for page in ("overview", "jobs/overview"):
        wait_until(f"{page} is there", partial(_answers, f"{proxy}/{page}"), 60)
    wait_until(
        "the job runs", lambda: "RUNNING" in [job["state"] for job in _ask(f"{proxy}/jobs/overview")["jobs"]], 60
    )
    assert _ask(f"{proxy}/overview").keys() >= OVERVIEW
    (job,) = _ask(f"{report['trackingUrl']}jobs/overview")["jobs"]
    assert job.keys() >= JOB and job["tasks"].keys() >= TASKS
    assert (job["name"], job["state"]) == ("it waits", "RUNNING")

    here = ("-t", "yarn-application", f"-Dyarn.application.id={application}")
    listed = flink("list", *here, env=hadoop.exports)
    assert (listed.returncode, _found(ROW, listed.stdout.splitlines())) == (0, [job["jid"]]), listed
    saved = flink("savepoint", application, env=hadoop.exports)
    assert f"Triggering savepoint for job {job['jid']}." in saved.stdout.splitlines()
    cancelled = flink("cancel", application, env=hadoop.exports)
    assert cancelled.returncode == 0, cancelled
    assert cancelled.stdout.splitlines()[-2:] == [f"Cancelling job {job['jid']}.", f"Cancelled job {job['jid']}."]
    wait_until(f"{application} ends", lambda: hadoop.application(application)["state"] in ENDED, 60)
    assert hadoop.application(application)["finalStatus"] == "KILLED"
    hadoop.assert_nothing_left(application)
    gone = flink("cancel", f"{application},{application}", env=hadoop.exports)
    assert gone.returncode == 1
    assert (
        gone.stderr.count(f"Couldn't retrieve Yarn cluster: The Yarn application {application} doesn't run anymore.\n")
        == 2
    )


def test_a_job_with_a_cluster_of_its_own(flink: Flink, hadoop: Hadoop, tmp_path: Path) -> None:
    program = tmp_path / "ends.py"
    program.write_text(ENDS)
    options = ("-m", "yarn-cluster", "-ynm", "n", "-yqu", "etl", "-t", "yarn-per-job")
    done = flink("run", *options, program, env=hadoop.exports, timeout=180)
    assert done.returncode == 0, done
    application = _application(done)
    lines = done.stdout.splitlines()
    (job,) = _found(JOBNAVI, lines)
    assert _found(AIFLOW_JOB, lines) == [job]
    assert set(_found(DOLPHIN_JOB, lines)) == {f"JobID {job}"}
    end = lines.index("Program execution finished")
    assert lines[end + 1] == f"Job with JobID {job} has finished."
    assert re.fullmatch(r"Job Runtime: \d+ ms", lines[end + 2])
    wait_until(f"{application} ends", lambda: hadoop.application(application)["state"] in ENDED, 60)
    report = hadoop.application(application)
    assert (report["finalStatus"], report["name"], report["queue"]) == ("SUCCEEDED", "n", "root.etl")
