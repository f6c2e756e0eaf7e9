"""The certificate authority of a cluster, and the keys of its members.

It belongs to one cluster and ends with it: nothing outside should trust it. Certificates name members, not hosts.
"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pyflow_runtime.processes.layout import write_atomically
from pyflow_runtime.rpc.handshake import member_name
from pyflow_yarn.errors import ClusterError, ConfigurationError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey

AUTHORITY, CERTIFICATE, KEY = "ca.pem", "cert.pem", "key.pem"
_AUTHORITY_KEY = "ca-key.pem"
_VALID_DAYS = 3650


class RequestError(ClusterError):
    """What should be signed is no request of a member."""


class CertificateAuthority:
    """Signs the keys of members; its own key stays in ``directory`` (0700), where a restarted JobManager finds it."""

    def __init__(self, directory: Path) -> None:
        """Open the authority in ``directory``, or make it; ``ConfigurationError`` if what is there cannot be used."""
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        self._certificate_file, key_file = directory / AUTHORITY, directory / _AUTHORITY_KEY
        if not self._certificate_file.exists():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            key = ec.generate_private_key(ec.SECP256R1())
            name = _name("pyflow cluster")
            certificate = _certificate(name, key.public_key(), name, key, authority=True)
            write_atomically(key_file, _private_pem(key))
            write_atomically(self._certificate_file, certificate.public_bytes(serialization.Encoding.PEM))
        try:
            self.certificate = self._certificate_file.read_bytes()
            self._name = x509.load_pem_x509_certificate(self.certificate).subject
            loaded = serialization.load_pem_private_key(key_file.read_bytes(), None)
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"The cluster's certificate authority in {directory} cannot be used: {error}."
                " Remove that directory to have a new one made, and restart all TaskManagers."
            ) from error
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise ConfigurationError(f"{key_file} holds no elliptic curve key: remove {directory}.")
        self._key = loaded

    def sign(self, request: bytes, member: str) -> bytes:
        """A certificate (PEM) that binds the key of a signing request (PEM) to the name of a member."""
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        try:
            asked = x509.load_pem_x509_csr(request)
            key = asked.public_key()
            valid = asked.is_signature_valid
        except Exception as error:  # the library has no common base class for what it refuses
            raise RequestError(f"The request of {member} for a certificate cannot be read: {error}.") from error
        if not valid or not isinstance(key, ec.EllipticCurvePublicKey):
            raise RequestError(f"The request of {member} for a certificate is not signed with its own key.")
        certificate = _certificate(_name(member_name(member)), key, self._name, self._key, authority=False)
        return certificate.public_bytes(serialization.Encoding.PEM)

    def equip(self, directory: Path, member: str) -> Path:
        """Make a member's ``ca.pem``, ``cert.pem`` and ``key.pem`` in ``directory``; returns it."""
        key, request = new_key(member)
        return write_member(directory, self.certificate, self.sign(request, member), key)


def new_key(member: str) -> tuple[bytes, bytes]:
    """A new private key and the request to have it signed, both PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(member_name(member))
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return _private_pem(key), request.public_bytes(serialization.Encoding.PEM)


def write_member(directory: Path, authority: bytes, certificate: bytes, key: bytes) -> Path:
    """Put a member's files in place, readable by this user alone; returns the directory."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, content in ((AUTHORITY, authority), (CERTIFICATE, certificate), (KEY, key)):
        write_atomically(directory / name, content)
    return directory


def _private_pem(key: EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _name(text: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(
    subject: x509.Name,
    key: EllipticCurvePublicKey,
    issuer: x509.Name,
    issuer_key: EllipticCurvePrivateKey,
    *,
    authority: bool,
) -> x509.Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=_VALID_DAYS))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
