"""A REST server that answers as it is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.client.fake_rest import FakeRest


@pytest.fixture
def fake_rest() -> Iterator[FakeRest]:
    fake = FakeRest()
    yield fake
    fake.close()
