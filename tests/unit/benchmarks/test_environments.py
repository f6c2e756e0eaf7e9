"""Where the environments of the peers are, and which Java is good enough. None is built here."""

from __future__ import annotations

from pathlib import Path

import pytest

from peers import environments


def java(home: Path, release: str) -> Path:
    """A folder that looks like a Java."""
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "java").touch()
    (home / "release").write_text(release)
    return home


def test_places_differ_by_peer_and_requirements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = {environments.place_of(peer, tmp_path) for peer in environments.REQUIREMENTS}
    assert len(places) == 3
    before = environments.place_of("bytewax", tmp_path)
    monkeypatch.setattr(environments, "REQUIREMENTS", {"bytewax": ("bytewax==0",)})
    assert environments.place_of("bytewax", tmp_path) != before


def test_a_complete_environment_is_used_as_it_is(tmp_path: Path) -> None:
    place = environments.place_of("bytewax", tmp_path)
    place.mkdir()
    (place / "complete").touch()
    assert environments.python_of("bytewax", tmp_path) == str(place / "bin" / "python")


def test_the_version_of_a_java_is_read_off_its_release_file(tmp_path: Path) -> None:
    assert environments.java_version(java(tmp_path / "a", 'X="y"\nJAVA_VERSION="17.0.15"\n')) == 17
    assert environments.java_version(java(tmp_path / "b", 'X="y"\n')) is None
    assert environments.java_version(tmp_path) is None


def test_java_is_taken_from_java_home_or_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = java(tmp_path / "a", 'JAVA_VERSION="17.0.1"\n')
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert environments.java_home() == str(home)
    monkeypatch.setattr(environments, "JAVA_WANTED", 999)
    with pytest.raises(environments.PeerUnavailableError, match=r"^PyFlink needs Java 999[^\n]*JAVA_HOME\.$"):
        environments.python_of("pyflink", tmp_path)
