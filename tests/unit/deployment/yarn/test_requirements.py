"""The packages of ``-pyreq``, installed from a folder."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from pyflow_yarn.deployment.yarn import requirements
from pyflow_yarn.deployment.yarn.environment import Environment
from pyflow_yarn.deployment.yarn.requirements import with_requirements
from pyflow_yarn.errors import UserError

pytestmark = pytest.mark.slow


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment.of_this_process(tmp_path / "cache")


def wheel(folder: Path, name: str, needs: str = "") -> None:
    """A wheel with one module."""
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as target:
        target.writestr(f"{name}.py", "x = 1\n")
        needed = f"Requires-Dist: {needs}\n" if needs else ""
        information = {
            "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{needed}",
            "WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        for file, text in information.items():
            target.writestr(f"{name}-1.0.dist-info/{file}", text)
        target.writestr(f"{name}-1.0.dist-info/RECORD", "")


def test_what_is_missing_is_installed_once(
    tmp_path: Path, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel(tmp_path / "wheels", "of_the_users", needs="msgspec")
    file = tmp_path / "requirements.txt"
    file.write_text("of_the_users\n")
    cache = tmp_path / "cache"
    more = with_requirements(environment, file, tmp_path / "wheels", cache)
    added = [found.place for found in more.files if "/site-packages/" in found.place]
    assert any(place.endswith("/site-packages/of_the_users.py") for place in added)
    # The environment has it, and a folder without it was all there was to install from.
    assert not [place for place in added if "msgspec" in place or place.endswith(".pth")]
    assert more.key != environment.key
    assert not list(cache.glob("*.log"))
    monkeypatch.setattr(requirements, "_install", None)
    assert with_requirements(environment, file, tmp_path / "wheels", cache).key == more.key


def test_what_cannot_be_had(tmp_path: Path, environment: Environment) -> None:
    (tmp_path / "wheels").mkdir()
    file = tmp_path / "requirements.txt"
    file.write_text("nowhere_to_be_found\n")
    with pytest.raises(UserError) as raised:
        with_requirements(environment, file, tmp_path / "wheels", tmp_path / "cache")
    assert str(raised.value).startswith(
        f"Installing the packages of {file} (python.requirements) failed: No matching distribution found for"
        " nowhere_to_be_found (all of it is in "
    )
