"""What a client says on stdout about a deployment: lines in the form, and under the names, of Flink's own log."""

from __future__ import annotations

import sys
import time

DESCRIPTOR = "org.apache.flink.yarn.YarnClusterDescriptor"
SESSION_CLI = "org.apache.flink.yarn.cli.FlinkYarnSessionCli"
YARN_CLIENT = "org.apache.hadoop.yarn.client.api.impl.YarnClientImpl"


_HOW_TO_STOP = """\
The Flink YARN session cluster has been started in detached mode. In order to stop Flink gracefully, use the following \
command:
$ echo "stop" | ./bin/yarn-session.sh -id {0}
If this should not be possible, then you can also kill Flink via YARN's web interface or via:
$ yarn application -kill {0}
Note that killing Flink might not clean up all job artifacts and temporary files."""


def say_how_to_stop(application_id: str) -> None:
    """The lines at the end of a detached deployment."""
    for line in _HOW_TO_STOP.format(application_id).split("\n"):
        say(line)


def say(text: str, level: str = "INFO", logger: str = DESCRIPTOR) -> None:
    """One line, written at once: ``2026-01-31 23:59:59,123 INFO  <logger, 60 wide> [] - <text>``."""
    now = time.time()
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
    sys.stdout.write(f"{stamp},{int(now % 1 * 1000):03d} {level:<5} {logger:<60} [] - {text}\n")
    sys.stdout.flush()
