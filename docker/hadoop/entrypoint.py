"""Becomes one daemon of a Hadoop cluster: ``entrypoint.py CLUSTER DAEMON``; ``client`` only writes a configuration.

The folder CLUSTER holds ``addresses.json``: the host of each daemon and the port of each service. Everything else
stands in ``settings.json`` beside this file. ``HADOOP_HOME`` and ``JAVA_HOME`` say where the jars and Java are.
"""

from __future__ import annotations

import getpass
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn
from xml.sax.saxutils import escape

SITES = ("core-site", "hdfs-site", "yarn-site", "capacity-scheduler")
KRB5 = """[libdefaults]
    default_realm = {realm}
    dns_lookup_kdc = false
    dns_canonicalize_hostname = false
    rdns = false
    udp_preference_limit = 1
[realms]
    {realm} = {{
        kdc = {kdc}:{kdc_tickets}
        database_name = {data}/principals
        key_stash_file = {data}/stash
        kdc_listen = ""
        kdc_tcp_listen = {kdc}:{kdc_tickets}
    }}
"""
LOG4J = """log4j.rootLogger=INFO,console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.target=System.err
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d{ISO8601} %p %c{2}: %m%n
log4j.logger.org.apache.hadoop.util.NativeCodeLoader=ERROR
"""
# Hadoop 3.4 looks into these from Java 17 on.
OPENED = ("java.base/java.lang", "java.base/java.util", "java.base/java.io", "java.base/java.net", "java.base/java.nio")
JVM = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Djava.net.preferIPv4Stack=true",
    "-Dzookeeper.forceSync=no",
    *(f"--add-opens={package}=ALL-UNNAMED" for package in OPENED),
)


def load_settings() -> dict[str, Any]:
    """What ``settings.json`` says."""
    settings: dict[str, Any] = json.loads(Path(__file__).with_name("settings.json").read_text())
    return settings


def load_addresses(cluster: Path) -> dict[str, str]:
    """Where everything is; only a cluster with Kerberos has a ``kdc``."""
    addresses: dict[str, str] = json.loads((cluster / "addresses.json").read_text())
    return addresses


def write_configuration(cluster: Path, daemon: str) -> Path:
    """Write the configuration of a daemon, or of a client, and say where."""
    settings = load_settings()
    own = settings["daemons"].get(daemon.rstrip("0123456789"), {})
    addresses = load_addresses(cluster)
    kerberos = settings["kerberos"] if "kdc" in addresses else {}
    data = cluster / "data" / daemon
    values = {
        **addresses,
        "here": addresses.get(daemon, ""),
        "data": data,
        "user": getpass.getuser(),
        "keytabs": cluster / "keytabs",
        "realm": kerberos.get("realm"),
    }
    folder = cluster / "conf" / daemon
    folder.mkdir(parents=True, exist_ok=True)
    data.mkdir(parents=True, exist_ok=True)

    def filled(properties: dict[str, str]) -> list[tuple[str, str]]:
        return [(name.format(**values), value.format(**values)) for name, value in properties.items()]

    for site in SITES:
        properties = "".join(
            f"  <property><name>{escape(name)}</name><value>{escape(value)}</value></property>\n"
            for name, value in filled({**settings[site], **kerberos.get(site, {}), **own.get(site, {})})
        )
        (folder / f"{site}.xml").write_text(f'<?xml version="1.0"?>\n<configuration>\n{properties}</configuration>\n')
    zookeeper = "".join(f"{name}={value}\n" for name, value in filled(settings["zookeeper"]))
    (folder / "zoo.cfg").write_text(zookeeper)
    (folder / "log4j.properties").write_text(LOG4J)
    return folder


def become(cluster: Path, daemon: str) -> NoReturn:
    """Replace this process by the daemon; a NameNode without names formats its folder first."""
    conf = write_configuration(cluster, daemon)
    own = load_settings()["daemons"][daemon.rstrip("0123456789")]
    home = Path(os.environ["HADOOP_HOME"])
    os.environ["HADOOP_CONF_DIR"] = os.environ["YARN_CONF_DIR"] = str(conf)
    classpath = f"{conf}:{home}/share/hadoop/hdfs:{home}/share/hadoop/common/lib/*"
    java = f"{os.environ['JAVA_HOME']}/bin/java"
    options = [f"-Dproc_{daemon}", f"-Xmx{own['heap']}", f"-Djava.security.krb5.conf={cluster}/krb5.conf", *JVM]
    command = [java, *options, "-cp", classpath, own["class"]]
    if daemon == "namenode" and not (cluster / "data" / daemon / "names/current/VERSION").exists():
        subprocess.run([*command, "-format", "-nonInteractive"], check=True)
    if daemon == "zookeeper":
        command.append(f"{conf}/zoo.cfg")
    os.execv(java, command)


def become_kdc(cluster: Path) -> NoReturn:
    """Replace this process by the key distribution centre of a new realm, whose keytabs it writes."""
    kerberos = load_settings()["kerberos"]
    addresses = load_addresses(cluster)
    data = cluster / "data" / "kdc"
    for folder in (data, cluster / "keytabs"):
        folder.mkdir(parents=True, exist_ok=True)
    (cluster / "krb5.conf").write_text(KRB5.format(**addresses, realm=kerberos["realm"], data=data))
    os.environ["PATH"] += ":/usr/sbin"
    os.environ["KRB5_CONFIG"] = os.environ["KRB5_KDC_PROFILE"] = str(cluster / "krb5.conf")
    if not (data / "principals").exists():
        subprocess.run(["kdb5_util", "create", "-s", "-P", "unused: there is a stash"], check=True)
        commands = ""
        for keytab, principals in kerberos["principals"].items():
            for principal in (each.format(**addresses) for each in principals):
                commands += f"addprinc -randkey {principal}\nktadd -k {cluster}/keytabs/{keytab}.keytab {principal}\n"
        subprocess.run(["kadmin.local"], input=commands, text=True, check=True)
    os.execvp("krb5kdc", ["krb5kdc", "-n"])


if __name__ == "__main__":
    if sys.argv[2] == "client":
        write_configuration(Path(sys.argv[1]), "client")
    elif sys.argv[2] == "kdc":
        become_kdc(Path(sys.argv[1]))
    else:
        become(Path(sys.argv[1]), sys.argv[2])
