"""Brings an application to YARN: checked, its files staged, submitted, and waited for until its master runs."""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Mapping, MutableMapping
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from pyflow_yarn.configuration import options
from pyflow_yarn.deployment.yarn.container_python import ContainerPython, container_python
from pyflow_yarn.deployment.yarn.hadoop import hadoop_configuration
from pyflow_yarn.deployment.yarn.interruption import TAKE_BACK_SECONDS, interrupted_once
from pyflow_yarn.deployment.yarn.lines import YARN_CLIENT, say
from pyflow_yarn.deployment.yarn.login import log_in_to
from pyflow_yarn.deployment.yarn.sizes import container_sizes
from pyflow_yarn.deployment.yarn.staging import Staging
from pyflow_yarn.deployment.yarn.unpacking import LINGER
from pyflow_yarn.deployment.yarn.validation import DEFAULT_QUEUE, validate
from pyflow_yarn.errors import ClusterError, PyflowError
from pyflow_yarn.yarn import (
    ApplicationNotFoundError,
    ApplicationReport,
    ApplicationSpec,
    LocalFile,
    Principals,
    ProcessSpec,
)
from pyflow_yarn.yarn.application_file import (
    FILE_NAME,
    TASK_MANAGER_FILE_NAME,
    ApplicationFile,
    TaskManagerFile,
    write_application_file,
)
from pyflow_yarn.yarn.resource_manager import ResourceManager
from pyflow_yarn.yarn.skein_adapter import APPLICATION_TYPE, CONFIGURATION_FOLDER, SkeinYarn
from pyflow_yarn.yarn.start_failures import MASTER_ERRORS, WORKER_ERRORS

ATTEMPTS = 2
"""As many as YARN allows by default; the jobs are on HDFS, so that a second attempt goes on with them."""

POLL_SECONDS = 0.1
SUBMISSION_SECONDS = 600.0
SWEEP_SECONDS = 1.0
LINGER_SECONDS = 3
RESOURCES_HINT_SECONDS = 60.0
# Facts of the client's machine, or of its own cluster, that mean nothing in a container.
_NOT_FOR_CONTAINERS = {
    option.key
    for option in (
        options.ENV_LOG_DIR,
        options.TASKMANAGER_HOST,
        options.TASKMANAGER_RESOURCE_ID,
        options.REST_ADDRESS,
        options.REST_PORT,
        options.SECURITY_REST_TOKEN_FILE,
        options.YARN_APPLICATION_ID,
    )
}
_BIND_HOSTS = (options.JOBMANAGER_BIND_HOST, options.TASKMANAGER_BIND_HOST)


class YarnEdge:
    """What an edge node knows of its cluster: the Hadoop configuration, the user, the ResourceManager, the staging."""

    def __init__(self, configuration: Mapping[str, str], environment: MutableMapping[str, str]) -> None:
        changed = Path(tempfile.gettempdir(), f"pyflow-conf-{os.urandom(6).hex()}")
        weakref.finalize(self, shutil.rmtree, changed, ignore_errors=True)
        self.hadoop = hadoop_configuration(configuration, environment, changed)
        self.login = log_in_to(self.hadoop, configuration, environment)
        self.user = self.login.user
        self.resource_manager = ResourceManager(self.hadoop.web_addresses(), self.user)
        self.staging = Staging(configuration, self.hadoop, self.user)

    def has_ended(self, application_id: str, quiet_seconds: float) -> bool:
        """Whether an application will never run again.

        One that YARN does not know has been forgotten, unless another client is about to submit it.
        """
        try:
            return self.resource_manager.report(application_id).ended
        except ApplicationNotFoundError:
            return quiet_seconds > SUBMISSION_SECONDS


class YarnDeployer:
    """See the module; a context, at whose end nothing runs here any more. Applications go on."""

    def __init__(self, configuration: Mapping[str, str], environment: MutableMapping[str, str]) -> None:
        self._configuration = dict(configuration)
        self.edge = YarnEdge(configuration, environment)
        for sentence in validate(configuration, self.edge.hadoop, self.edge.resource_manager):
            say(sentence, level="WARN")
        self._folder = Path(tempfile.mkdtemp(prefix="pyflow-yarn-"))
        self._yarn = SkeinYarn(
            self._folder,
            self.edge.hadoop,
            self.edge.user,
            application_type=options.YARN_APPLICATION_TYPE.read(configuration) or APPLICATION_TYPE,
            folders=self.edge.staging.folders,
            keytab=self.edge.login.keytab,
            principal=self.edge.login.principal,
            warn=functools.partial(say, level="WARN"),
        )
        try:
            self._yarn.check()
        except PyflowError:
            shutil.rmtree(self._folder)
            raise
        self._yarn.prepare()
        # Of the application, from the moment on at which it may be there.
        self._submission: Future[str] | None = None
        self._signals = interrupted_once()

    def __enter__(self) -> YarnDeployer:
        self._signals.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.edge.staging.abandon()
            self._yarn.close()
            shutil.rmtree(self._folder, ignore_errors=True)
        finally:
            self._signals.__exit__(None, None, None)

    def deploy(
        self,
        name: str,
        shared: Mapping[str, LocalFile],
        files: Mapping[str, LocalFile] | None = None,
        program: bytes = b"",
        attached: bool = False,
    ) -> str:
        """Submit an application; its id, when its master runs or it has ended already.

        ``shared`` files are laid into every container, ``files`` into the master's. A client that is interrupted
        meanwhile takes it back.
        """
        try:
            application_id = self._submit(name, shared, files or {}, program, attached)
            sweeping = threading.Thread(target=self._sweep, name="staging-sweep", daemon=True)
            sweeping.start()
            self._await(application_id)
            sweeping.join(SWEEP_SECONDS)
        except BaseException as interruption:
            if self._submission and not isinstance(interruption, PyflowError):
                say("Cancelling deployment from Deployment Failure Hook")
            self.take_back()
            raise
        return application_id

    def take_back(self) -> None:
        """End the application if one was submitted, and remove its files; it may be on its way still."""
        if self._submission is None:
            return
        ending = threading.Thread(target=self._end, args=(self._submission,), name="take-back", daemon=True)
        ending.start()
        ending.join(TAKE_BACK_SECONDS)
        if ending.is_alive():
            say(
                f"The application could not be taken back within {TAKE_BACK_SECONDS:.0f} s: find it with"
                " `yarn application -list`, and end it with `yarn application -kill`.",
                level="ERROR",
            )

    def _end(self, submission: Future[str]) -> None:
        if submission.exception() is not None:
            return  # what YARN has not taken has left nothing
        application_id = submission.result()
        say("Killing YARN application")
        with suppress(PyflowError):
            self._yarn.kill(application_id)
            say(f"Killed application {application_id}", logger=YARN_CLIENT)
        say(f"Deleting files in {self.edge.staging.application_folder(application_id)}.")
        self.edge.staging.forget(application_id)

    def _sweep(self) -> None:
        """While the master starts there is time for what others left behind; nobody waits for it long."""
        with suppress(PyflowError):
            self.edge.staging.sweep(self.edge.has_ended)

    # ---- the submission ----

    def _submit(
        self,
        name: str,
        shared: Mapping[str, LocalFile],
        files: Mapping[str, LocalFile],
        program: bytes,
        attached: bool,
    ) -> str:
        configuration = self._configuration
        master, worker = container_sizes(configuration)
        slots = options.TASKMANAGER_NUMBER_OF_TASK_SLOTS.read(configuration)
        queue = options.YARN_APPLICATION_QUEUE.read(configuration) or DEFAULT_QUEUE
        say(
            f"Cluster specification: ClusterSpecification{{masterMemoryMB={master.memory_mb},"
            f" taskManagerMemoryMB={worker.memory_mb}, slotsPerTaskManager={slots}}}"
        )
        python = container_python(configuration, self.edge.staging)
        in_containers, secret = container_configuration(configuration), os.urandom(32).hex()
        of_master, of_workers = self._folder / FILE_NAME, self._folder / TASK_MANAGER_FILE_NAME
        write_application_file(of_workers, TaskManagerFile(configuration=in_containers, secret=secret))
        write_application_file(
            of_master,
            ApplicationFile(
                configuration=in_containers,
                folders=self.edge.staging.folders,
                secret=secret,
                token=os.urandom(32).hex(),
                pages=os.urandom(16).hex(),
                worker_memory_mb=worker.memory_mb,
                queue=queue,
                program=program,
                attached=attached,
            ),
        )
        self.edge.staging.finish()
        application_id = self._submitted(
            ApplicationSpec(
                name=options.YARN_APPLICATION_NAME.read(configuration) or name,
                queue=queue,
                file_systems=tuple(options.SECURITY_KERBEROS_ACCESS_HADOOP_FILE_SYSTEMS.read(configuration)),
                tags=frozenset(tag.strip() for tag in options.YARN_TAGS.read(configuration).split(",") if tag.strip()),
                priority=options.YARN_APPLICATION_PRIORITY.read(configuration),
                attempts=options.YARN_APPLICATION_ATTEMPTS.read(configuration) or ATTEMPTS,
                viewers=_principals(options.YARN_VIEW_ACLS.read(configuration)),
                modifiers=_principals(options.YARN_MODIFY_ACLS.read(configuration)),
                master=ProcessSpec(
                    _command(python, "pyflow_runtime.entrypoint.application_master", MASTER_ERRORS, LINGER_SECONDS),
                    memory_mb=master.memory_mb,
                    vcores=master.vcores,
                    files={FILE_NAME: LocalFile(str(of_master)), **python.files, **shared, **files},
                    environment=options.CONTAINERIZED_MASTER_ENV.read(configuration) or {},
                    node_label=options.YARN_APPLICATION_NODE_LABEL.read(configuration) or "",
                ),
                worker=ProcessSpec(
                    _command(python, "pyflow_runtime.entrypoint.yarn_taskmanager", WORKER_ERRORS),
                    memory_mb=worker.memory_mb,
                    vcores=worker.vcores,
                    files={TASK_MANAGER_FILE_NAME: LocalFile(str(of_workers)), **python.files, **shared},
                    environment=options.CONTAINERIZED_TASKMANAGER_ENV.read(configuration) or {},
                    node_label=options.YARN_TASKMANAGER_NODE_LABEL.read(configuration)
                    or options.YARN_APPLICATION_NODE_LABEL.read(configuration)
                    or "",
                ),
            )
        )
        say(f"Submitting application master {application_id}")
        say(f"Submitted application {application_id}", logger=YARN_CLIENT)
        return application_id

    def _submitted(self, application: ApplicationSpec) -> str:
        """Its id. What interrupts the client does not interrupt the submission: its end says what there is to end."""
        self._yarn.start()
        submission = self._submission = Future()

        def submit() -> None:
            try:
                submission.set_result(self._yarn.submit(application))
            except BaseException as failure:
                submission.set_exception(failure)

        threading.Thread(target=submit, name="submission", daemon=True).start()
        return submission.result()

    def _await(self, application_id: str) -> None:
        say("Waiting for the cluster to be allocated")
        began, state, hinted = time.monotonic(), "", False
        while True:
            report = self._yarn.report(application_id)
            if report.state in ("FAILED", "KILLED"):
                raise ClusterError(_not_deployed(report))
            if report.state in ("RUNNING", "FINISHED"):
                say("YARN application has been deployed successfully.")
                return
            if report.state != state:
                state = report.state
                say(f"Deploying cluster, current state {state}")
            if not hinted and time.monotonic() - began > RESOURCES_HINT_SECONDS:
                hinted = True
                say(
                    "Deployment took more than 60 seconds. Please check if the requested resources are available in the"
                    " YARN cluster"
                )
            time.sleep(POLL_SECONDS)


def _principals(text: str | None) -> Principals:
    """Those of a list in Hadoop's form: users, a space, groups."""
    users, _, groups = (text or "").partition(" ")
    return Principals(*(tuple(filter(None, map(str.strip, names.split(",")))) for names in (users, groups)))


def _not_deployed(report: ApplicationReport) -> str:
    return (
        f"The YARN application unexpectedly switched to state {report.state} during deployment.\n"
        f"Diagnostics from YARN: {report.diagnostics}\n"
        "If log aggregation is enabled on your cluster, use this command to further investigate the issue:\n"
        f"yarn logs -applicationId {report.id}"
    )


def container_configuration(configuration: Mapping[str, str]) -> dict[str, str]:
    """A client's configuration as it holds in containers; between hosts there is TLS unless something else is said."""
    kept = {key: value for key, value in configuration.items() if key not in _NOT_FOR_CONTAINERS}
    for option in _BIND_HOSTS:
        if kept.get(option.key) == "localhost":
            say(f"Removing 'localhost' Key: '{option.key}' setting from effective configuration.")
            del kept[option.key]
    return {options.SECURITY_SSL_INTERNAL_ENABLED.key: "true", **kept}


def _command(python: ContainerPython, module: str, errors: str, linger: int = 0) -> str:
    """The script of a container: one of our modules, its output in the container's log folder.

    Without a Python that works it lingers for so many seconds, in which a client finds out why.
    """
    logs = '"${LOG_DIRS%%,*}"'
    return (
        f"exec >{logs}/{errors.removesuffix('.err')}.out 2>{logs}/{errors}\n"
        f"{LINGER}={linger}\n"
        f"{python.commands}"
        f"export HADOOP_CONF_DIR=$PWD/{CONFIGURATION_FOLDER}\n"
        f"exec {python.run(module)}\n"
    )
