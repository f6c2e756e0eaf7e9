"""Packing: which files, under which key, and with which bytes."""

from __future__ import annotations

import hashlib
import io
import marshal
import os
import sys
import tarfile
from pathlib import Path

import pytest

from pyflow_yarn.deployment.yarn.contents import PYTHON, Layout
from pyflow_yarn.deployment.yarn.environment import FORMAT, Environment
from pyflow_yarn.errors import ConfigurationError, ExternalError
from tests.unit.deployment.yarn.test_elf import PATH, made

VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
LIBRARY = f"{sys.platlibdir}/{VERSION}"
TAG = sys.implementation.cache_tag


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """An interpreter, a library and two folders of packages, made by hand; the interpreter is one that runs."""
    library = tmp_path / "base" / "lib" / VERSION
    packages, more = tmp_path / "venv" / "site-packages", tmp_path / "more"
    for path, text in {
        library / "os.py": "",
        library / "test" / "test_os.py": "",
        library / "__pycache__" / f"os.{TAG}.pyc": "old",
        library / "site-packages" / "of_base.py": "",
        library / "config-3.11-x86_64-linux-gnu" / "Makefile": "",
        library / "lib-dynload" / "_tkinter.cpython-311-x86_64-linux-gnu.so": "",
        packages / "numbers_of_mine" / "__init__.py": "x = 1\n",
        packages / "numbers_of_mine" / "tests" / "__init__.py": "",
        packages / "numpy" / "tests" / "test.py": "",
        packages / "numpy" / "__init__.py": "",
        packages / "pyflow_yarn" / "__init__.py": "",
        packages / "pyflow_yarn-1.dist-info" / "METADATA": "",
        packages / "numbers_of_mine-1.dist-info" / "RECORD": "bin/mine,sha256=1",
        packages / "hook.pth": f"import hook\n{more}\n",
        more / "beside.txt": "text",
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (packages / "libmine.so.1").write_bytes(made(b"$ORIGIN"))
    (packages / "libmine.so").symlink_to("libmine.so.1")
    (packages / "outside.txt").symlink_to(more / "beside.txt")
    return Layout(os.readlink("/proc/self/exe"), str(library), None, (str(packages), str(more)), ())


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def packed(environment: Environment) -> bytes:
    target = io.BytesIO()
    environment.pack(target)
    return target.getvalue()


def members(archive: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: member for member in tar}


def content(archive: bytes, name: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        file = tar.extractfile(name)
        assert file is not None
        return file.read()


def test_what_is_in_the_archive(layout: Layout, cache: Path) -> None:
    environment = Environment.of(layout, cache)
    found = {name for name in members(packed(environment)) if "__pycache__" not in name}
    libraries = {f"lib/{name}" for name in environment.libraries}
    assert found - libraries == {
        PYTHON,
        "bin/python",
        "bin/python3",
        "pyvenv.cfg",
        f"{LIBRARY}/os.py",
        f"{LIBRARY}/sitecustomize.py",
        f"{LIBRARY}/site-packages/hook.pth",
        f"{LIBRARY}/site-packages/libmine.so",
        f"{LIBRARY}/site-packages/libmine.so.1",
        f"{LIBRARY}/site-packages/numbers_of_mine/__init__.py",
        f"{LIBRARY}/site-packages/numbers_of_mine/tests/__init__.py",
        f"{LIBRARY}/site-packages/numbers_of_mine-1.dist-info/RECORD",
        f"{LIBRARY}/site-packages/numpy/__init__.py",
        f"{LIBRARY}/site-packages/outside.txt",
        f"{LIBRARY}/site-1-packages/beside.txt",
    }


def test_archives_are_the_same_byte_by_byte(layout: Layout, cache: Path) -> None:
    first = packed(Environment.of(layout, cache))
    assert packed(Environment.of(layout, cache)) == first
    found = members(first)
    assert list(found) == sorted(found)
    assert {(member.uid, member.gid, member.uname, member.gname) for member in found.values()} == {(0, 0, "", "")}
    assert {member.mtime for member in found.values()} == {315532800}
    assert {oct(member.mode) for member in found.values()} == {"0o644", "0o755", "0o777"}


def test_the_format_is_the_one_of_its_number(layout: Layout, cache: Path) -> None:
    """If this fails, count FORMAT up: an archive in a cache is taken by its key, which holds that number."""
    archive = packed(Environment.of(layout, cache))
    assert archive[:10] == b"\x1f\x8b\x08\0\0\0\0\0\x04\xff"
    lines = []
    for name, member in members(archive).items():
        # Those depend on the Python that runs this, and on the machine.
        if "__pycache__" not in name and name != PYTHON and not name.startswith("lib/lib"):
            text = content(archive, name) if member.isfile() else member.linkname.encode()
            digest = hashlib.sha256(text.replace(VERSION.encode(), b"python")).hexdigest()[:16]
            lines.append(f"{name.replace(LIBRARY, 'LIBRARY')} {member.mode:o} {digest}")
    assert FORMAT == 1
    assert lines == [
        "bin/python 777 11a4a60b518bf249",
        "bin/python3 777 11a4a60b518bf249",
        "LIBRARY/os.py 644 e3b0c44298fc1c14",
        "LIBRARY/site-1-packages/beside.txt 644 982d9e3eb996f559",
        "LIBRARY/site-packages/hook.pth 644 596920aa170087d5",
        "LIBRARY/site-packages/libmine.so 777 39dbcaf12428a6ce",
        "LIBRARY/site-packages/libmine.so.1 755 7f51c725c6c24289",
        "LIBRARY/site-packages/numbers_of_mine-1.dist-info/RECORD 644 014a053ac77bcc7b",
        "LIBRARY/site-packages/numbers_of_mine/__init__.py 644 9e26bf369911c45c",
        "LIBRARY/site-packages/numbers_of_mine/tests/__init__.py 644 e3b0c44298fc1c14",
        "LIBRARY/site-packages/numpy/__init__.py 644 e3b0c44298fc1c14",
        "LIBRARY/site-packages/outside.txt 644 982d9e3eb996f559",
        "LIBRARY/sitecustomize.py 644 fd3f1ec837081b11",
        "pyvenv.cfg 644 89347a87acf796fc",
    ]


def test_a_module_is_compiled_for_wherever_it_is(layout: Layout, cache: Path) -> None:
    archive = packed(Environment.of(layout, cache))
    code = content(archive, f"{LIBRARY}/site-packages/numbers_of_mine/__pycache__/__init__.{TAG}.pyc")
    assert code[4:8] == b"\1\0\0\0", "by hash, and not to be compared with the source"
    values: dict[str, int] = {}
    exec(marshal.loads(code[16:]), values)
    assert values["x"] == 1


def test_a_library_inherits_and_its_link_is_one(layout: Layout, cache: Path) -> None:
    archive = packed(Environment.of(layout, cache))
    found = members(archive)
    assert found[f"{LIBRARY}/site-packages/libmine.so"].linkname == "libmine.so.1"
    assert content(archive, f"{LIBRARY}/site-packages/libmine.so.1") != made(b"$ORIGIN")
    assert content(archive, f"{LIBRARY}/site-packages/outside.txt") == b"text"
    assert PATH.encode() in content(archive, PYTHON)
    assert content(archive, f"{LIBRARY}/site-packages/hook.pth") == b"import hook\n"


def test_the_key_tells_python_architecture_and_format(layout: Layout, cache: Path) -> None:
    version = ".".join(map(str, sys.version_info[:3]))
    environment = Environment.of(layout, cache)
    assert environment.key.startswith(f"python-{version}-{os.uname().machine}-{FORMAT}-")
    assert environment.machine == os.uname().machine
    assert environment.glibc >= 17


@pytest.mark.parametrize("change", ["content", "same size and time", "new file", "removed", "mode", "link"])
def test_the_key_changes_with_every_file(layout: Layout, cache: Path, change: str) -> None:
    before = Environment.of(layout, cache).key
    file = Path(layout.packages[0], "numbers_of_mine", "__init__.py")
    match change:
        case "content":
            file.write_text("x = 22\n")
        case "same size and time":
            times = (file.stat().st_atime_ns, file.stat().st_mtime_ns)
            changed = file.stat().st_ctime_ns
            while file.stat().st_ctime_ns == changed:  # the kernel's clock for files ticks every few milliseconds
                file.write_text("x = 2\n")
                os.utime(file, ns=times)
        case "new file":
            file.with_name("more.py").touch()
        case "removed":
            file.unlink()
        case "mode":
            file.chmod(0o755)
        case _:
            link = Path(layout.packages[0], "libmine.so")
            link.unlink()
            link.symlink_to("outside.txt")
    assert Environment.of(layout, cache).key != before


def test_the_key_stays_where_nothing_changes(layout: Layout, cache: Path, tmp_path: Path) -> None:
    before = Environment.of(layout, cache)
    file = Path(layout.packages[0], "numbers_of_mine", "__init__.py")
    os.utime(file)
    (file.parent / "__pycache__").mkdir()
    (file.parent / "__pycache__" / "x.pyc").touch()
    Path(layout.packages[0], "numbers_of_mine-1.dist-info", "RECORD").write_text("bin/mine,sha256=2")
    after = Environment.of(layout, cache)
    assert after.key == before.key
    elsewhere = tmp_path / "elsewhere"
    Path(layout.packages[1]).rename(elsewhere)
    Path(layout.packages[0], "hook.pth").write_text(f"import hook\n{elsewhere}\n")
    Path(layout.packages[0], "outside.txt").unlink()
    Path(layout.packages[0], "outside.txt").symlink_to(elsewhere / "beside.txt")
    moved = Layout(layout.interpreter, layout.library, None, (layout.packages[0], str(elsewhere)), ())
    assert Environment.of(moved, cache).key == before.key


def test_files_are_read_once(layout: Layout, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = Environment.of(layout, cache)
    monkeypatch.setattr(hashlib, "file_digest", None)
    assert Environment.of(layout, cache).key == known.key
    (memo,) = cache.iterdir()
    memo.write_bytes(b"{damaged")
    monkeypatch.undo()
    assert Environment.of(layout, cache).key == known.key


def test_without_a_place_to_remember_files_are_read_each_time(layout: Layout, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = tmp_path / "file" / "cache"
    assert Environment.of(layout, cache).key == Environment.of(layout, cache).key


def test_one_more_folder_is_searched_first(layout: Layout, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "added").mkdir()
    (tmp_path / "added" / "new.py").touch()
    environment = Environment.of(layout, cache)
    more = environment.with_packages(str(tmp_path / "added"), cache)
    assert more.key != environment.key
    names = members(packed(more))
    assert f"{LIBRARY}/site-packages/new.py" in names
    assert f"{LIBRARY}/site-2-packages/beside.txt" in names


def test_what_changes_while_it_is_packed(layout: Layout, cache: Path) -> None:
    environment = Environment.of(layout, cache)
    Path(layout.packages[1], "beside.txt").write_text("another text")
    with pytest.raises(ExternalError, match="changed while the Python environment was packed: submit again"):
        packed(environment)


def test_what_cannot_be_read(layout: Layout, cache: Path, file_permissions: None) -> None:
    unreadable = Path(layout.packages[1], "beside.txt")
    unreadable.chmod(0)
    with pytest.raises(ConfigurationError, match=f"{unreadable}: Permission denied. Make it readable, or name an"):
        Environment.of(layout, cache)


def test_the_environment_of_this_process(cache: Path) -> None:
    environment = Environment.of_this_process(cache)
    places = {file.place for file in environment.files}
    assert f"{LIBRARY}/site-packages/msgspec/__init__.py" in places
    assert not [place for place in places if "/pyflow_" in place]
    assert Environment.of_this_process(cache).key == environment.key
