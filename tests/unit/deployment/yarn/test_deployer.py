"""What a configuration says, in YARN's words."""

from __future__ import annotations

import pytest

from pyflow_yarn.deployment.yarn.deployer import _principals
from pyflow_yarn.yarn import Principals


@pytest.mark.parametrize(
    ("text", "principals"),
    [
        (None, Principals()),
        ("", Principals()),
        ("*", Principals(("*",))),
        ("ann, ,bob", Principals(("ann",), ("bob",))),
        ("ann,bob ops,admins", Principals(("ann", "bob"), ("ops", "admins"))),
        (" ops", Principals((), ("ops",))),
    ],
)
def test_users_and_groups(text: str | None, principals: Principals) -> None:
    assert _principals(text) == principals
