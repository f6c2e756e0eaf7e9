"""The REST client: answers, errors, and nobody there."""

from __future__ import annotations

import http.client
import socket
import threading
import time

import pytest

from pyflow_yarn.client.rest import Body, Conflict, RestClient, Unavailable, Unreachable
from pyflow_yarn.deployment.cluster import Endpoint
from pyflow_yarn.errors import ClusterError, JobNotFoundError, UserError
from tests.unit.client.fake_rest import Answer, FakeRest

FAST = {"rest.retry.delay": "1 ms", "rest.retry.max-attempts": "3"}


def test_connections_are_kept(fake_rest: FakeRest) -> None:
    fake_rest.routes["GET /v1/x"] = Answer(200, {"a": 1})
    client = RestClient(fake_rest.endpoint(), {})
    assert [client.get("/x") for _ in range(5)] == [{"a": 1}] * 5
    client.close()
    assert fake_rest.connections == 1


def test_a_connection_that_the_server_closed_is_replaced(fake_rest: FakeRest) -> None:
    fake_rest.routes["GET /v1/x"] = [Answer(200, {"a": 1}), Answer(0), Answer(200, {"a": 2})]
    client = RestClient(fake_rest.endpoint(), {})
    assert client.get("/x") == {"a": 1}
    assert client.get("/x") == {"a": 2}
    client.close()
    assert fake_rest.connections == 2


def test_an_interrupt_while_a_response_is_closed_is_not_lost(
    fake_rest: FakeRest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finaliser that closes it would swallow the interrupt; the client would wait on as if nothing had come."""
    fake_rest.routes["GET /v1/x"] = Answer(200, {"a": 1})
    client = RestClient(fake_rest.endpoint(), {})

    def interrupted(response: http.client.HTTPResponse) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(http.client.HTTPResponse, "flush", interrupted)
    with pytest.raises(KeyboardInterrupt):
        client.get("/x")
        client.get("/x")
    client.close()


def test_each_thread_has_its_connection(fake_rest: FakeRest) -> None:
    fake_rest.routes["GET /v1/x"] = Answer(200, {"a": 1})
    client = RestClient(fake_rest.endpoint(), {})
    answers = []

    def ask() -> None:
        answers.append(client.get("/x"))
        client.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [{"a": 1}] * 4
    assert fake_rest.connections == 4


def test_token_and_headers_of_the_environment(fake_rest: FakeRest, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_rest.routes["GET /v1/x"] = Answer(200)
    monkeypatch.setenv("FLINK_REST_CLIENT_HEADERS", "X-One: 1\nno header\nx-two:2 : 3\n")
    client = RestClient(fake_rest.endpoint("secret"), {})
    client.get("/x")
    client.close()
    headers = fake_rest.requests[-1].headers
    assert (headers["Authorization"], headers["X-One"], headers["x-two"]) == ("Bearer secret", "1", "2 : 3")
    monkeypatch.setenv("FLINK_REST_CLIENT_HEADERS", "authorization:Bearer other")
    client = RestClient(fake_rest.endpoint("secret"), {})
    client.get("/x")
    client.close()
    assert fake_rest.requests[-1].headers["authorization"] == "Bearer other"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, UserError),
        (401, ClusterError),
        (404, JobNotFoundError),
        (409, Conflict),
        (413, UserError),
        (500, ClusterError),
    ],
)
def test_refusals_become_errors_with_the_servers_sentence(
    fake_rest: FakeRest, status: int, kind: type[Exception]
) -> None:
    fake_rest.routes["GET /v1/x"] = Answer(status, {"errors": ["A sentence.", "a stack"]})
    client = RestClient(fake_rest.endpoint(), FAST)
    with pytest.raises(kind) as caught:
        client.get("/x")
    client.close()
    assert type(caught.value) is kind
    if status != 401:
        assert str(caught.value) == "A sentence."
    assert len(fake_rest.requests) == 1


def test_unavailable_is_tried_again(fake_rest: FakeRest) -> None:
    fake_rest.routes["GET /v1/x"] = [Answer(503, {"errors": ["later"]}), Answer(503), Answer(200, {"a": 1})]
    client = RestClient(fake_rest.endpoint(), FAST)
    assert client.get("/x") == {"a": 1}
    fake_rest.routes["GET /v1/x"] = Answer(503, {"errors": ["later"]})
    with pytest.raises(Unavailable, match="later"):
        client.get("/x")
    assert len(fake_rest.requests) == 3 + 4
    with pytest.raises(Unavailable, match="later"):
        client.request("GET", "/x", repeat=False)
    assert len(fake_rest.requests) == 8
    client.close()


def test_a_body_is_sent_again_from_its_start(fake_rest: FakeRest) -> None:
    fake_rest.routes["POST /v1/x"] = [Answer(503), Answer(200)]
    client = RestClient(fake_rest.endpoint(), FAST)
    client.request("POST", "/x", Body(lambda: iter([b"one ", b"two"]), 7, "text/plain"))
    client.close()
    assert [request.body for request in fake_rest.requests] == [b"one two"] * 2
    assert fake_rest.requests[0].headers["Content-Type"] == "text/plain"


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    begin = time.monotonic()
    with pytest.raises(Unreachable, match=f"The cluster at 127.0.0.1:{port} cannot be reached: connection refused"):
        RestClient(Endpoint(f"127.0.0.1:{port}"), {}).get("/x")
    assert time.monotonic() - begin < 5


def test_somebody_else_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def speak() -> None:
            for _ in range(4):
                connection, _ = server.accept()
                with connection:
                    connection.recv(1000)
                    connection.sendall(b"220 mail.example ESMTP\r\n")

        thread = threading.Thread(target=speak)
        thread.start()
        client = RestClient(Endpoint(f"127.0.0.1:{server.getsockname()[1]}"), FAST)
        with pytest.raises(Unreachable, match="what answers is no REST server"):
            client.get("/x")
        thread.join()


def test_a_server_that_is_known_to_be_gone_is_not_waited_for(fake_rest: FakeRest) -> None:
    fake_rest.routes["GET /v1/x"] = Answer(503)

    def check() -> None:
        raise ClusterError("The cluster is gone.")

    client = RestClient(fake_rest.endpoint(), {}, check)
    with pytest.raises(ClusterError, match="The cluster is gone"):
        client.get("/x")
    client.close()


def test_a_server_that_restarts_is_waited_for_and_that_is_said(
    fake_rest: FakeRest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    gone = [Answer(503, {"errors": ["There is no leader."]})] * 30
    fake_rest.routes["GET /v1/x"] = [Answer(200), *gone, Answer(200, {"a": 1})]
    client = RestClient(fake_rest.endpoint(), {})
    client.get("/x")
    assert client.get("/x") == {"a": 1}
    client.close()
    assert capsys.readouterr().err == "WARNING: There is no leader. Trying again, for 56 s at most.\n"
