"""The environment that commands run in: built once, whatever happens meanwhile, and found at once afterwards.

The checkouts of these tests are small ones that need nothing from a package index.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

BIN = Path(__file__).resolve().parents[3] / "bin"
PROGRAM = """
from __future__ import annotations
import json, os, sys
import pyflow_runtime
print(json.dumps({"arguments": sys.argv[1:], "executable": sys.executable, "path": sys.path, "folder": os.getcwd(),
    "prefix": sys.pycache_prefix, "cached": __spec__.cached, "python": list(sys.version_info[:2])}))
"""
SETUP = """
[options]
install_requires =
    # nothing
[options.extras_require]
dev =
"""
SECONDS = 100

pytestmark = pytest.mark.slow


class Checkout:
    """A small checkout with the real ``bin``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root.with_name("home")
        shutil.copytree(BIN, root / "bin", ignore=shutil.ignore_patterns("__pycache__"))
        (root / "setup.cfg").write_text(SETUP)
        for module, text in {
            "pyflow_yarn/__init__.py": "",
            "pyflow_yarn/cli/__init__.py": "",
            "pyflow_yarn/cli/main.py": PROGRAM,
            "runtime/pyflow_runtime/__init__.py": "",
        }.items():
            (root / module).parent.mkdir(parents=True, exist_ok=True)
            (root / module).write_text(text)
        self.home.mkdir()
        self.flink = root / "bin" / "flink"

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        unwanted = ("PYFLOW_PYTHON", "PYFLOW_CACHE_DIR", "XDG_CACHE_HOME", "PYTHONPATH", "PYTHONPYCACHEPREFIX")
        kept = {name: value for name, value in os.environ.items() if name not in unwanted}
        first = f"{Path(sys.executable).resolve().parent}:{kept['PATH']}"
        return {**kept, "HOME": str(self.home), "PATH": first, **(extra or {})}

    def start(self, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.flink, *arguments],
            env=self.environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        command: tuple[str | Path, ...] = (),
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*(command or (self.flink,)), *arguments],
            env=self.environment(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def report(self, *arguments: str, **options: object) -> dict[str, object]:
        done = self.run(*arguments, **options)  # type: ignore[arg-type]
        assert done.returncode == 0, done.stderr
        return _json(done.stdout)

    def environments(self) -> list[Path]:
        return sorted(path for path in (self.root / ".pyflow").glob("venv-*") if path.is_dir())


def _json(text: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(text)
    return found


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "a checkout")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout whose environment stands; tests that change it take ``checkout``."""
    built = Checkout(tmp_path_factory.mktemp("built") / "with space")
    done = built.run("first")
    assert done.returncode == 0, done.stderr
    assert "first start: building the virtual environment" in done.stderr
    assert _json(done.stdout)["arguments"] == ["first"]
    return built


def test_the_first_start_builds_and_later_ones_say_nothing(built: Checkout) -> None:
    done = built.run("run", "-p", "2", "a file", "")
    assert done.stderr == ""
    report = _json(done.stdout)
    assert report["arguments"] == ["run", "-p", "2", "a file", ""]
    (place,) = built.environments()
    assert report["executable"] == str(place / "bin" / "python")
    assert report["prefix"] is None


def test_what_is_compiled_is_compiled_at_the_first_start(built: Checkout) -> None:
    cached = built.root / "pyflow_yarn" / "cli" / "__pycache__"
    assert [path.name for path in cached.glob("main.*")] == [f"main.{sys.implementation.cache_tag}.pyc"]


def test_links_and_folders_do_not_matter(built: Checkout, tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    near, far = tmp_path / "links" / "flink", tmp_path / "far"
    near.symlink_to(built.flink)
    far.symlink_to(Path("links", "flink"))
    (tmp_path / "json.py").write_text("raise SystemExit('a module in the current folder was imported')")
    for command, folder in [
        ((far,), tmp_path),
        ((near,), Path("/")),
        (("bin/flink",), built.root),
        (("./flink",), built.root / "bin"),
        (("sh", "flink"), built.root / "bin"),
        (("sh", "links/flink"), tmp_path),
    ]:
        report = built.report(command=command, cwd=folder)
        assert report["folder"] == str(folder)
    found = built.report(env={"PATH": f"{near.parent}:{os.environ['PATH']}"}, command=("flink",), cwd=tmp_path)
    assert found["arguments"] == []


def test_a_start_costs_little(built: Checkout) -> None:
    """The shell's part: everything before Python runs. The bound is loose, a loaded machine is slow."""
    python = built.environments()[0] / "bin" / "python"
    real = python.readlink()
    python.unlink()
    try:
        python.write_text("#!/bin/true\n")
        python.chmod(0o755)
        timings = []
        for _ in range(20):
            before = time.perf_counter()
            assert built.run().returncode == 0
            timings.append(time.perf_counter() - before)
    finally:
        python.unlink()
        python.symlink_to(real)
    assert min(timings) < 0.02, timings


def test_the_users_path_stays_the_users(built: Checkout) -> None:
    path = built.report(env={"PYTHONPATH": "/somewhere"})["path"]
    assert isinstance(path, list)
    assert path[0] == "/somewhere"
    assert {str(built.root), str(built.root / "runtime")} < set(path)
    assert str(built.root) not in path[: path.index(next(entry for entry in path if "site-packages" in entry))]


def test_the_checkout_may_be_moved(checkout: Checkout, tmp_path: Path) -> None:
    checkout.report()
    checkout.root.rename(tmp_path / "elsewhere")
    checkout.flink = tmp_path / "elsewhere" / "bin" / "flink"
    done = checkout.run()
    assert done.stderr == ""
    assert str(tmp_path / "elsewhere") in str(_json(done.stdout)["path"])


def test_two_first_starts_build_once(checkout: Checkout) -> None:
    starts = [checkout.start(str(number)) for number in range(3)]
    ends = [(*start.communicate(timeout=SECONDS), start.returncode) for start in starts]
    assert [returncode for _, _, returncode in ends] == [0, 0, 0], ends
    stderr = "".join(text for _, text, _ in ends)
    assert stderr.count("building the virtual environment in") == 1
    assert stderr.count("waiting for another start that is building") == 2
    assert [_json(text)["arguments"] for text, _, _ in ends] == [["0"], ["1"], ["2"]]


def test_a_killed_build_is_built_again(checkout: Checkout) -> None:
    first = checkout.start()
    deadline = time.monotonic() + SECONDS
    while not any((place / "bin").exists() for place in checkout.environments()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    (place,) = checkout.environments()
    assert not (place / "complete").exists()
    done = checkout.run()
    assert done.returncode == 0, done.stderr
    assert "building the virtual environment" in done.stderr
    assert (place / "complete").read_text() == SETUP


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_build_can_be_interrupted(checkout: Checkout, number: signal.Signals) -> None:
    start = checkout.start()
    assert start.stderr is not None
    assert "building" in start.stderr.readline()
    os.killpg(start.pid, number)
    _, stderr = start.communicate(timeout=SECONDS)
    assert start.returncode != 0
    assert "Traceback" not in stderr


def test_a_change_of_setup_cfg_that_installs_nothing_builds_nothing(checkout: Checkout) -> None:
    checkout.report()
    (checkout.root / "setup.cfg").write_text(SETUP + "\n[metadata]\nname = other\n")
    assert checkout.run().stderr == ""
    (place,) = checkout.environments()
    assert (place / "complete").read_bytes() == (checkout.root / "setup.cfg").read_bytes()


def test_a_new_requirement_builds_a_new_environment(checkout: Checkout) -> None:
    checkout.report()
    (checkout.root / "setup.cfg").write_text(SETUP.replace("# nothing", "pip"))
    report = checkout.report()
    assert len(checkout.environments()) == 2
    assert checkout.report()["executable"] == report["executable"]


def test_a_requirement_that_cannot_be_had_is_one_sentence(checkout: Checkout) -> None:
    (checkout.root / "setup.cfg").write_text(SETUP.replace("# nothing", "surely-there-is-no-such-package"))
    done = checkout.run(env={"PIP_NO_INDEX": "1"})
    assert done.returncode == 1
    assert done.stdout == ""
    *_, last = done.stderr.splitlines()
    assert last.startswith("pyflow: cannot install the dependencies: what went wrong stands at the end of ")
    assert "No matching distribution" in Path(last.split(" at the end of ")[1].rstrip(".")).read_text()
    assert len(done.stderr.splitlines()) == 2


def test_no_network_is_one_sentence(checkout: Checkout) -> None:
    (checkout.root / "setup.cfg").write_text(SETUP.replace("# nothing", "surely-there-is-no-such-package"))
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "1", "PIP_FIND_LINKS": ""}
    done = checkout.run(env=nowhere)
    assert done.returncode == 1
    assert "cannot install the dependencies (the package index cannot be reached)" in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_no_python_is_one_sentence(checkout: Checkout, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("sh", "cmp", "dirname", "readlink"):
        (tools / tool).symlink_to(str(shutil.which(tool)))
    (tools / "python3").write_text("#!/bin/sh\nexit 1\n")
    (tools / "python3").chmod(0o755)
    done = checkout.run(env={"PATH": str(tools)})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == ("pyflow: found no Python 3.11 or later on PATH: install one, or name it in PYFLOW_PYTHON.\n")
    done = checkout.run(env={"PYFLOW_PYTHON": "/bin/false"})
    assert done.returncode == 1
    assert done.stderr == "pyflow: PYFLOW_PYTHON names /bin/false, which is no Python 3.11 or later.\n"


def test_a_named_python_is_used_beside_the_usual_one(built: Checkout) -> None:
    usual = built.report()["executable"]
    named = built.report(env={"PYFLOW_PYTHON": sys.executable})
    assert named["python"] == list(sys.version_info[:2])
    assert built.report()["executable"] == usual


def test_a_missing_ensurepip_is_explained(checkout: Checkout) -> None:
    program = (
        "import importlib.util, runpy, sys\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name: None if name == 'ensurepip' else find(name)\n"
        "sys.argv = [sys.argv[1]]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    done = checkout.run(command=(sys.executable, "-I", "-c", program, checkout.root / "bin" / "bootstrap.py"))
    assert done.returncode == 1
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert "lacks ensurepip" in done.stderr
    assert f"apt install python{version}-venv" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_extra_is_installed_once(checkout: Checkout) -> None:
    bootstrap = (sys.executable, "-I", checkout.root / "bin" / "bootstrap.py")
    (checkout.root / "setup.cfg").write_text(SETUP + "    pip\n")
    done = checkout.run("dev", command=bootstrap)
    assert done.returncode == 0, done.stderr
    assert "installing what the extra 'dev' needs" in done.stderr
    again = checkout.run("dev", command=bootstrap)
    assert (again.stdout, again.stderr) == (done.stdout, "")
    unknown = checkout.run("other", command=bootstrap)
    assert (unknown.returncode, unknown.stderr) == (1, "pyflow: setup.cfg has no extra named other.\n")


@pytest.fixture
def read_only(checkout: Checkout) -> Checkout:
    """A checkout where ``.pyflow`` cannot be made, for the superuser neither."""
    (checkout.root / ".pyflow").write_text("a file in the place of the folder")
    return checkout


def test_a_read_only_checkout_has_its_environment_in_the_cache(read_only: Checkout) -> None:
    report = read_only.report()
    cache = read_only.home / ".cache" / "pyflow-yarn"
    assert str(report["executable"]).startswith(str(cache))
    assert str(report["cached"]).startswith(str(cache))
    assert str(read_only.root) in str(report["path"])
    done = read_only.run(env={"PYTHONDONTWRITEBYTECODE": "1"})
    assert done.stderr == ""
    assert Path(str(_json(done.stdout)["cached"])).exists(), "compiled when the environment was built"


def test_the_cache_may_be_named(read_only: Checkout, tmp_path: Path) -> None:
    for name, below in {"XDG_CACHE_HOME": "pyflow-yarn", "PYFLOW_CACHE_DIR": "checkouts"}.items():
        chosen = tmp_path / name
        first = read_only.report(env={name: str(chosen)})
        assert str(first["executable"]).startswith(str(chosen / below))
        assert read_only.run(env={name: str(chosen)}).stderr == ""


def test_nowhere_to_write_is_one_sentence(read_only: Checkout, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = read_only.run(env={"HOME": str(tmp_path / "file")})
    assert done.returncode == 1
    (sentence,) = done.stderr.splitlines()
    assert "set PYFLOW_CACHE_DIR to a folder that you may write to" in sentence
    done = read_only.run(env={"PYFLOW_CACHE_DIR": str(tmp_path / "file")})
    assert done.returncode == 1
    assert "where PYFLOW_CACHE_DIR puts the virtual environment" in done.stderr


def test_two_checkouts_in_one_cache_do_not_meet(tmp_path: Path) -> None:
    first, second = Checkout(tmp_path / "a-b" / "c"), Checkout(tmp_path / "a" / "b-c")
    env = {"PYFLOW_CACHE_DIR": str(tmp_path / "cache")}
    assert first.report(env=env)["executable"] != second.report(env=env)["executable"]


def test_the_lock_ends_with_the_build(built: Checkout) -> None:
    with (built.root / ".pyflow" / "lock").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_the_commands_are_executable() -> None:
    for name in ("flink", "run-tests"):
        assert (BIN / name).stat().st_mode & stat.S_IXOTH
