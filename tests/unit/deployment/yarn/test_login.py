"""Who deploys, without a realm: tests/yarn/test_kerberos.py has one."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyflow_yarn.deployment.yarn import login
from pyflow_yarn.deployment.yarn.login import Login, log_in_to
from pyflow_yarn.errors import ConfigurationError
from pyflow_yarn.yarn.hadoop_configuration import HadoopConfiguration

KEYTAB = {"security.kerberos.login.keytab": "/k", "security.kerberos.login.principal": "ann/edge@A.B"}


@pytest.fixture
def logins(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The logins by keytab; tickets are those of bob."""
    seen: list[tuple[str, str]] = []
    monkeypatch.setattr(login, "log_in", lambda principal, keytab: seen.append((principal, keytab)))
    monkeypatch.setattr(login, "logged_in", lambda: seen[-1][0] if seen else "bob@A.B")
    return seen


def hadoop(folder: Path, authentication: str = "kerberos") -> HadoopConfiguration:
    (folder / "core-site.xml").write_text(
        "<configuration><property><name>hadoop.security.authentication</name>"
        f"<value>{authentication}</value></property></configuration>"
    )
    return HadoopConfiguration(folder)


def test_without_kerberos_the_environment_tells(tmp_path: Path, logins: list[tuple[str, str]]) -> None:
    assert log_in_to(hadoop(tmp_path, "simple"), KEYTAB, {"HADOOP_USER_NAME": "eve"}) == Login("eve")
    assert logins == []


def test_tickets_tell_and_the_environment_does_not(tmp_path: Path, logins: list[tuple[str, str]]) -> None:
    assert log_in_to(hadoop(tmp_path), {}, {"HADOOP_USER_NAME": "eve"}) == Login("bob")


def test_a_keytab_makes_its_principal(tmp_path: Path, logins: list[tuple[str, str]]) -> None:
    assert log_in_to(hadoop(tmp_path), KEYTAB, {}) == Login("ann", "/k", "ann/edge@A.B")
    assert logins == [("ann/edge@A.B", "/k")]


@pytest.mark.parametrize("key", KEYTAB)
def test_keytab_and_principal_belong_together(tmp_path: Path, logins: list[tuple[str, str]], key: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^Only one of security\.\S+keytab and security\.\S+principal is set"):
        log_in_to(hadoop(tmp_path), {key: KEYTAB[key]}, {})


def test_another_krb5_conf_holds_for_every_library(tmp_path: Path, logins: list[tuple[str, str]]) -> None:
    environment: dict[str, str] = {}
    path = tmp_path / "krb5.conf"
    with pytest.raises(ConfigurationError, match=r"krb5\.conf: correct security\.kerberos\.krb5-conf\.path\.$"):
        log_in_to(hadoop(tmp_path), {"security.kerberos.krb5-conf.path": str(path)}, environment)
    path.touch()
    log_in_to(hadoop(tmp_path), {"security.kerberos.krb5-conf.path": str(path)}, environment)
    assert environment == {"KRB5_CONFIG": str(path)}
