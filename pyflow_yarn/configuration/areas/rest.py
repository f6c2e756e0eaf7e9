"""REST interface, client and web interface."""

from __future__ import annotations

from pyflow_yarn.configuration.config_option import ConfigOption, boolean, choice, duration, integer, ports, text

REST_ADDRESS: ConfigOption[str | None] = ConfigOption(
    "rest.address", text(), None, "Host of the REST interface that a client connects to."
)
REST_PORT: ConfigOption[int] = ConfigOption(
    "rest.port",
    integer(0, 65535),
    8081,
    "Port that a client connects to, and to which the server binds by default.",
    ("web.port", "jobmanager.web.port"),
)
REST_BIND_ADDRESS: ConfigOption[str | None] = ConfigOption(
    "rest.bind-address",
    text(),
    None,
    "Interface on which the REST interface listens; unset: 127.0.0.1.",
    ("web.address", "jobmanager.web.address"),
)
REST_BIND_PORT: ConfigOption[str] = ConfigOption(
    "rest.bind-port",
    ports(),
    "8081",
    "Port, range or list of ports of which the server takes the first free one. Target `local` takes any free port"
    " unless this is set.",
)
REST_CONNECTION_TIMEOUT: ConfigOption[int] = ConfigOption(
    "rest.connection-timeout", duration(1), 15_000, "How long a client waits for a connection."
)
REST_IDLENESS_TIMEOUT: ConfigOption[int] = ConfigOption(
    "rest.idleness-timeout", duration(1), 300_000, "After which time an idle connection is closed."
)
REST_RETRY_MAX_ATTEMPTS: ConfigOption[int] = ConfigOption(
    "rest.retry.max-attempts", integer(0), 20, "How often a client repeats a request that could not be answered."
)
REST_RETRY_DELAY: ConfigOption[int] = ConfigOption("rest.retry.delay", duration(), 3_000, "Pause before it does.")
REST_SERVER_MAX_CONTENT_LENGTH: ConfigOption[int] = ConfigOption(
    "rest.server.max-content-length", integer(1024), 104_857_600, "Largest body of a request in bytes."
)
WEB_CANCEL_ENABLE: ConfigOption[bool] = ConfigOption(
    "web.cancel.enable", boolean(), True, "Whether jobs may be cancelled through the web interface."
)
WEB_REFRESH_INTERVAL: ConfigOption[int] = ConfigOption(
    "web.refresh-interval",
    duration(100),
    3_000,
    "Period in which the web interface refreshes itself.",
    ("jobmanager.web.refresh-interval",),
)
WEB_EXCEPTION_HISTORY_SIZE: ConfigOption[int] = ConfigOption(
    "web.exception-history-size",
    integer(1),
    16,
    "Number of failures that are remembered for each job.",
    ("jobmanager.web.exception-history-size",),
)
WEB_ACCESS_CONTROL_ALLOW_ORIGIN: ConfigOption[str] = ConfigOption(
    "web.access-control-allow-origin",
    text(),
    "*",
    "Value of the header `access-control-allow-origin` of REST answers.",
    ("jobmanager.web.access-control-allow-origin",),
)
SECURITY_REST_AUTH: ConfigOption[str] = ConfigOption(
    "security.rest.auth",
    choice("token", "none"),
    "token",
    "Who may use the REST interface: whoever has the cluster's `token`, or (`none`) everybody who reaches its port.",
)
SECURITY_REST_TOKEN_FILE: ConfigOption[str | None] = ConfigOption(
    "security.rest.token-file",
    text(),
    None,
    "File that holds the token of the cluster a client connects to. Not needed for local clusters of the same user.",
)
SECURITY_SSL_INTERNAL_ENABLED: ConfigOption[bool] = ConfigOption(
    "security.ssl.internal.enabled",
    boolean(),
    False,
    "Whether processes on different hosts talk with mutual TLS.",
    ("security.ssl.enabled",),
)
