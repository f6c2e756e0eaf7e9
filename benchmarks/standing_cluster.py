"""Many jobs on one standing cluster: ``benchmarks/standing_cluster.py [--clients 10] [--jobs 10] [--cycles 200]``.

Several clients submit jobs at once, each of which is checked; then jobs follow one another, and the memory of the
JobManager is taken after each. One JSON line for each part. The cluster has folders and a port of its own and is
stopped at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from measure import read_checksum

HERE = Path(__file__).parent
BIN = HERE.parent / "bin"
PROGRAM = HERE / "programs" / "state_counter.py"
SLOTS, TASK_MANAGERS = 4, 2
RECORDS, KEYS = 20_000, 10_000
# The first jobs grow pools, caches and the list of ended jobs that the REST interface shows.
WARM_UP = 50


class Cluster:
    """A cluster started by the scripts, all its files below ``directory``."""

    def __init__(self, directory: Path) -> None:
        self.state = directory / "state"
        self.conf = directory / "conf"
        self.conf.mkdir()
        settings = {"rest.port": 0, "jobmanager.rpc.port": 0, "taskmanager.numberOfTaskSlots": SLOTS}
        (self.conf / "config.yaml").write_text("".join(f"{key}: {value}\n" for key, value in settings.items()))
        (self.conf / "workers").write_text("localhost\n" * TASK_MANAGERS)
        self.environment = {**os.environ, "XDG_STATE_HOME": str(self.state), "FLINK_CONF_DIR": str(self.conf)}

    def command(self, name: str, *arguments: str) -> str:
        """Run a script of ``bin``; its standard output. ``SystemExit`` if it fails."""
        done = subprocess.run(
            [BIN / name, *arguments], env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise SystemExit(f"{name} {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def run_job(self, directory: Path) -> None:
        """One attached job, whose output is checked."""
        directory.mkdir()
        self.command("flink", "run", "-p", "2", str(PROGRAM), "--count", str(RECORDS), "--output", str(directory))
        # Every key is counted once, then twice.
        expected = RECORDS, KEYS * 1 + KEYS * 2
        if read_checksum(directory) != expected:
            raise SystemExit(f"wrong output {read_checksum(directory)}, expected {expected}")

    def job_manager(self) -> int:
        """The JobManager's process."""
        (pid_file,) = self.state.glob("**/*-standalonesession-*.pid")
        return int(pid_file.read_text().splitlines()[0])

    def job_manager_memory(self) -> int:
        """Bytes that the JobManager has to itself."""
        rollup = Path(f"/proc/{self.job_manager()}/smaps_rollup").read_text()
        return sum(int(kb) * 1024 for kb in re.findall(r"^Private_\w+:\s+(\d+) kB$", rollup, re.MULTILINE))


def slope(values: list[int]) -> float:
    """Growth per step, by least squares."""
    middle, mean = (len(values) - 1) / 2, sum(values) / len(values)
    above = sum((step - middle) * (value - mean) for step, value in enumerate(values))
    return above / sum((step - middle) ** 2 for step in range(len(values)))


def main() -> None:
    """Both parts on one cluster."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--clients", type=int, default=10)
    arguments.add_argument("--jobs", type=int, default=10, help="of each client")
    arguments.add_argument(
        "--cycles", type=int, default=200, help=f"jobs one after the other; the first {WARM_UP} do not count"
    )
    options = arguments.parse_args()
    if options.cycles < WARM_UP + 2:
        arguments.error(f"--cycles must be at least {WARM_UP + 2}")
    with tempfile.TemporaryDirectory(prefix="pyflow-benchmark-") as name:
        cluster = Cluster(Path(name))
        cluster.command("start-cluster.sh")
        try:
            started, before = time.monotonic(), cluster.job_manager_memory()
            with ThreadPoolExecutor(options.clients) as clients:
                outputs = [Path(name) / f"together-{number}" for number in range(options.clients * options.jobs)]
                list(clients.map(cluster.run_job, outputs))
            figures = {"jobs": len(outputs), "clients": options.clients, "wall_s": round(time.monotonic() - started, 1)}
            grown = (cluster.job_manager_memory() - before) / 1e6
            print(
                json.dumps({"benchmark": "jobs at once", **figures, "jobmanager_grew_mb": round(grown, 2)}), flush=True
            )

            memory = []
            for number in range(options.cycles):
                cluster.run_job(Path(name) / f"cycle-{number}")
                memory.append(cluster.job_manager_memory())
            growth = {"cycles": options.cycles, "kb_per_job": round(slope(memory[WARM_UP:]) / 1000, 2)}
            span = {"first_mb": round(memory[WARM_UP] / 1e6, 2), "last_mb": round(memory[-1] / 1e6, 2)}
            print(json.dumps({"benchmark": "submit and finish", **growth, **span}), flush=True)
            if "No running jobs." not in cluster.command("flink", "list"):
                raise SystemExit("jobs are left")
        finally:
            cluster.command("stop-cluster.sh")


if __name__ == "__main__":
    main()
