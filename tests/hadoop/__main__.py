"""A developer's own cluster: ``make hadoop-up`` starts it and prints what to export, ``make hadoop-down`` ends it."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.hadoop.cluster import NotReady, start_hadoop, wait_until
from tests.hadoop.installation import Unavailable

FOLDER = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pyflow-yarn" / "developer-cluster"
PID = FOLDER / "pid"
EXPORTS = FOLDER / "exports"
LOG = FOLDER / "log"


def _serving() -> int | None:
    try:
        pid = int(PID.read_text())
        return pid if b"tests.hadoop" in Path(f"/proc/{pid}/cmdline").read_bytes() else None
    except (OSError, ValueError):
        return None


def serve() -> None:
    """Hold a cluster until this process is told to end."""
    with tempfile.TemporaryDirectory(prefix="hadoop-") as folder:
        hadoop = start_hadoop(Path(folder))
        try:
            # Only now: daemons would inherit it.
            signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM,))
            lines = [f"export {name}={shlex.quote(value)}" for name, value in hadoop.exports.items()]
            lines += [
                f"# {name}: {value}"
                for name, value in (
                    ("HDFS", hadoop.default_fs),
                    ("WebHDFS", hadoop.webhdfs_address),
                    ("ResourceManager", hadoop.rm_address),
                    ("ZooKeeper", hadoop.zookeeper_address),
                )
            ]
            EXPORTS.write_text("\n".join(lines) + "\n")
            signal.sigwait((signal.SIGTERM,))
        finally:
            EXPORTS.unlink(missing_ok=True)
            hadoop.close()


def up() -> None:
    """Start a cluster unless one runs, and print what leads commands to it."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    if _serving() is None:
        EXPORTS.unlink(missing_ok=True)
        with LOG.open("wb") as log:
            command = [sys.executable, "-m", "tests.hadoop", "serve"]
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        PID.write_text(str(process.pid))
    wait_until("the cluster is up", lambda: EXPORTS.exists() or _serving() is None, 1200)
    if not EXPORTS.exists():
        lines = LOG.read_text(errors="replace").strip().splitlines()
        sys.exit(f"hadoop: {lines[-1] if lines else 'the cluster ended without a word'}")
    sys.stdout.write(EXPORTS.read_text())


def down() -> None:
    """End the cluster, if one runs."""
    if (pid := _serving()) is not None:
        os.kill(pid, signal.SIGTERM)
        wait_until("the cluster has ended", lambda: _serving() is None, 60)
    PID.unlink(missing_ok=True)


if __name__ == "__main__":
    try:
        {"serve": serve, "up": up, "down": down}[sys.argv[1]]()
    except (Unavailable, NotReady) as failure:
        sys.exit(str(failure))
