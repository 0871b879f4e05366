"""Fixtures for tests over sockets: OpenAI's SDK at the service, and a service that waits for its model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from openai import OpenAI

from ..support.fake_openai import FakeOpenAI
from ..support.sdk import client_of
from ..support.service import Service


@pytest.fixture(scope="module")
def client(service: Service, token: str) -> Iterator[OpenAI]:
    """It does not retry, so that an error is the answer to one request."""
    with client_of(service, token, max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI) -> Iterator[Service]:
    """A service that waits a minute for the model, without keep-alives."""
    env: dict[str, Any] = {"LLM_TIMEOUT_SECONDS": "60", "STREAM_KEEPALIVE_SECONDS": "60"}
    with Service(tmp_path_factory.mktemp("patient"), OPENAI_BASE_URL=fake.base_url, **env) as running:
        yield running


@pytest.fixture(scope="module")
def patient_token(patient: Service) -> str:
    return patient.token("alice", patient.add_client())
