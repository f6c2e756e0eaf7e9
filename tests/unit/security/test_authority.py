"""The cluster's certificate authority signs keys of members, and nothing else."""

from __future__ import annotations

import base64
import hashlib
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pyflow_runtime.security.authority import CertificateAuthority, RequestError, new_key
from pyflow_yarn.errors import ConfigurationError


def test_a_signed_key_belongs_to_its_member(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path / "ca")
    _, request = new_key("whoever")
    certificate = x509.load_pem_x509_certificate(authority.sign(request, "taskmanager-7"))
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.certificate))
    assert certificate.subject.rfc4514_string() == "CN=taskmanager-7"
    assert certificate.public_key() == x509.load_pem_x509_csr(request).public_key()
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False


def test_the_authority_is_found_again(tmp_path: Path) -> None:
    first, again = CertificateAuthority(tmp_path / "ca"), CertificateAuthority(tmp_path / "ca")
    assert again.certificate == first.certificate
    certificate = x509.load_pem_x509_certificate(again.sign(new_key("m")[1], "m"))
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(first.certificate))


def test_nobody_else_can_read_what_is_written(tmp_path: Path) -> None:
    CertificateAuthority(tmp_path / "ca").equip(tmp_path / "member", "m")
    for folder in ("ca", "member"):
        assert stat.S_IMODE((tmp_path / folder).stat().st_mode) == 0o700
        for file in (tmp_path / folder).iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert {file.name for file in (tmp_path / "member").iterdir()} == {"ca.pem", "cert.pem", "key.pem"}


@pytest.mark.parametrize("name", ["host." * 20 + "17", "ü" * 33])
def test_names_that_are_too_long_are_told_apart_by_their_digest(tmp_path: Path, name: str) -> None:
    certificate = x509.load_pem_x509_certificate(CertificateAuthority(tmp_path / "ca").sign(new_key(name)[1], name))
    assert certificate.subject.rfc4514_string() == f"CN={hashlib.sha256(name.encode()).hexdigest()}"


@pytest.mark.parametrize("request_bytes", [b"", b"garbage", b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n"])
def test_garbage_is_not_signed(tmp_path: Path, request_bytes: bytes) -> None:
    with pytest.raises(RequestError, match="of t1 for a certificate cannot be read"):
        CertificateAuthority(tmp_path / "ca").sign(request_bytes, "t1")


def test_a_request_that_was_tampered_with_is_not_signed(tmp_path: Path) -> None:
    body = bytearray(x509.load_pem_x509_csr(new_key("m")[1]).public_bytes(Encoding.DER))
    body[-1] ^= 1
    text = b"-----BEGIN CERTIFICATE REQUEST-----\n" + base64.encodebytes(body) + b"-----END CERTIFICATE REQUEST-----\n"
    with pytest.raises(RequestError):
        CertificateAuthority(tmp_path / "ca").sign(text, "m")


def test_a_damaged_authority_is_named(tmp_path: Path) -> None:
    CertificateAuthority(tmp_path / "ca")
    (tmp_path / "ca" / "ca-key.pem").write_text("nonsense")
    with pytest.raises(ConfigurationError, match="Remove that directory"):
        CertificateAuthority(tmp_path / "ca")
