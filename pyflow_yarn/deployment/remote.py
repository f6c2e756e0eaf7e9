"""Target ``remote``: a cluster that runs already, reached at ``rest.address`` and ``rest.port``."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pyflow_yarn.configuration.options import REST_ADDRESS, REST_PORT, SECURITY_REST_TOKEN_FILE
from pyflow_yarn.deployment.cluster import Endpoint
from pyflow_yarn.deployment.layout import PREFIX, base_directory
from pyflow_yarn.deployment.state import registered_cluster
from pyflow_yarn.errors import ConfigurationError

DEFAULT_ADDRESS = "localhost"
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class RemoteCluster:
    """A running cluster, which jobs and clients come and go on."""

    ends_with_client = False

    def __init__(self, configuration: Mapping[str, str]) -> None:
        self._host = REST_ADDRESS.read(configuration) or DEFAULT_ADDRESS
        self._port = REST_PORT.read(configuration)
        self._token_file = SECURITY_REST_TOKEN_FILE.read(configuration)

    def endpoint(self) -> Endpoint:
        """Where the REST server is said to be; nobody has looked yet."""
        return Endpoint(f"{self._host}:{self._port}", self._token())

    def _token(self) -> str:
        if self._token_file:
            try:
                with open(self._token_file, encoding="ascii") as file:
                    return file.read().strip()
            except OSError as error:
                what = f"The token file '{self._token_file}' ({SECURITY_REST_TOKEN_FILE.key})"
                raise ConfigurationError(f"{what} cannot be read: {error.strerror}.") from None
        if self._host in LOOPBACK:
            return _own_token(self._port)
        return ""

    def check(self) -> None:
        """Nothing is known of the processes of a remote cluster."""

    def stop(self) -> None:
        """The cluster goes on."""


def _own_token(port: int) -> str:
    """The token of a local cluster of this user that listens on the port, else ""."""
    import msgspec

    class Written(msgspec.Struct):
        rest_address: str = ""

    registered = registered_cluster(os.environ)
    if registered is not None and registered.alive and registered.endpoint.address.rpartition(":")[2] == str(port):
        return registered.endpoint.token
    base = base_directory()
    for name in os.listdir(base):
        directory = os.path.join(base, name)
        try:
            if not name.startswith(PREFIX) or os.stat(directory).st_uid != os.getuid():
                continue
            with open(os.path.join(directory, "endpoint.json"), "rb") as file:
                address = msgspec.json.decode(file.read(), type=Written).rest_address
            if address.rpartition(":")[2] == str(port):
                with open(os.path.join(directory, "token"), encoding="ascii") as token:
                    return token.read().strip()
        except (OSError, msgspec.DecodeError):
            continue
    return ""
