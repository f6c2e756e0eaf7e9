"""The copy of skein.jar, and the constants of a class file."""

from __future__ import annotations

import struct
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from pyflow_yarn.errors import ConfigurationError
from pyflow_yarn.yarn.skein_overlay import (
    DRIVER,
    DRIVER_CALLS,
    HOMEPAGE,
    MASTER,
    WEB_UI,
    replace_constants,
    write_overlay,
)


def _jar() -> Path:
    spec = find_spec("skein")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "java" / "skein.jar"


def _class(*constants: bytes) -> bytes:
    return struct.pack(">IHHH", 0xCAFEBABE, 0, 51, len(constants) + 1) + b"".join(constants) + b"the rest: skein"


def _text(value: str) -> bytes:
    return struct.pack(">BH", 1, len(value.encode())) + value.encode()


class TestReplaceConstants:
    def test_only_the_constant_of_that_text_is_another(self) -> None:
        others = (_text("skeins"), struct.pack(">BH", 8, 1), struct.pack(">BII", 3, 0, 7)[:5])
        assert replace_constants(_class(_text("skein"), *others), {"skein": "Apache Flink"}) == _class(
            _text("Apache Flink"), *others
        )

    def test_a_long_takes_two_places(self) -> None:
        # As the specification has it, the place behind a long is counted and not there.
        long = struct.pack(">Bq", 5, 42)
        code = struct.pack(">IHHH", 0xCAFEBABE, 0, 51, 4) + long + _text("skein") + b"\x01\x00\x05skein"
        assert replace_constants(code, {"skein": "x"}).endswith(long + _text("x") + b"\x01\x00\x05skein")

    def test_a_constant_that_is_not_there_is_told(self) -> None:
        with pytest.raises(ConfigurationError, match="no constant skein"):
            replace_constants(_class(_text("other")), {"skein": "x"})


class TestWriteOverlay:
    def test_the_copy_differs_in_five_entries(self, tmp_path: Path) -> None:
        write_overlay(_jar(), tmp_path / "overlay.jar", "Müsli")
        with zipfile.ZipFile(_jar()) as old, zipfile.ZipFile(tmp_path / "overlay.jar") as new:
            assert sorted(old.namelist()) == sorted(new.namelist())
            changed = {one.filename for one in new.infolist() if one.CRC != old.getinfo(one.filename).CRC}
            assert changed == {DRIVER, DRIVER_CALLS, MASTER, WEB_UI, HOMEPAGE}
            assert "Müsli".encode() in new.read(DRIVER)
            before, after = old.read(MASTER), new.read(MASTER)
            different = [index for index, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1]]
            assert 0 < different[-1] - different[0] < 10, "one comparison"

    def test_another_jar_is_refused(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "skein.jar", "w") as jar:
            for name in (DRIVER, DRIVER_CALLS, MASTER, WEB_UI, HOMEPAGE):
                jar.writestr(name, "other")
        with pytest.raises(ConfigurationError, match=r"install skein==0\.8\.2"):
            write_overlay(tmp_path / "skein.jar", tmp_path / "overlay.jar", "Apache Flink")
