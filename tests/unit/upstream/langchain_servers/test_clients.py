"""The connections of chat models are closed with their server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app.catalogue.models import Server
from app.upstream.langchain_servers.chat_models import ChatModels
from app.upstream.langchain_servers.vendors import LONGEST_TIMEOUT

from ....support.optional import leave_out


def models(provider: str, module: str) -> ChatModels:
    try:
        return ChatModels(Server("other", None, "k" * 20, langchain=provider))
    except Exception as error:
        if "is not installed" not in str(error):
            raise
        leave_out(f"{module} is not installed: install requirements-dev.lock")


def test_a_class_with_connections_of_its_own_has_them_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MISTRAL_BASE_URL", "http://127.0.0.1:9")
    made = models("mistralai", "langchain-mistralai")
    model: Any = made.model("m")
    assert model.endpoint == made.address == "https://api.mistral.ai/v1"
    assert model.async_client.timeout.read == LONGEST_TIMEOUT
    assert not model.async_client.follow_redirects
    asyncio.run(made.aclose())
    assert model.async_client.is_closed
    assert model.client.is_closed
