"""A Hadoop that wants tickets: MIT's key distribution centre, HDFS with encrypted data, YARN, and Kerberos for HTTP."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT, Flink, WordFile
from tests.hadoop.cluster import KERBEROS_DAEMONS, Hadoop, start_hadoop
from tests.hadoop.installation import Unavailable

# Runs in containers, where nobody has a ticket: YARN has given them the tokens that the driver got for alice.
COPY = """
import os
from pyflow_yarn.filesystem import file_system
source, target = os.environ["SOURCE"], os.environ["TARGET"]
files = file_system(source)
with files.open(source) as old, files.create(target + ".part") as new:
    new.write(old.read())
files.rename(target + ".part", target)
"""
CLIENT = """
import os, shlex, sys
from dataclasses import replace
from pathlib import Path
from pyflow_yarn.cli.main import main
from pyflow_yarn.filesystem import file_system
from pyflow_yarn.yarn import ProcessSpec, wait_until_ended
from pyflow_yarn.yarn.hadoop_configuration import HadoopConfiguration
from pyflow_yarn.yarn.kerberos import logged_in
from pyflow_yarn.yarn.skein_adapter import SkeinYarn
from tests.yarn.conformance import SECONDS, Events, application, wait_for

folder, copy = sys.argv[1:]
assert logged_in() == "alice@PYFLOW.TEST"
place = "hdfs:///user/alice/copies"
files = file_system(place)
files.make_directories(place)
content = os.urandom(3_000_000)
with files.create(f"{place}/a") as file:
    file.write(content)

def copying(source, target):
    command = f"export KRB5CCNAME=FILE:/nowhere; {sys.executable} -c {shlex.quote(copy)} || exit 1; exec sleep 900"
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = {"SOURCE": f"{place}/{source}", "TARGET": f"{place}/{target}", "PYTHONPATH": paths}
    return ProcessSpec(command, memory_mb=384, environment=environment)

yarn = SkeinYarn(Path(folder), HadoopConfiguration.of_environment(os.environ), "alice")
try:
    key = yarn.submit(replace(application(queue="default"), master=copying("a", "b"), worker=copying("b", "c")))
    wait_for(lambda: yarn.report(key).ended or files.status(f"{place}/b"))
    report = yarn.report(key)
    assert (report.state, report.user) == ("RUNNING", "alice"), report
    containers, events = yarn.containers(key), Events()
    containers.start(events)
    containers.request("worker", {})
    wait_for(lambda: events.ended or files.status(f"{place}/c"))
    assert not events.ended, events.ended
    containers.close()
    assert main(["logs", key]) == 0
    # By YARN's web services: they have had a ticket, and so know whose application it may be.
    yarn.kill(key)
    assert wait_until_ended(yarn, key, SECONDS).state == "KILLED"
finally:
    yarn.close()
with files.open(f"{place}/c") as file:
    assert file.read() == content
print(key)
"""
REFUSED = """
import os, sys
from pyflow_yarn.filesystem import file_system
from pyflow_yarn.yarn.hadoop_configuration import HadoopConfiguration
from pyflow_yarn.yarn.kerberos import log_in
from pyflow_yarn.yarn.resource_manager import ResourceManager
manager = ResourceManager(HadoopConfiguration.of_environment(os.environ).web_addresses(), "alice")
for try_it in (manager.check, lambda: file_system("hdfs:///").list("hdfs:///"), lambda: log_in("bob", sys.argv[1])):
    try:
        try_it()
    except Exception as refusal:
        print(type(refusal).__name__, refusal)
"""


# A new machine fetches Hadoop's jars and installs Kerberos.
pytestmark = pytest.mark.timeout(1800)

COUNT = CHECKOUT / "examples" / "word_count.py"
NOBODY = {"KRB5_CONFIG": "/nowhere", "KRB5_CLIENT_KTNAME": "/nowhere", "KRB5CCNAME": "FILE:/nowhere"}


@pytest.fixture(scope="module")
def secured() -> Iterator[Hadoop]:
    """A cluster that wants tickets; this process is the superuser of its HDFS."""
    with tempfile.TemporaryDirectory(prefix="h") as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name) / "hadoop"
        patch.setenv("KRB5_CONFIG", str(folder / "krb5.conf"))
        patch.setenv("KRB5_CLIENT_KTNAME", str(folder / "keytabs" / "services.keytab"))
        patch.setenv("KRB5CCNAME", f"FILE:{folder}/tickets")
        try:
            hadoop = start_hadoop(folder, KERBEROS_DAEMONS)
        except Unavailable as missing:
            pytest.fail(str(missing), pytrace=False)
        try:
            hadoop.webhdfs("PUT", "/user/alice", "MKDIRS")
            hadoop.webhdfs("PUT", "/user/alice", "SETOWNER", owner="alice")
            yield hadoop
        finally:
            hadoop.close()


def _run(hadoop: Hadoop, program: str, *arguments: str, **variables: str) -> str:
    environment = {
        **hadoop.env,
        **NOBODY,
        "KRB5_CONFIG": str(hadoop.folder / "krb5.conf"),
        **variables,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_application_of_a_user_with_tickets(secured: Hadoop, tmp_path: Path) -> None:
    """Submitted, watched and killed; client and containers read and write HDFS; NodeManagers show the logs."""
    cache, keytab = tmp_path / "tickets", secured.folder / "keytabs" / "alice.keytab"
    subprocess.run(["kinit", "-c", cache, "-k", "-t", keytab, "alice"], check=True)
    *logs, key = _run(secured, CLIENT, str(tmp_path), COPY, KRB5CCNAME=f"FILE:{cache}").splitlines()
    secured.assert_nothing_left(key)
    assert "LogType:application.master.log" in logs


def test_a_program_runs_for_a_user_with_a_keytab(
    secured: Hadoop, flink: Flink, word_file: Callable[..., WordFile]
) -> None:
    """From HDFS to HDFS, with nothing of Kerberos but the options."""
    words = word_file(lines=1000)
    secured.put("/user/alice/words", words.path.read_bytes())
    login = (
        f"-Dsecurity.kerberos.krb5-conf.path={secured.folder}/krb5.conf",
        f"-Dsecurity.kerberos.login.keytab={secured.folder}/keytabs/alice.keytab",
        "-Dsecurity.kerberos.login.principal=alice@PYFLOW.TEST",
    )
    files = ("--input", "hdfs:///user/alice/words", "--output", "hdfs:///user/alice/counts")
    command = ("run", "-t", "yarn-application", *login, "-Dyarn.application.priority=7", COUNT, *files)
    staged = secured.names("/user/alice")
    refused = flink(*command, env={**secured.exports, **NOBODY, "JAVA_HOME": "/nowhere"})
    assert refused.returncode == 1
    assert "The command /nowhere/bin/java is not found: set JAVA_HOME or put java on PATH." in refused.stderr
    assert secured.names("/user/alice") == staged
    done = flink(*command, env={**secured.exports, **NOBODY}, timeout=180)
    assert (done.returncode, done.stderr) == (0, ""), done
    assert done.stdout.count("yarn.application.priority has no effect where skein's driver submits") == 1
    parts = [secured.get(f"/user/alice/counts/{name}").decode() for name in secured.names("/user/alice/counts")]
    assert dict(line.split(" ") for part in parts for line in part.splitlines()) == {
        word: str(count) for word, count in words.counts.items()
    }


def test_who_has_no_ticket_is_told_so(secured: Hadoop, flink: Flink) -> None:
    """One sentence each, of YARN, of HDFS, for a keytab of somebody else, and by the command line."""
    yarn, hdfs, keytab = _run(secured, REFUSED, str(secured.folder / "keytabs" / "alice.keytab")).splitlines()
    assert yarn.startswith("ConfigurationError HTTP@127.0.0.1 wants Kerberos: No Kerberos credentials available")
    assert hdfs.startswith("PermissionError [Errno 13] HDFS wants Kerberos: No credentials were supplied")
    assert keytab.startswith("ConfigurationError The keytab ")
    assert "Can't find client principal bob@PYFLOW.TEST" in keytab
    done = flink("run", "-t", "yarn-application", COUNT, env={**secured.exports, **NOBODY})
    assert done.returncode == 1
    assert "There is no Kerberos ticket: " in done.stdout + done.stderr
    assert "run kinit, or set security.kerberos.login.keytab" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
