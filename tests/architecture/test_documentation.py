"""What the documentation names exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PAGES = sorted([CHECKOUT / "README.md", CHECKOUT / "CHANGELOG.md", *(CHECKOUT / "docs").rglob("*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)[^)]*\)")
PATH = re.compile(r"`((?:pyflow_yarn|pyflow_runtime|bin|conf|tests|examples|docs|benchmarks)/[\w./-]+)`")


def matches(pattern: re.Pattern[str]) -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        for found in pattern.findall(page.read_text(encoding="utf-8")):
            yield page, found


def test_links_lead_somewhere() -> None:
    dead = [
        f"{page.relative_to(CHECKOUT)}: {target}"
        for page, target in matches(LINK)
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert not dead


def test_paths_exist() -> None:
    wrong = [
        f"{page.relative_to(CHECKOUT)}: {name}"
        for page, name in matches(PATH)
        if not (CHECKOUT / name).exists() and not (CHECKOUT / "runtime" / name).exists()
    ]
    assert not wrong


def test_the_readme_begins_with_the_two_commands() -> None:
    blocks = re.findall(r"```sh\n(.*?)```", (CHECKOUT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    commands = [line for block in blocks for line in block.splitlines()]
    assert commands[0] == "bin/flink run examples/word_count.py"
    assert blocks[2] == "bin/run-tests\n"
    assert "bin/run-tests" in (CHECKOUT / ".ci" / "run").read_text()


@pytest.mark.parametrize("package", ["pyflow_yarn", "runtime/pyflow_runtime"])
def test_the_architecture_page_names_every_package(package: str) -> None:
    page = (CHECKOUT / "docs" / "architecture.md").read_text(encoding="utf-8")
    folders = [path.parent.name for path in (CHECKOUT / package).glob("*/__init__.py")]
    assert [name for name in folders if not re.search(rf"\b{name}\b", page)] == []


def test_every_page_can_be_found() -> None:
    index = (CHECKOUT / "docs" / "index.md").read_text(encoding="utf-8")
    decisions = (CHECKOUT / "docs" / "architecture.md").read_text(encoding="utf-8")
    pages = [path.name for path in (CHECKOUT / "docs").glob("*.md") if path.name != "index.md"]
    assert [name for name in pages if f"]({name})" not in index] == []
    records = [path.name for path in (CHECKOUT / "docs" / "adr").glob("*.md")]
    assert [name for name in records if f"](adr/{name})" not in decisions] == []
