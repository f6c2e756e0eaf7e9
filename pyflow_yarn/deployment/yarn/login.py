"""Who deploys: the principal of a keytab or of tickets where the cluster wants Kerberos, else the process's user."""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

from pyflow_yarn.configuration.options import (
    SECURITY_KERBEROS_KRB5_CONF_PATH,
    SECURITY_KERBEROS_LOGIN_KEYTAB,
    SECURITY_KERBEROS_LOGIN_PRINCIPAL,
)
from pyflow_yarn.errors import ConfigurationError
from pyflow_yarn.yarn.hadoop_configuration import HadoopConfiguration
from pyflow_yarn.yarn.kerberos import log_in, logged_in


@dataclass(frozen=True)
class Login:
    """The user's name for HDFS and YARN, and what skein's driver logs in with; empty without a keytab."""

    user: str
    keytab: str = ""
    principal: str = ""


def log_in_to(
    hadoop: HadoopConfiguration, configuration: Mapping[str, str], environment: MutableMapping[str, str]
) -> Login:
    """Who this process is for the cluster from now on."""
    if hadoop.get("hadoop.security.authentication") != "kerberos":
        return Login(environment.get("HADOOP_USER_NAME") or getpass.getuser())
    if path := SECURITY_KERBEROS_KRB5_CONF_PATH.read(configuration):
        if not os.path.isfile(path):
            raise ConfigurationError(f"There is no file {path}: correct {SECURITY_KERBEROS_KRB5_CONF_PATH.key}.")
        environment["KRB5_CONFIG"] = path
    keytab = SECURITY_KERBEROS_LOGIN_KEYTAB.read(configuration) or ""
    principal = SECURITY_KERBEROS_LOGIN_PRINCIPAL.read(configuration) or ""
    if bool(keytab) != bool(principal):
        both = f"{SECURITY_KERBEROS_LOGIN_KEYTAB.key} and {SECURITY_KERBEROS_LOGIN_PRINCIPAL.key}"
        raise ConfigurationError(f"Only one of {both} is set: set both, or none to use the tickets of kinit.")
    if keytab:
        log_in(principal, keytab)
    # What stands in front of host and realm; rules of the cluster that rename users are not known here.
    return Login(re.split("[/@]", logged_in())[0], keytab, principal)
