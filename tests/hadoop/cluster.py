"""A Hadoop cluster on loopback: HDFS, YARN with two nodes and two queues, ZooKeeper."""

from __future__ import annotations

import contextlib
import getpass
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pyflow_yarn.yarn.kerberos import NegotiationHandler
from tests.hadoop.installation import IMAGE, Installation, install, install_kerberos
from tests.hadoop.providers import ENTRYPOINT, provide

DAEMONS = ("namenode", "datanode", "resourcemanager", "nodemanager1", "nodemanager2", "zookeeper")
KERBEROS_DAEMONS = ("kdc", "namenode", "datanode", "resourcemanager", "nodemanager1")
ENDED = ("FINISHED", "FAILED", "KILLED")
START_SECONDS = 300.0
# What WebHDFS says while a NameNode that has been started anew and its DataNode get to know each other: the DataNode
# keeps its old connection until it has used it, and is given no blocks until it has told how much room it has.
STARTED_ANEW = ("EOFException", "Failed to find datanode")
# Below the ports that the kernel gives to clients.
PORTS = range(12000, 30000)
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}), NegotiationHandler())


class NotReady(Exception):
    """Something did not become true in time; the text says what, and what was seen instead."""


def wait_until(what: str, true: Callable[[], object], seconds: float = START_SECONDS) -> None:
    """Ask until the answer is true; a cluster that cannot be reached yet counts as no."""
    deadline = time.monotonic() + seconds
    seen: object = None
    while True:
        try:
            if seen := true():
                return
        except (OSError, http.client.HTTPException) as error:
            seen = error
        if time.monotonic() > deadline:
            raise NotReady(f"{what}: not within {seconds:.0f} s, last seen: {seen!r}")
        time.sleep(0.1)


class Hadoop:
    """A cluster that is up: where its services are, what runs on it, and the means to disturb it."""

    def __init__(self, folder: Path, installation: Installation, daemons: tuple[str, ...] = DAEMONS) -> None:
        begin = time.monotonic()
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.addresses = choose_addresses(daemons)
        (folder / "addresses.json").write_text(json.dumps(self.addresses))
        base = {**os.environ, **installation.environment()}
        subprocess.run([sys.executable, "-P", str(ENTRYPOINT), str(folder), "client"], env=base, check=True)
        self.conf_dir = folder / "conf" / "client"
        path = f"{installation.home}/bin{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        settings = {"HADOOP_CONF_DIR": str(self.conf_dir), "YARN_CONF_DIR": str(self.conf_dir), "PATH": path}
        self.exports = {**installation.environment(), **settings}
        self.env = {**os.environ, **self.exports}
        self._daemons = provide(folder, installation)
        try:
            for name in daemons:
                self._daemons.start(name)
                if name == "kdc":
                    # The others begin by logging in.
                    self.wait_for(name)
            for name in daemons:
                self.wait_for(name)
        except BaseException:
            self._daemons.close()
            raise
        self.start_seconds = time.monotonic() - begin

    @property
    def default_fs(self) -> str:
        """The URI of the file system."""
        return f"hdfs://{self._address('namenode', 'rpc')}"

    @property
    def webhdfs_address(self) -> str:
        """The URL of WebHDFS, without its path."""
        return f"http://{self._address('namenode', 'http')}"

    @property
    def rm_address(self) -> str:
        """The URL of the ResourceManager."""
        return f"http://{self._address('resourcemanager', 'http')}"

    @property
    def zookeeper_address(self) -> str:
        """ZooKeeper's host and port."""
        return self._address("zookeeper", "client")

    def _address(self, daemon: str, service: str) -> str:
        return f"{self.addresses[daemon]}:{self.addresses[f'{daemon}_{service}']}"

    def run(self, *command: str, seconds: float = 120) -> str:
        """Run one of Hadoop's commands and return what it printed; one that fails is an error with its output."""
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=seconds, check=False)
        if done.returncode:
            raise AssertionError(f"{' '.join(command)} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    # Daemons.

    def kill(self, name: str) -> None:
        """Kill a daemon as a crash of it would."""
        self._daemons.signal(name, signal.SIGKILL)

    def stop(self, name: str) -> None:
        """Halt a daemon: it keeps its connections and answers nothing."""
        self._daemons.signal(name, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Let a halted daemon go on."""
        self._daemons.signal(name, signal.SIGCONT)

    def start(self, name: str) -> None:
        """Start a daemon again, on its old address and data, and wait until it serves."""
        self._daemons.start(name)
        self.wait_for(name)

    def running(self) -> list[str]:
        """The names of the daemons that run."""
        return self._daemons.running()

    def wait_for(self, name: str, seconds: float = START_SECONDS) -> None:
        """Wait until a daemon serves; the end of it is an error with the last lines of its log."""

        def serves() -> bool:
            if name not in self.running():
                log = (self.folder / "logs" / f"{name}.log").read_text(errors="replace").splitlines()
                raise NotReady("\n".join([f"{name} ended:", *log[-20:]]))
            return self._serves(name)

        wait_until(f"{name} serves", serves, seconds)

    def _serves(self, name: str) -> bool:
        if name == "namenode":
            return "Safemode" in (info := self._bean("NameNodeInfo")) and not info["Safemode"]
        if name == "datanode":
            # A DataNode that has registered is given no blocks before it has told how much room it has.
            state = self._bean("FSNamesystemState")
            return int(state["NumLiveDataNodes"]) == 1 and int(state["CapacityRemaining"]) > 0
        if name == "resourcemanager":
            return bool(self.rm("cluster/info")["clusterInfo"]["state"] == "STARTED")
        if name == "kdc":
            socket.create_connection((self.addresses[name], int(self.addresses["kdc_tickets"])), 5).close()
            return True
        if name == "zookeeper":
            address = (self.addresses[name], int(self.addresses["zookeeper_client"]))
            with socket.create_connection(address, 5) as connection:
                connection.sendall(b"ruok")
                return connection.recv(4) == b"imok"
        node = _get(f"http://{self.addresses[name]}:{self.addresses['nodemanager_http']}/ws/v1/node/info")["nodeInfo"]
        return any(each["id"] == node["id"] and each["state"] == "RUNNING" for each in self.nodes())

    def _bean(self, name: str) -> dict[str, Any]:
        beans = _get(f"{self.webhdfs_address}/jmx?qry=Hadoop:service=NameNode,name={name}")["beans"]
        return dict(beans[0]) if beans else {}

    # YARN.

    def rm(self, path: str, method: str = "GET", body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask the ResourceManager's REST interface, as the user who runs the tests."""
        return _get(f"{self.rm_address}/ws/v1/{path}?user.name={_user()}", method, body)

    def nodes(self) -> list[dict[str, Any]]:
        """YARN's nodes, lost ones too."""
        return list((self.rm("cluster/nodes")["nodes"] or {}).get("node", []))

    def queues(self) -> list[str]:
        """The names of the queues that take applications."""
        queues = self.rm("cluster/scheduler")["scheduler"]["schedulerInfo"]["queues"]["queue"]
        return sorted(queue["queueName"] for queue in queues)

    def applications(self) -> list[dict[str, Any]]:
        """Every application YARN knows, as its REST interface tells it."""
        return list((self.rm("cluster/apps")["apps"] or {}).get("app", []))

    def application(self, application: str) -> dict[str, Any]:
        """One application, as YARN's REST interface tells it."""
        return dict(self.rm(f"cluster/apps/{application}")["app"])

    def attempts(self, application: str) -> int:
        """How many attempts YARN has made at an application."""
        return len(self.rm(f"cluster/apps/{application}/appattempts")["appAttempts"]["appAttempt"])

    def page(self, application: str, path: str) -> dict[str, Any]:
        """What YARN's proxy shows of an application's own pages."""
        return _get(f"{self.rm_address}/proxy/{application}/{path}")

    def kill_application(self, application: str) -> None:
        """Have YARN kill an application, and wait until it has ended."""
        self.rm(f"cluster/apps/{application}/state", "PUT", {"state": "KILLED"})
        wait_until(f"{application} is killed", lambda: self.application(application)["state"] in ENDED)

    def processes(self, application: str) -> list[str]:
        """The command lines of the processes of an application's containers, orphans too."""
        mark = application.removeprefix("application_").encode()
        found = []
        for pid in (name for name in os.listdir("/proc") if name.isdecimal()):
            with contextlib.suppress(OSError):
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
                variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
                container = [value for value in variables if value.startswith(b"CONTAINER_ID=")]
                # A process with a title of its own has written over its variables; it stands in its container's folder.
                if mark in b"".join(container) or mark in os.fsencode(os.readlink(f"/proc/{pid}/cwd")):
                    found.append(f"{pid}: {command.replace(bytes(1), b' ').decode(errors='replace').strip()}")
        return found

    def assert_nothing_left(self, application: str, seconds: float = 60) -> None:
        """An application has ended, and no process of its containers and no staging folder of it is left."""

        def left() -> list[str]:
            found = self.processes(application)
            if (state := self.application(application)["state"]) not in ENDED:
                found.append(f"state {state}")
            found += [path for path in self.staging_folders() if application in path]
            return found

        with contextlib.suppress(NotReady):
            wait_until("nothing is left", lambda: not left(), seconds)
        if found := left():
            raise AssertionError(f"{application} left behind: {', '.join(found)}")

    def staging_folders(self) -> list[str]:
        """What stands in the users' folders `.skein` and `.pyflow` for applications."""
        found = []
        for kind in (".skein", ".pyflow", ".flink"):
            with contextlib.suppress(FileNotFoundError):
                found += [f"/user/{_user()}/{kind}/{name}" for name in self.names(f"/user/{_user()}/{kind}")]
        return found

    # HDFS.

    def webhdfs(self, method: str, path: str, operation: str, body: bytes | None = None, **query: str) -> bytes:
        """One request to WebHDFS, redirections followed; all that are made here may be repeated."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return self._webhdfs(method, path, operation, body, query)
            except OSError as error:
                if time.monotonic() > deadline or not any(sign in str(error) for sign in STARTED_ANEW):
                    raise
            time.sleep(0.1)

    def _webhdfs(self, method: str, path: str, operation: str, body: bytes | None, query: dict[str, str]) -> bytes:
        parameters = urllib.parse.urlencode({"op": operation, "user.name": _user(), **query})
        url = f"{self.webhdfs_address}/webhdfs/v1{urllib.parse.quote(path)}?{parameters}"
        if body is not None:
            url = json.loads(_request(url + "&noredirect=true", method))["Location"]
        return _request(url, method, body)

    def put(self, path: str, content: bytes) -> None:
        """Write a file."""
        self.webhdfs("PUT", path, "CREATE", content, overwrite="true")

    def get(self, path: str) -> bytes:
        """Read a file."""
        return self.webhdfs("GET", path, "OPEN")

    def names(self, path: str) -> list[str]:
        """The names in a folder."""
        answer = json.loads(self.webhdfs("GET", path, "LISTSTATUS"))
        return [status["pathSuffix"] for status in answer["FileStatuses"]["FileStatus"]]

    @contextlib.contextmanager
    def new_folder(self) -> Iterator[str]:
        """A folder on HDFS for one test, removed afterwards."""
        path = f"/tests/{uuid.uuid4().hex}"
        self.webhdfs("PUT", path, "MKDIRS")
        try:
            yield path
        finally:
            self.webhdfs("DELETE", path, "DELETE", recursive="true")

    def recover(self) -> list[str]:
        """After a test: every daemon runs again, every application has ended; says which applications had not."""
        for name in DAEMONS:
            if name in self.running():
                self.resume(name)
            self.start(name)
        left = [each["id"] for each in self.applications() if each["state"] not in ENDED]
        for application in left:
            self.kill_application(application)
        return left

    def close(self) -> None:
        """End the cluster and forget its data."""
        self._daemons.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def start_hadoop(folder: Path, daemons: tuple[str, ...] = DAEMONS) -> Hadoop:
    """Bring up a cluster whose data and configuration are in a folder; one with a ``kdc`` wants tickets."""
    if "kdc" in daemons:
        install_kerberos()
    return Hadoop(folder, install(), daemons)


def choose_addresses(daemons: tuple[str, ...] = DAEMONS) -> dict[str, str]:
    """Ports that are free on loopback, and for each node of YARN a host of its own."""
    # All but the nodes are at 127.0.0.1: the NameNode takes a DataNode for the host that its connection comes from.
    chance = random.SystemRandom()
    block = f"127.{chance.randrange(1, 255)}.{chance.randrange(255)}"
    hosts = dict.fromkeys((*DAEMONS, *daemons), "127.0.0.1") | {
        "nodemanager1": f"{block}.1",
        "nodemanager2": f"{block}.2",
    }
    settings = json.loads((IMAGE / "settings.json").read_text())
    services = [f"{kind}_{port}" for kind, daemon in settings["daemons"].items() for port in daemon["ports"]]
    free = (port for port in chance.sample(PORTS, len(PORTS)) if _free("127.0.0.1", port))
    return {**hosts, **{service: str(next(free)) for service in services}}


def _free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def _user() -> str:
    return getpass.getuser()


def _get(url: str, method: str = "GET", body: dict[str, Any] | None = None) -> dict[str, Any]:
    content = _request(url, method, None if body is None else json.dumps(body).encode(), "application/json")
    answer: dict[str, Any] = json.loads(content) if content else {}
    return answer


def _request(url: str, method: str, body: bytes | None = None, kind: str = "application/octet-stream") -> bytes:
    headers = {"Accept": "application/json"} if kind == "application/json" else {}
    request = urllib.request.Request(url, body, {**headers, "Content-Type": kind}, method=method)
    try:
        with _direct.open(request, timeout=60) as response:
            content: bytes = response.read()
            return content
    except urllib.error.HTTPError as error:
        with error:
            told = error.read().decode(errors="replace")[:1000]
        refusal = FileNotFoundError if error.code == 404 else OSError
        raise refusal(f"{method} {url}: {error.code} {told}") from None
