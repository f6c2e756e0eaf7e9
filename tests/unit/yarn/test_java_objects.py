"""Serialized objects of Java, read without Java."""

from __future__ import annotations

import pytest

from pyflow_yarn.yarn.java_objects import JavaObject, NotReadableError, load
from tests.unit.yarn.test_tfile import vector

HEADER = bytes.fromhex("aced0005")
# new ArrayList<>(List.of("a", 7)), as Java 17 writes it.
ARRAY_LIST = bytes.fromhex(
    "aced0005737200136a6176612e7574696c2e41727261794c6973747881d21d99c7619d03000149000473697a65787000000002770400000002"
    "74000161737200116a6176612e6c616e672e496e746567657212e2a0a4f781873802000149000576616c7565787200106a6176612e6c616e67"
    "2e4e756d62657286ac951d0b94e08b0200007870000000"
    "0778"
)


def test_a_list_with_a_text_and_a_number() -> None:
    found = load(ARRAY_LIST)
    assert (found.type, found.fields) == ("java.util.ArrayList", {"size": 2})
    assert found.items() == ["a", JavaObject("java.lang.Integer", {"value": 7}, [])]


def test_the_index_of_an_ifile() -> None:
    content = vector("ifile")
    found = load(content[content.index(HEADER) : -36])
    assert found.fields["user"] == "ann"
    acls = found.fields["acls"].items()
    assert dict(zip(acls[::2], acls[1::2], strict=True)) == {"VIEW_APP": "ann ", "MODIFY_APP": " "}
    assert len(found.fields["logMetas"].items()) == 2


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "do not begin"),
        (HEADER, "end too early"),
        (HEADER + b"\x41", "kind 0x41"),
        (HEADER + b"\x71\x00\x7e\x00\x05", "leads nowhere"),
        (HEADER + b"\x73\x70", "has no class"),
        (HEADER + b"\x73" * 200, "too deeply"),
    ],
)
def test_what_is_no_object_is_told(content: bytes, reason: str) -> None:
    with pytest.raises(NotReadableError, match=reason):
        load(content)
