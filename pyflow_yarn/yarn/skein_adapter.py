"""YARN through skein 0.8.2, whose driver submits applications and whose ApplicationMaster holds containers.

skein is imported when the first application is submitted: with grpc it costs more than all the rest of a client.
Its key-value store (it races), its replacing of failed containers and its reports (YARN's REST API has them) are left
alone.
"""

from __future__ import annotations

import getpass
import os
import queue
import shutil
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pyflow_yarn.errors import ConfigurationError, ExternalError, PyflowError
from pyflow_yarn.filesystem import join
from pyflow_yarn.yarn import (
    ApplicationReport,
    ApplicationSpec,
    ContainerListener,
    FinalStatus,
    LocalFile,
    ProcessSpec,
)
from pyflow_yarn.yarn.hadoop_configuration import HadoopConfiguration
from pyflow_yarn.yarn.node_manager import NodeManagers
from pyflow_yarn.yarn.resource_manager import ContainerReport, RefusedError, ResourceManager
from pyflow_yarn.yarn.shared_files import put_shared
from pyflow_yarn.yarn.skein_overlay import CACHE, FOLDER, overlay_key, write_overlay
from pyflow_yarn.yarn.start_failures import WORKER_ERRORS, complaint
from pyflow_yarn.yarn.submission import Place, can_be_looked_at, can_submit, submit

HEARTBEAT_MS = 500
POLL_SECONDS = 0.2
DRIVER_END_SECONDS = 10.0
WORKERS = "taskmanager"
# What the tools filter on that look for Flink on YARN.
APPLICATION_TYPE = "Apache Flink"
CONFIGURATION_FOLDER = "hadoop-conf"
# Short-lived processes start fastest so; skein's overview page needs the package opened from Java 17 on.
_JAVA_OPTIONS = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
# What skein says of every container whose process failed, and nothing of why.
_EXITED = "Container failed during execution"
_MASTER_JAVA_OPTIONS = ("--add-opens=java.base/java.util=ALL-UNNAMED", *_JAVA_OPTIONS)


_NO_PRIORITY = (
    "The application gets the queue's default priority: yarn.application.priority has no effect where skein's driver"
    " submits, as with Kerberos."
)


class SkeinYarn:
    """See ``Yarn``. The driver, a JVM, starts when it is wanted first and ends with this object or its process."""

    def __init__(
        self,
        folder: Path,
        configuration: HadoopConfiguration,
        user: str,
        application_type: str = APPLICATION_TYPE,
        folders: str = FOLDER,
        keytab: str = "",
        principal: str = "",
        warn: Callable[[str], None] = warnings.warn,
    ) -> None:
        self._folder = folder
        self._configuration = configuration
        self._resource_manager = ResourceManager(configuration.web_addresses(), user)
        self._application_type = application_type
        self._user = user
        # Of all applications: a URI, or a path below the user's home.
        self._folders = folders
        self._over_rest = can_submit(configuration, folders)
        # That of the next application, where it is known already.
        self._id = ""
        self._warn = warn
        self._keytab = keytab
        self._principal = principal
        self._lock = threading.RLock()
        self._credentials: Any = None
        self._client: Any = None
        # It ends when its standard input does, however this process ends.
        self._jvm: subprocess.Popen[bytes] | None = None

    def check(self) -> None:
        """Raise unless this machine has what the next submission needs."""
        self._id = self._new_id()
        if not self._id:
            check_programs()

    def _new_id(self) -> str:
        """The id of an application to be submitted; "" where skein's driver asks for it."""
        if not self._over_rest:
            return ""
        try:
            return self._resource_manager.new_application()
        except RefusedError:
            # YARN's web services may know no users; its RPC knows this one.
            self._over_rest = False
            return ""

    def prepare(self) -> None:
        """Begin with what a submission needs, beside other work; what goes wrong is told by the submission."""

        def begin() -> None:
            with suppress(PyflowError):
                self._needed()

        threading.Thread(target=begin, name="skein", daemon=True).start()

    def start(self) -> None:
        """Do now what a submission needs, or wait until it is done."""
        self._resource_manager.check()
        with _errors("YARN does not take applications"):
            self._needed()

    def _needed(self) -> None:
        if self._over_rest:
            self._security()
        else:
            self._driver()

    def submit(self, application: ApplicationSpec) -> str:
        """See ``Yarn``."""
        self.start()
        with _errors("YARN does not take the application"):
            specification = self._specification(application)
            key, self._id = self._id or self._new_id(), ""
            if not key or not can_be_looked_at(specification):
                if application.priority >= 0:
                    self._warn(_NO_PRIORITY)
                return str(self._driver().submit(specification))
            folder, jar = join(self._folders, key), self._jar_on_the_cluster()
            place = Place(_skein(), folder, jar, self._application_type, self._user, application.priority)
            submit(self._resource_manager, self._configuration, key, specification, self._security(), place)
            return key

    def report(self, application_id: str) -> ApplicationReport:
        """See ``Yarn``."""
        return self._resource_manager.report(application_id)

    def kill(self, application_id: str) -> None:
        """See ``Yarn``."""
        if self.report(application_id).ended:
            return
        try:
            self._resource_manager.kill(application_id)
        except RefusedError:
            # YARN's web services may know no users; its RPC knows this one.
            with _errors(f"YARN does not end {application_id}"):
                self._driver().kill_application(application_id)

    def close(self) -> None:
        """See ``Yarn``."""
        with self._lock:
            client, self._client = self._client, None
            process, self._jvm = self._jvm, None
        if client is not None:
            client.close()
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(DRIVER_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def containers(self, application_id: str) -> SkeinContainers:
        """The master's side of an application that this object has submitted, from outside of it."""
        address = self.report(application_id).master_address
        nodes = NodeManagers(self._configuration.web_scheme, self._user)
        with _errors(f"The master of {application_id} does not answer"), _quiet():
            client = _skein().ApplicationClient(address, application_id, security=self._security())
            return SkeinContainers(client, nodes)

    def _driver(self) -> Any:
        with self._lock:
            if self._client is None:
                address, self._jvm = self._start_driver(self._security())
                try:
                    with _quiet():
                        self._client = _skein().Client(address, security=self._security())
                except BaseException:
                    self.close()
                    raise
            return self._client

    def _security(self) -> Any:
        """Certificate and key of this object's applications; nothing is written to the user's home."""
        with self._lock, _quiet():
            if self._credentials is None:
                self._credentials = _skein().model.Security.new_credentials()
            return self._credentials

    def _jar(self) -> Path:
        path = self._folder / "skein.jar"
        if not path.exists():
            original = Path(_skein().__file__).parent / "java" / "skein.jar"
            write_overlay(original, path, self._application_type, self._folders)
        return path

    def _jar_content(self) -> Iterator[bytes]:
        yield self._jar().read_bytes()

    def _jar_on_the_cluster(self) -> str:
        """The jar among the files that the user's applications share, put there by the first of them."""
        folder = join(join(self._folders, CACHE), overlay_key(self._application_type, self._folders))
        path = join(folder, "skein.jar")
        put_shared(path, self._jar_content())
        return path

    def _start_driver(self, security: Any) -> tuple[str, subprocess.Popen[bytes]]:
        """skein's client would start it as well, but ends with a traceback of its own where that fails."""
        check_programs()
        skein = _skein()
        log, jar = self._folder / "skein-driver.log", self._jar()
        # There is no parameter for it: the driver is what it starts, and what it uploads for the master.
        skein.core._SKEIN_JAR = str(jar)
        with _quiet():
            try:
                address, process = skein.core._start_driver(
                    security=security,
                    keytab=self._keytab or None,
                    principal=self._principal or None,
                    log=str(log),
                    java_options=_driver_options(),
                )
            except (skein.exceptions.DriverError, subprocess.CalledProcessError) as failure:
                reason = str(failure)
            else:
                return address, process
        # Raised here, it holds no frame of skein's with open files in it.
        raise ExternalError(f"skein's driver does not start ({reason}): {_last_line(log)}")

    def _specification(self, application: ApplicationSpec) -> Any:
        skein = _skein()
        files = self._configuration_files()
        # Below WARN it logs where pages lead, and those paths are secret.
        master = skein.Master(**self._process(application.master, files, _master_environment()), log_level="warn")
        workers = skein.Service(
            **self._process(application.worker, files, {}),
            node_label=application.worker.node_label,
            instances=0,
            max_restarts=0,
            allow_failures=True,
        )
        return skein.ApplicationSpec(
            name=application.name,
            queue=application.queue,
            node_label=application.master.node_label,
            tags=set(application.tags),
            max_attempts=application.attempts,
            file_systems=list(application.file_systems),
            acls=skein.ACLs(
                enable=any((*application.viewers, *application.modifiers)),
                view_users=list(application.viewers.users),
                view_groups=list(application.viewers.groups),
                modify_users=list(application.modifiers.users),
                modify_groups=list(application.modifiers.groups),
                ui_users=list(application.viewers.users),
            ),
            master=master,
            services={WORKERS: workers},
        )

    def _process(
        self, process: ProcessSpec, files: dict[str, LocalFile], environment: dict[str, str]
    ) -> dict[str, Any]:
        skein = _skein()
        return {
            "script": process.command,
            "files": {
                name: skein.File(
                    file.source, type="archive" if file.archive else "file", visibility=file.visibility.value
                )
                for name, file in {**files, **process.files}.items()
            },
            "env": {**environment, **process.environment},
            "resources": skein.Resources(memory=f"{process.memory_mb} MiB", vcores=process.vcores),
        }

    def _configuration_files(self) -> dict[str, LocalFile]:
        """The master's heartbeat follows from a property that the cluster sets for another purpose: it gets its own."""
        path = self._folder / f"{CONFIGURATION_FOLDER}.zip"
        path.write_bytes(
            self._configuration.archive({"yarn.am.liveness-monitor.expiry-interval-ms": str(2 * HEARTBEAT_MS)})
        )
        return {CONFIGURATION_FOLDER: LocalFile(str(path), archive=True)}


def check_programs() -> None:
    """Raise unless this machine has the programs that a submission runs."""
    java = os.path.join(os.environ["JAVA_HOME"], "bin", "java") if "JAVA_HOME" in os.environ else "java"
    for command, cure in (("yarn", "put Hadoop's bin folder on PATH"), (java, "set JAVA_HOME or put java on PATH")):
        if shutil.which(command) is None:
            raise ConfigurationError(f"The command {command} is not found: {cure}.")


class SkeinContainers:
    """See ``Containers``. One thread asks for containers, ends them, and looks for what has changed."""

    def __init__(self, client: Any, nodes: NodeManagers) -> None:
        self._client = client
        self._nodes = nodes
        self._wishes: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._listener: ContainerListener
        # By skein's id; only the thread touches these.
        self._names: dict[str, str] = {}
        self._started: set[str] = set()

    @classmethod
    def of_this_container(cls) -> SkeinContainers:
        """Those of the application whose master this process belongs to."""
        nodes = NodeManagers(HadoopConfiguration.of_environment(os.environ).web_scheme, getpass.getuser())
        with _errors("skein's ApplicationMaster does not answer"), _quiet():
            return cls(_skein().ApplicationClient.from_current(), nodes)

    def start(self, listener: ContainerListener) -> None:
        """See ``Containers``."""
        self._listener = listener
        self._thread = threading.Thread(target=self._run, name="containers", daemon=True)
        self._thread.start()

    def request(self, name: str, environment: Mapping[str, str]) -> None:
        """See ``Containers``."""
        self._wishes.put(lambda: self._request(name, dict(environment)))

    def release(self, name: str) -> None:
        """See ``Containers``."""
        self._wishes.put(lambda: self._release(name))

    def add_page(self, route: str, target: str, title: str) -> None:
        """See ``Containers``."""
        with _errors(f"The page {route} cannot be shown"):
            self._client.ui.add_page(route, target, title)

    def finish(self, status: FinalStatus, diagnostics: str) -> None:
        """See ``Containers``."""
        with _errors("The application does not end"):
            # For no text at all skein says that a user has asked for it.
            self._client.shutdown(status.value, diagnostics or " ")

    def close(self) -> None:
        """See ``Containers``."""
        self._wishes.put(None)
        if self._thread is not None:
            self._thread.join()
        self._client.close()

    def _run(self) -> None:
        exceptions = _skein().exceptions
        try:
            while True:
                try:
                    wish = self._wishes.get(timeout=POLL_SECONDS)
                except queue.Empty:
                    self._look()
                else:
                    if wish is None:
                        return
                    wish()
        except exceptions.SkeinError as failure:
            self._listener.master_lost(f"skein's ApplicationMaster does not answer: {failure}.")

    def _request(self, name: str, environment: dict[str, str]) -> None:
        try:
            self._names[self._client.add_container(WORKERS, environment).id] = name
        except ValueError as refusal:
            self._listener.container_ended(name, f"The request is refused: {refusal}")

    def _release(self, name: str) -> None:
        for key, known in self._names.items():
            if known == name:
                # It may have ended meanwhile, which the next look tells.
                with suppress(KeyError, ValueError):
                    self._client.kill_container(key)
                return

    def _look(self) -> None:
        active = {one.id: one for one in self._client.get_containers([WORKERS])} if self._names else {}
        for key, one in active.items():
            if key in self._names and key not in self._started and str(one.state) == "RUNNING":
                self._tell_started(key, one)
        if gone := self._names.keys() - active.keys():
            # Only now all that ever ended are listed: in a long session there are many.
            ended = {one.id: one for one in self._client.get_containers([WORKERS], ["SUCCEEDED", "FAILED", "KILLED"])}
            for key in sorted(gone & ended.keys(), key=lambda one: ended[one].finish_time):
                if key not in self._started and ended[key].start_time is not None:
                    self._tell_started(key, ended[key])
                self._started.discard(key)
                self._listener.container_ended(self._names.pop(key), self._reason(ended[key]))

    def _tell_started(self, key: str, container: Any) -> None:
        self._started.add(key)
        node = container.yarn_node_http_address.rpartition(":")[0]
        self._listener.container_started(self._names[key], container.yarn_container_id, node)

    def _reason(self, container: Any) -> str:
        state, message = str(container.state), str(container.exit_message)
        if state == "KILLED":
            return "It was released."
        if state == "SUCCEEDED":
            return "Its process has ended by itself."
        if not message.startswith(_EXITED):
            return message
        report = ContainerReport(container.yarn_container_id, container.yarn_node_http_address)
        return complaint(self._nodes, report, WORKER_ERRORS) or message


def _driver_options() -> list[str]:
    """Java has a property for what other programs read in the environment."""
    kerberos = os.environ.get("KRB5_CONFIG", "").partition(":")[0]
    return [*_JAVA_OPTIONS, *([f"-Djava.security.krb5.conf={kerberos}"] if kerberos else [])]


def _master_environment() -> dict[str, str]:
    return {
        "HADOOP_CONF_DIR": f"{{{{PWD}}}}/{CONFIGURATION_FOLDER}",
        "JDK_JAVA_OPTIONS": " ".join(_MASTER_JAVA_OPTIONS),
    }


def _skein() -> Any:
    try:
        with _quiet():
            import skein
    except ImportError as missing:
        raise ConfigurationError(
            f"YARN needs the package skein ({missing}): run {sys.executable} -m pip install 'skein==0.8.2'."
        ) from None
    return skein


@contextmanager
def _quiet() -> Iterator[None]:
    """A library of 2022 uses what later Pythons warn of, and leaves its log file to the garbage collector."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _errors(what: str) -> Iterator[None]:
    exceptions = _skein().exceptions
    try:
        yield
    except (exceptions.SkeinError, ValueError, KeyError) as failure:
        if isinstance(failure, ConfigurationError):
            raise
        raise ExternalError(f"{what}: {_cause(failure)}.") from failure


def _cause(failure: Exception) -> str:
    """skein's text is a heading, the line that tells, and a stack of Java's."""
    lines = str(failure.args[0] if failure.args else failure).strip().split("\n")
    return next((line.strip() for line in lines if not line.endswith(":")), lines[0]).removesuffix(".")


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing.")
