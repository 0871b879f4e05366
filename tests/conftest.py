"""Fixtures that most tests share: a fake of the OpenAI protocol, and a service in front of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from .support.fake_openai import FakeOpenAI
from .support.service import Service

settings.register_profile("untimed", deadline=None)  # a busy machine must not fail a test
settings.load_profile("untimed")


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeOpenAI]:
    """One fake upstream per test module; a test that sets a mode resets it."""
    with FakeOpenAI() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI) -> Iterator[Service]:
    """One running service per test module, in front of the fake."""
    folder: Path = tmp_path_factory.mktemp("service")
    with Service(folder, OPENAI_BASE_URL=fake.base_url, OPENAI_API_KEY="sk-planted-key-0123456789") as running:
        yield running


@pytest.fixture(scope="module")
def token(service: Service) -> str:
    """An access token of a client that may ask."""
    return service.token("alice", service.add_client("alice"))
