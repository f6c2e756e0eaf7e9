"""YARN: applications, their containers and what is staged for them."""

from __future__ import annotations

from pyflow_yarn.configuration.config_option import (
    ConfigOption,
    boolean,
    choice,
    duration,
    integer,
    number,
    ports,
    string_list,
    string_map,
    text,
)

_DAY = 24 * 3600 * 1000

YARN_APPLICATION_ID: ConfigOption[str | None] = ConfigOption(
    "yarn.application.id", text(), None, "Id of the running application that commands turn to."
)
YARN_APPLICATION_NAME: ConfigOption[str | None] = ConfigOption(
    "yarn.application.name",
    text(),
    None,
    "Name of the application on YARN; unset: `Flink Application Cluster`, `Flink session cluster` or `Flink per-job"
    " cluster`.",
)
YARN_APPLICATION_TYPE: ConfigOption[str | None] = ConfigOption(
    "yarn.application.type", text(), None, "Type of the application on YARN; unset: `Apache Flink`."
)
YARN_APPLICATION_QUEUE: ConfigOption[str | None] = ConfigOption(
    "yarn.application.queue",
    text(),
    None,
    "Queue of the application, by its name or its path: `etl` or `root.etl`; unset: `default`.",
)
YARN_APPLICATION_PRIORITY: ConfigOption[int] = ConfigOption(
    "yarn.application.priority",
    integer(-1),
    -1,
    "Priority within the queue, up to the cluster's `yarn.cluster.max-application-priority`; -1: the queue's default."
    " Where skein's driver submits, as with Kerberos, it has no effect.",
)
YARN_APPLICATION_NODE_LABEL: ConfigOption[str | None] = ConfigOption(
    "yarn.application.node-label", text(), None, "Label of the nodes that the application's containers run on."
)
YARN_TASKMANAGER_NODE_LABEL: ConfigOption[str | None] = ConfigOption(
    "yarn.taskmanager.node-label",
    text(),
    None,
    "Label of the nodes of TaskManagers, instead of `yarn.application.node-label`.",
)
YARN_TAGS: ConfigOption[str] = ConfigOption("yarn.tags", text(), "", "Tags of the application, separated by commas.")
YARN_APPLICATION_ATTEMPTS: ConfigOption[int | None] = ConfigOption(
    "yarn.application-attempts",
    integer(1),
    None,
    "How often YARN starts the ApplicationMaster in all, at most as often as YARN is configured to; unset: twice. A"
    " JobManager that crashes is started again in its container and costs no attempt.",
)
YARN_APPLICATION_ATTEMPT_FAILURES_VALIDITY_INTERVAL: ConfigOption[int] = ConfigOption(
    "yarn.application-attempt-failures-validity-interval",
    integer(-1),
    10_000,
    "Milliseconds after which a failed attempt no longer counts. Without effect here: YARN counts all attempts.",
)
YARN_APPLICATION_MASTER_PORT: ConfigOption[str] = ConfigOption(
    "yarn.application-master.port",
    ports(),
    "0",
    "Port, range or list of ports of which the JobManager's RPC takes the first free one; 0 takes any. The REST"
    " interface has `rest.bind-port`.",
)
YARN_APPMASTER_VCORES: ConfigOption[int] = ConfigOption(
    "yarn.appmaster.vcores", integer(1), 1, "Virtual cores of the JobManager's container."
)
YARN_CONTAINERS_VCORES: ConfigOption[int] = ConfigOption(
    "yarn.containers.vcores",
    integer(-1),
    -1,
    "Virtual cores of a TaskManager's container; -1: as many as it has slots.",
)
TASKMANAGER_CPU_CORES: ConfigOption[float | None] = ConfigOption(
    "taskmanager.cpu.cores",
    number(0),
    None,
    "Cores of a TaskManager, rounded down to virtual cores of its container; stronger than `yarn.containers.vcores`.",
)
YARN_STAGING_DIRECTORY: ConfigOption[str | None] = ConfigOption(
    "yarn.staging-directory",
    text(),
    None,
    "Directory of the file system below which `.flink` holds the files of applications; unset: the user's home.",
)
YARN_STAGING_CACHE_RETENTION: ConfigOption[int] = ConfigOption(
    "yarn.staging-cache.retention",
    duration(_DAY),
    30 * _DAY,
    "How long files that applications share stay in `.flink/cache` when none uses them; the next deployment removes"
    " them. What an application uses that runs, stays.",
)
YARN_FILE_REPLICATION: ConfigOption[int] = ConfigOption(
    "yarn.file-replication",
    integer(-1),
    -1,
    "How many copies HDFS keeps of files staged there; -1: as many as it is configured to.",
)
YARN_PROVIDED_LIB_DIRS: ConfigOption[list[str] | None] = ConfigOption(
    "yarn.provided.lib.dirs",
    string_list(),
    None,
    "Copies of `.flink/cache` on HDFS, readable by everybody: what is there is not uploaded, and a node keeps it once"
    " for all users.",
)
YARN_PROVIDED_USRLIB_DIR: ConfigOption[str | None] = ConfigOption(
    "yarn.provided.usrlib.dir",
    text(),
    None,
    "Directory with jars of users. Without effect here: there is no class path.",
)
YARN_SHIP_FILES: ConfigOption[list[str] | None] = ConfigOption(
    "yarn.ship-files",
    string_list(),
    None,
    "Files and directories, local or on HDFS, that are laid into the working directory of every container.",
    ("yarn.ship-directories",),
)
YARN_SHIP_ARCHIVES: ConfigOption[list[str] | None] = ConfigOption(
    "yarn.ship-archives",
    string_list(),
    None,
    "Archives, local or on HDFS, that are unpacked in every container under their file names.",
)
YARN_FLINK_DIST_JAR: ConfigOption[str | None] = ConfigOption(
    "yarn.flink-dist-jar",
    text(),
    None,
    "Place of the distribution's jar. Without effect here: what runs is the client's own installation.",
)
YARN_CLASSPATH_INCLUDE_USER_JAR: ConfigOption[str] = ConfigOption(
    "yarn.classpath.include-user-jar",
    choice("ORDER", "FIRST", "LAST", "DISABLED"),
    "ORDER",
    "Place of user jars in the class path. Without effect here: there is no class path.",
    ("yarn.per-job-cluster.include-user-jar",),
)
YARN_CONTAINER_START_COMMAND_TEMPLATE: ConfigOption[str] = ConfigOption(
    "yarn.container-start-command-template",
    text(),
    "%java% %jvmmem% %jvmopts% %logging% %class% %args% %redirects%",
    "Shape of the command lines of containers. Without effect here: no JVM runs in them but YARN's own.",
)
YARN_HEARTBEAT_INTERVAL: ConfigOption[int] = ConfigOption(
    "yarn.heartbeat.interval",
    integer(1),
    5,
    "Seconds between two heartbeats of an idle ApplicationMaster. Without effect here: it is half a second, always.",
    ("yarn.heartbeat-delay",),
)
YARN_HEARTBEAT_CONTAINER_REQUEST_INTERVAL: ConfigOption[int] = ConfigOption(
    "yarn.heartbeat.container-request-interval",
    duration(1),
    500,
    "Time between two heartbeats while containers are wanted. Without effect here: it is half a second, always.",
)
YARN_PROPERTIES_FILE_LOCATION: ConfigOption[str | None] = ConfigOption(
    "yarn.properties-file.location",
    text(),
    None,
    "Directory of the file `.yarn-properties-<user>`, in which a session notes its id for later commands; unset: the"
    " directory for temporary files.",
)
YARN_ROLLED_LOGS_INCLUDE_PATTERN: ConfigOption[str | None] = ConfigOption(
    "yarn.rolled-logs.include-pattern",
    text(),
    None,
    "Names of log files that YARN collects while the application runs. Without effect here: YARN collects logs at the"
    " end, and until then they are on the nodes.",
)
YARN_ROLLED_LOGS_EXCLUDE_PATTERN: ConfigOption[str | None] = ConfigOption(
    "yarn.rolled-logs.exclude-pattern",
    text(),
    None,
    "Names of log files that it does not collect while the application runs. Without effect here, as above.",
)
YARN_VIEW_ACLS: ConfigOption[str | None] = ConfigOption(
    "yarn.view.acls",
    text(),
    None,
    "Who besides the owner may see the application: users separated by commas, a space, groups; `*` is everybody.",
)
YARN_MODIFY_ACLS: ConfigOption[str | None] = ConfigOption(
    "yarn.modify.acls", text(), None, "Who besides the owner may end the application, in the same form."
)
SECURITY_KERBEROS_LOGIN_KEYTAB: ConfigOption[str | None] = ConfigOption(
    "security.kerberos.login.keytab",
    text(),
    None,
    "Keytab with which a client logs in to a YARN that wants Kerberos; without one the tickets of `kinit` count.",
)
SECURITY_KERBEROS_LOGIN_PRINCIPAL: ConfigOption[str | None] = ConfigOption(
    "security.kerberos.login.principal", text(), None, "Who the keytab makes the client."
)
SECURITY_KERBEROS_KRB5_CONF_PATH: ConfigOption[str | None] = ConfigOption(
    "security.kerberos.krb5-conf.path",
    text(),
    None,
    "The client's `krb5.conf`, instead of the one that `KRB5_CONFIG` names or that of the system. Nodes keep theirs.",
)
SECURITY_KERBEROS_ACCESS_HADOOP_FILE_SYSTEMS: ConfigOption[list[str]] = ConfigOption(
    "security.kerberos.access.hadoopFileSystems",
    string_list(),
    [],
    "File systems besides `fs.defaultFS` for which applications on YARN get tokens, as URIs.",
    ("yarn.security.kerberos.additionalFileSystems",),
)
YARN_SECURITY_KERBEROS_LOCALIZED_KEYTAB_PATH: ConfigOption[str] = ConfigOption(
    "yarn.security.kerberos.localized-keytab-path",
    text(),
    "krb5.keytab",
    "Place of the keytab in containers. Without effect here: keytabs stay on the client, containers get tokens.",
)
YARN_SECURITY_KERBEROS_SHIP_LOCAL_KEYTAB: ConfigOption[bool] = ConfigOption(
    "yarn.security.kerberos.ship-local-keytab",
    boolean(),
    True,
    "Whether the keytab is staged. Without effect here: keytabs stay on the client, containers get tokens.",
)
CONTAINERIZED_MASTER_ENV: ConfigOption[dict[str, str] | None] = ConfigOption(
    "containerized.master.env",
    string_map(),
    None,
    "Variables of the environment of the JobManager's container, each as `containerized.master.env.NAME`.",
)
CONTAINERIZED_TASKMANAGER_ENV: ConfigOption[dict[str, str] | None] = ConfigOption(
    "containerized.taskmanager.env",
    string_map(),
    None,
    "Variables of the environment of TaskManagers' containers, each as `containerized.taskmanager.env.NAME`.",
)
FLINK_YARN: ConfigOption[dict[str, str] | None] = ConfigOption(
    "flink.yarn",
    string_map(),
    None,
    "Properties of YARN's configuration, stronger than its files: `flink.yarn.<k>` is its property `yarn.<k>`.",
)
FLINK_HADOOP: ConfigOption[dict[str, str] | None] = ConfigOption(
    "flink.hadoop",
    string_map(),
    None,
    "Properties of Hadoop's configuration, stronger than its files: `flink.hadoop.<k>` is its property `<k>`.",
)
ENV_HADOOP_CONF_DIR: ConfigOption[str | None] = ConfigOption(
    "env.hadoop.conf.dir", text(), None, "Folder of Hadoop's configuration, where `HADOOP_CONF_DIR` is not set."
)
ENV_YARN_CONF_DIR: ConfigOption[str | None] = ConfigOption(
    "env.yarn.conf.dir", text(), None, "Folder of YARN's configuration, where `YARN_CONF_DIR` is not set."
)
