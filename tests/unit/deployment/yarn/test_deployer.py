"""What a configuration says, in YARN's words; and what is taken back."""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from pyflow_yarn.deployment.yarn import deployer
from pyflow_yarn.deployment.yarn.deployer import YarnDeployer, _principals
from pyflow_yarn.errors import ClusterError
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


def test_a_submission_that_hangs_is_waited_for_no_longer_than_it_may(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(deployer, "TAKE_BACK_SECONDS", 0.01)
    hangs = YarnDeployer.__new__(YarnDeployer)
    hangs._submission = Future()
    hangs.take_back()
    assert "ERROR org.apache.flink.yarn.YarnClusterDescriptor" in (said := capsys.readouterr().out)
    assert "could not be taken back within 0 s: find it with `yarn application -list`" in said
    # Its thread ends with the process; here it is let go.
    hangs._submission.set_exception(InterruptedError())


def test_nothing_is_taken_back_of_what_was_not_submitted(capsys: pytest.CaptureFixture[str]) -> None:
    refused = YarnDeployer.__new__(YarnDeployer)
    refused._submission = None
    refused.take_back()
    refused._submission = Future()
    refused._submission.set_exception(ClusterError("no"))
    refused.take_back()
    assert capsys.readouterr().out == ""
