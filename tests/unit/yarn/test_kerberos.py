"""Tickets for HTTP, without anybody who gives any: tests/yarn/test_kerberos.py has them."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pyflow_yarn.errors import ConfigurationError
from pyflow_yarn.yarn import kerberos
from pyflow_yarn.yarn.resource_manager import RefusedError, ResourceManager

ACCEPTED = "Negotiate dGlja2V0"


@contextmanager
def _wanting(scheme: str, accepted: str) -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            shown = self.headers.get("Authorization", "")
            asked.append(f"{shown} {body}".strip())
            self.send_response(200 if shown == accepted else 401)
            self.send_header("WWW-Authenticate", scheme)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *values: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


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
