"""A fake upstream that keeps the digests of what it was sent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ...support.fake_openai import FakeOpenAI


@pytest.fixture(scope="module")
def server() -> Iterator[FakeOpenAI]:
    with FakeOpenAI(keep_digests=True) as fake:
        yield fake


@pytest.fixture
def fake(server: FakeOpenAI) -> FakeOpenAI:
    server.reset()
    return server
