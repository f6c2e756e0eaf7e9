"""Java, Hadoop's jars and its commands, laid out as Hadoop's own distribution is; jars are fetched once per user."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path

IMAGE = Path(__file__).resolve().parents[2] / "docker" / "hadoop"
COPY_JARS = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
UNUSED_JARS = ("*osx*", "*windows*", "*macos*", "mssql-jdbc*")
COMMANDS = ("hadoop", "hdfs", "yarn")
DOWNLOAD_SECONDS = 900
JAVA_PACKAGES = ("openjdk-17-jdk-headless", "maven")
KERBEROS_COMMANDS = ("krb5kdc", "kdb5_util", "kadmin.local", "kinit")
KERBEROS_PACKAGES = ("krb5-kdc", "krb5-admin-server", "krb5-user")


class Unavailable(Exception):
    """Hadoop cannot be brought up here; the text says what is missing and what to do."""


@dataclass(frozen=True)
class Installation:
    """Where Java and Hadoop are."""

    java_home: Path
    home: Path

    def environment(self) -> dict[str, str]:
        """The variables by which Hadoop's daemons and commands find their installation."""
        home = str(self.home)
        places = dict.fromkeys(("HADOOP_HOME", "HADOOP_COMMON_HOME", "HADOOP_HDFS_HOME", "HADOOP_YARN_HOME"), home)
        return {**places, "JAVA_HOME": str(self.java_home)}


def install() -> Installation:
    """Find Java and Maven, installing them where that is possible, and fetch the jars unless the cache has them."""
    if not (shutil.which("java") and shutil.which("mvn")):
        _install_packages(JAVA_PACKAGES, "The tests on YARN need `java` (17) and `mvn` on PATH")
    java = shutil.which("java")
    if java is None:
        raise Unavailable("The tests on YARN need Java 17, and `java` is not on PATH: install a JDK and Maven.")
    java_home = Path(os.environ.get("JAVA_HOME") or Path(java).resolve().parent.parent)
    return Installation(java_home, _fetch_jars())


def install_kerberos() -> None:
    """Have MIT Kerberos on PATH: the key distribution centre and ``kinit``."""
    if not all(shutil.which(command, path=f"{os.environ['PATH']}:/usr/sbin") for command in KERBEROS_COMMANDS):
        _install_packages(KERBEROS_PACKAGES, "The tests with Kerberos need MIT Kerberos, with its server, on PATH")


def _install_packages(packages: tuple[str, ...], need: str) -> None:
    names = " ".join(packages)
    if os.geteuid() or not shutil.which("apt-get"):
        raise Unavailable(f"{need}: install it (Debian, Ubuntu: apt install {names}).")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (("update",), ("install", "-y", "--no-install-recommends", *packages)):
        run(["apt-get", "-q", *arguments], f"apt-get could not install {names}", environment)


def _fetch_jars() -> Path:
    pom = IMAGE / "pom.xml"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pyflow-yarn" / "hadoop"
    cache.mkdir(parents=True, exist_ok=True)
    sources = b"".join(path.read_bytes() for path in (pom, IMAGE / "command"))
    home = cache / hashlib.sha256(sources).hexdigest()[:16]
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "complete").exists():
            shutil.rmtree(home, ignore_errors=True)
            jars = home / "share/hadoop/common/lib"
            jars.mkdir(parents=True)
            command = ["mvn", "-B", "-q", "-f", str(pom), COPY_JARS, f"-DoutputDirectory={jars}"]
            run([*command, "-DincludeScope=runtime"], "Maven could not fetch the jars of Hadoop", dict(os.environ))
            _arrange(home, jars)
            (home / "complete").touch()
    return home


def _arrange(home: Path, jars: Path) -> None:
    for pattern in UNUSED_JARS:
        for jar in jars.glob(pattern):
            jar.unlink()
    for jar in jars.glob("hadoop-hdfs-*-tests.jar"):
        with zipfile.ZipFile(jar) as archive:
            pages = [name for name in archive.namelist() if name.startswith("webapps/")]
            archive.extractall(home / "share/hadoop/hdfs", pages)
        jar.unlink()
    (home / "bin").mkdir()
    for name in COMMANDS:
        shutil.copy(IMAGE / "command", home / "bin" / name)


def run(command: list[str], failure: str, environment: dict[str, str]) -> None:
    """Run a command; if it fails, say what could not be done and the line of its output that tells why."""
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{failure} within {DOWNLOAD_SECONDS} s.") from None
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        told = next((line for line in lines if "ERROR" in line or line.startswith("E:")), lines[-1] if lines else "")
        raise Unavailable(f"{failure}: {told[:500]}")
