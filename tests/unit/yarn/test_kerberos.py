"""Tickets for HTTP, without anybody who gives any: tests/yarn/test_kerberos.py has them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pyflow_yarn.errors import ConfigurationError
from pyflow_yarn.yarn import kerberos
from pyflow_yarn.yarn.resource_manager import RefusedError, ResourceManager
from tests.serving import Answer, Asked, serving

ACCEPTED = "Negotiate dGlja2V0"


@contextmanager
def _wanting(scheme: str, accepted: str) -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []

    def answer(request: Asked) -> Answer:
        shown = request.headers.get("Authorization", "")
        asked.append(f"{shown} {request.body.decode()}".strip())
        return Answer(b"{}", 200 if shown == accepted else 401, {"WWW-Authenticate": scheme})

    with serving(answer) as address:
        yield f"http://{address}", asked


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The services that a ticket was asked for."""
    asked: list[str] = []

    def ticket(service: str) -> bytes:
        asked.append(service)
        return b"ticket"

    monkeypatch.setattr(kerberos, "ticket", ticket)
    return asked


def test_a_request_is_repeated_with_a_ticket(services: list[str]) -> None:
    with _wanting("Negotiate", ACCEPTED) as (address, asked):
        ResourceManager([address], "ann").kill("application_1_0001")
    assert asked == ['{"state": "KILLED"}', f'{ACCEPTED} {{"state": "KILLED"}}']
    assert services == ["HTTP@127.0.0.1"]


@pytest.mark.parametrize(("scheme", "tickets"), [("Negotiate", 1), ("Basic realm=x", 0)])
def test_who_takes_no_ticket_refuses(services: list[str], scheme: str, tickets: int) -> None:
    with _wanting(scheme, "another") as (address, asked), pytest.raises(RefusedError, match="Unauthorized"):
        ResourceManager([address], "ann").kill("application_1_0001")
    assert (len(asked), len(services)) == (1 + tickets, tickets)


def test_who_has_no_ticket_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kerberos, "LIBRARY", "libnothing.so.2")
    sentence = r"^HTTP@127.0.0.1 wants Kerberos, and the library libnothing.so.2 is not found: install it"
    with _wanting("Negotiate", ACCEPTED) as (address, _), pytest.raises(ConfigurationError, match=sentence):
        ResourceManager([address], "ann").kill("application_1_0001")


def test_a_keytab_that_is_not_there_is_told() -> None:
    with pytest.raises(ConfigurationError, match=r"^There is no keytab /nowhere/k: correct its path\.$"):
        kerberos.log_in("ann", "/nowhere/k")
