"""``bin/start-cluster.sh`` and the other scripts for daemons beside it: Flink's usage and texts.

The standard output has one line for each daemon that is started or stopped; what goes wrong is one sentence on standard
error, with exit code 1.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence

from pyflow_yarn.cli.main import EXIT_ERROR, EXIT_OK
from pyflow_yarn.cli.options import ACTIONS, DYNAMIC_PROPERTY, FLAVOURS, GENERAL, HELP, Option
from pyflow_yarn.cli.parser import ArgumentError, CommandLine, parse
from pyflow_yarn.client.configuration import configuration_directory, warn_about
from pyflow_yarn.client.signals import exit_code
from pyflow_yarn.configuration.distribution import bin_directory
from pyflow_yarn.configuration.loading import load
from pyflow_yarn.configuration.options import ENV_LOG_DIR, ENV_PID_DIR, ENV_SSH_OPTS, JOBMANAGER_RPC_ADDRESS, REST_PORT
from pyflow_yarn.deployment import standing, state
from pyflow_yarn.deployment.daemons import (
    LOCK_SECONDS,
    SESSION,
    STANDALONE_JOB,
    TASK_EXECUTOR,
    Daemon,
    Places,
    Ready,
    Service,
    stop,
)
from pyflow_yarn.errors import ClusterError, PyflowError

VARIABLES = {"FLINK_LOG_DIR": ENV_LOG_DIR, "FLINK_PID_DIR": ENV_PID_DIR, "FLINK_SSH_OPTS": ENV_SSH_OPTS}
VERBS = ("start", "start-foreground", "stop", "stop-all")
_HOST = Option("host", "host", "Host under which the JobManager is reached.", "host", 1)
_WEB_PORT = Option("webui-port", "webui-port", "Port of the REST interface.", "port", 1)
_JOB_MANAGER = Option("jobmanager", "jobmanager", "Address of a JobManager on another host.", "host:port", 1)
_SECRET_FROM_INPUT = Option("secret-from-input", "secret-from-input", "Read the cluster's secret from standard input.")
USAGE = {
    "start-cluster": "start-cluster.sh [-Dkey=value ...]",
    "stop-cluster": "stop-cluster.sh",
    "jobmanager": "jobmanager.sh ((start|start-foreground) [host] [webport] [-Dkey=value ...])|stop|stop-all",
    "standalone-job": (
        "standalone-job.sh ((start|start-foreground) [-Dkey=value ...] [options of flink run] script.py [arguments])"
        "|stop|stop-all"
    ),
    "taskmanager": (
        "taskmanager.sh ((start|start-foreground) [-Dkey=value ...] [--jobmanager host:port --secret-from-input])"
        "|stop|stop-all"
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the commands; its name is the first argument."""
    command, *words = sys.argv[1:] if arguments is None else arguments
    try:
        return _Command(command, os.environ).run(words)
    except ArgumentError as error:
        _tell(f"{error}\nUsage: {USAGE[command]}")
    except PyflowError as error:
        _tell(str(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        _tell(f"{error.filename2 or error.filename or 'A file'}: {error.strerror or error}.")
    except KeyboardInterrupt as interrupt:
        return exit_code(interrupt)
    return EXIT_ERROR


def _tell(sentence: str) -> None:
    sys.stdout.flush()
    print(sentence, file=sys.stderr, flush=True)


def _say(line: str) -> None:
    print(line, flush=True)


class _Command:
    def __init__(self, name: str, environment: MutableMapping[str, str]) -> None:
        self.name = name
        self.environment = environment  # which daemons inherit
        self.conf_dir = configuration_directory()

    def run(self, words: list[str]) -> int:
        if any(word in ("-h", "--help") for word in words):
            _say(f"Usage: {USAGE[self.name]}")
            return EXIT_OK
        whole: dict[str, Callable[[list[str]], int]] = {
            "start-cluster": self._start_cluster,
            "stop-cluster": self._stop_cluster,
        }
        if self.name in whole:
            return whole[self.name](words)
        if not words or words[0] not in VERBS:
            raise ArgumentError(f"Unexpected argument '{words[0] if words else ''}'!")
        service, start = {
            "jobmanager": (SESSION, self._start_job_manager),
            "standalone-job": (STANDALONE_JOB, self._start_application),
            "taskmanager": (TASK_EXECUTOR, self._start_task_manager),
        }[self.name]
        places = self._places()
        verb, *rest = words
        if not verb.startswith("start"):
            self._no_more(rest)
            with state.exclusive(places.state, LOCK_SECONDS):
                stop_daemons(places, service, every=verb == "stop-all")
            return EXIT_OK
        # The lock ends with this program, also where it becomes the daemon.
        with state.exclusive(places.state, LOCK_SECONDS):
            start(places, rest, foreground=verb == "start-foreground")
        return EXIT_OK

    def _places(self) -> Places:
        """What the environment does not say may be said by the configuration."""
        configuration = load(self.conf_dir, {})
        for name, option in VARIABLES.items():
            if not self.environment.get(name) and (value := option.read(configuration)):
                self.environment[name] = value
        places = Places(self.environment)
        places.prepare()
        return places

    @staticmethod
    def _no_more(words: Iterable[str]) -> None:
        for word in words:
            raise ArgumentError(f"Unexpected argument '{word}'!")

    # -- the whole cluster --

    def _start_cluster(self, words: list[str]) -> int:
        line = parse((HELP, DYNAMIC_PROPERTY), words, False)
        self._no_more(line.arguments)
        master = standing.read_master(self.conf_dir)
        workers = standing.read_workers(self.conf_dir)
        dynamic = [f"-D{key}={value}" for key, value in line.properties(DYNAMIC_PROPERTY).items()]
        others = [host for host in workers if not standing.is_here(host)]
        configuration = load(self.conf_dir, line.properties(DYNAMIC_PROPERTY))
        places = self._places()
        if others:
            standing.remote_address(places, configuration)
        with state.exclusive(places.state, LOCK_SECONDS):
            _say("Starting cluster.")
            at = [] if master.host in standing.LOCAL_NAMES else ["--host", master.host]
            web = ["--webui-port", master.web_port] if master.web_port and not REST_PORT.is_set(configuration) else []
            self._start_job_manager(places, [*at, *web, *dynamic])
            for host in workers:
                if standing.is_here(host):
                    self._start_task_manager(places, dynamic)
        failed = [host for host in others if not self._start_elsewhere(host, places, configuration, dynamic)]
        if failed:
            raise ClusterError(f"The TaskManager on {', '.join(failed)} could not be started; the others run.")
        return EXIT_OK

    def _start_elsewhere(self, host: str, places: Places, configuration: Mapping[str, str], dynamic: list[str]) -> bool:
        address = standing.remote_address(places, configuration)
        command = [str(bin_directory() / "taskmanager.sh"), "start", "--jobmanager", address, "--secret-from-input"]
        return standing.on_host(host, [*command, *dynamic], self.environment, standing.cluster_secret(places))

    def _stop_cluster(self, words: list[str]) -> int:
        self._no_more(words)
        places = self._places()
        failed = []
        for host in dict.fromkeys(standing.read_workers(self.conf_dir)):
            command = [str(bin_directory() / "taskmanager.sh"), "stop-all"]
            if not standing.is_here(host) and not standing.on_host(host, command, self.environment):
                failed.append(host)
        with state.exclusive(places.state, LOCK_SECONDS):
            # All of this host: without their JobManager, TaskManagers started by hand are of no use either.
            stop_daemons(places, TASK_EXECUTOR, every=True)
            stop_daemons(places, SESSION, every=False)
            if places.instances(STANDALONE_JOB):
                stop_daemons(places, STANDALONE_JOB, every=True)
        if failed:
            raise ClusterError(f"The TaskManagers on {', '.join(failed)} could not be stopped.")
        return EXIT_OK

    # -- one daemon --

    def _start_job_manager(self, places: Places, words: list[str], foreground: bool = False) -> None:
        line = parse((HELP, DYNAMIC_PROPERTY, _HOST, _WEB_PORT), words, False)
        if len(line.arguments) > 2:
            self._no_more(line.arguments[2:])
        host, port, *_ = [*line.arguments, "", ""]
        own = {
            JOBMANAGER_RPC_ADDRESS.key: line.value(_HOST) or host,
            REST_PORT.key: line.value(_WEB_PORT) or port,
        }
        configuration = self._configuration(line, {key: value for key, value in own.items() if value})
        _refuse_second(places)
        daemon = standing.job_manager(places)
        try:
            if self._start(daemon, SESSION, places, configuration, [], foreground) is not None:
                standing.await_leader(daemon.directory, daemon.log_file)
        finally:
            daemon.close()

    def _start_application(self, places: Places, words: list[str], foreground: bool = False) -> None:
        from pyflow_yarn.cli.run import check_files, program_of

        options = (*GENERAL, *ACTIONS["run"].options, *(option for flavour in FLAVOURS.values() for option in flavour))
        line = parse(options, words, True)
        configuration = self._configuration(line, {})
        check_files(program_of(line), configuration)
        _refuse_second(places)
        daemon = standing.job_manager(places, STANDALONE_JOB)
        try:
            state.write_private(os.path.join(daemon.directory, state.APPLICATION), "\n".join(words))
            arguments = ["--pid-file", daemon.pid_file]
            self._start(daemon, STANDALONE_JOB, places, configuration, arguments, foreground, ["--", *words])
        finally:
            daemon.close()

    def _start_task_manager(self, places: Places, words: list[str], foreground: bool = False) -> None:
        line = parse((HELP, DYNAMIC_PROPERTY, _JOB_MANAGER, _SECRET_FROM_INPUT), words, False)
        self._no_more(line.arguments)
        configuration = self._configuration(line, {})
        secret = ""
        if line.has(_SECRET_FROM_INPUT) and not (secret := sys.stdin.read(standing.LARGEST_SECRET).strip()):
            raise ArgumentError("There is no secret on standard input.")
        _say_running(places, TASK_EXECUTOR)
        daemon = standing.task_manager(places, secret)
        arguments = standing.task_manager_arguments(places, line.value(_JOB_MANAGER) or "")
        try:
            self._start(daemon, TASK_EXECUTOR, places, configuration, arguments, foreground)
        finally:
            daemon.close()

    def _configuration(self, line: CommandLine, own: Mapping[str, str]) -> Mapping[str, str]:
        configuration = load(self.conf_dir, {**own, **line.properties(DYNAMIC_PROPERTY)})
        warn_about(configuration)
        # The daemon is told where its log is; what else it logs comes beside it.
        configuration.pop(ENV_LOG_DIR.key, None)
        return configuration

    @staticmethod
    def _start(
        daemon: Daemon,
        service: Service,
        places: Places,
        configuration: Mapping[str, str],
        arguments: list[str],
        foreground: bool,
        words: Sequence[str] = (),
    ) -> Ready | None:
        if foreground:
            _say(f"Starting {service.name} as a console application on host {places.host}.")
            daemon.become(configuration, arguments, words)
        _say(f"Starting {service.name} daemon on host {places.host}.")
        try:
            return daemon.spawn(configuration, arguments, words)
        except PyflowError:
            _tell(f"Error starting {service.name} daemon.")
            raise


def _refuse_second(places: Places) -> None:
    for service in (SESSION, STANDALONE_JOB):
        _say_running(places, service)
        if standing.instances_of(places, service):
            raise ClusterError(
                "The JobManager of this cluster runs already: stop it first (bin/stop-cluster.sh), or start another"
                " cluster with a state directory (XDG_STATE_HOME) and ports of its own."
            )


def _say_running(places: Places, service: Service) -> None:
    if count := standing.instances_of(places, service):
        _say(f"[INFO] {count} instance(s) of {service.name} are already running on {places.host}.")


def stop_daemons(places: Places, service: Service, every: bool) -> None:
    """Stop the daemon that was started last, or all of them."""
    found = places.instances(service)
    if not found:
        _say(f"No {service.name} daemon to stop on host {places.host}.")
    for instance in reversed(found if every else found[-1:]):
        if instance.alive():
            _say(f"Stopping {service.name} daemon (pid: {instance.pid}) on host {places.host}.")
            stop(places, service, instance)
        else:
            stop(places, service, instance)
            why = f"(pid: {instance.pid})"
            if every:
                _say(f"Skipping {service.name} daemon {why}, because it is not running anymore on {places.host}.")
            else:
                _say(f"No {service.name} daemon {why} is running anymore on {places.host}.")


if __name__ == "__main__":
    sys.exit(main())
