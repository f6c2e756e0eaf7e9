"""TLS between the members of a cluster: contexts made from a member's ``ca.pem``, ``cert.pem`` and ``key.pem``."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, NamedTuple

from pyflow_runtime.rpc.errors import AuthenticationError


class ServerTls(NamedTuple):
    """A context for a server that also lets in who has no certificate yet, and the certificate that it shows (DER).

    ``names_members``: each member has a certificate of its own, which bears the name by which it says hello.
    """

    context: ssl.SSLContext
    certificate: bytes
    names_members: bool


def mutual_tls(directory: Path, *, server: bool) -> ssl.SSLContext:
    """Both sides show a certificate of the same authority; ``AuthenticationError`` if the files cannot be used."""
    context = _context(server=server)
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_verify_locations(directory / "ca.pem")
        context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    except (OSError, ssl.SSLError) as error:
        raise AuthenticationError(
            f"the certificates in {directory} (ca.pem, cert.pem, key.pem) cannot be used: {error}"
        ) from error
    return context


def server_tls(directory: Path, *, names_members: bool = False) -> ServerTls:
    """For a server where processes may join: the handshake asks everybody else for a certificate."""
    context = mutual_tls(directory, server=True)
    context.verify_mode = ssl.CERT_OPTIONAL
    certificate = ssl.PEM_cert_to_DER_cert((directory / "cert.pem").read_text())
    return ServerTls(context, certificate, names_members)


def name_shown(connection: ssl.SSLObject) -> str | None:
    """The name in the certificate that the other side has shown and the context has verified; None without one."""
    if not (certificate := connection.getpeercert()):
        return None
    subject: Any = certificate["subject"]
    names = [str(value) for part in subject for kind, value in part if kind == "commonName"]
    return names[0] if len(names) == 1 else ""


def joining_tls() -> ssl.SSLContext:
    """For a client that knows no authority yet: the proofs of the handshake vouch for the server."""
    context = _context(server=False)
    context.verify_mode = ssl.CERT_NONE
    return context


def _context(*, server: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    return context
