"""The chat models of one server: their key, address and connections are ours to decide."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from app.catalogue.models import Server
from app.errors import ConfigError
from app.upstream.langchain_servers.chat_models import ChatModels


def anthropic(**members: Any) -> ChatModels:
    return ChatModels(Server("claude", **{"base_url": None, "api_key": "k" * 20, "langchain": "anthropic", **members}))


def test_a_model_is_made_once_and_asks_once() -> None:
    models = anthropic()
    model: Any = models.model("claude-a")
    again: Any = models.model("claude-a")
    assert again is model
    assert (model.model, model.max_retries, model.cache) == ("claude-a", 0, False)
    assert model.anthropic_api_key.get_secret_value() == "k" * 20


def test_all_models_share_one_client_which_can_be_closed() -> None:
    models = anthropic()
    one: Any = models.model("claude-a")
    other: Any = models.model("claude-b")
    assert one._async_client is other._async_client
    asyncio.run(models.aclose())
    assert one._async_client.is_closed()
    again: Any = models.model("claude-a")
    assert not again._async_client.is_closed()
    asyncio.run(models.aclose())


def test_the_environment_decides_neither_the_address_nor_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_URL", "HTTPS_PROXY", "ANTHROPIC_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    models = anthropic()
    model: Any = models.model("claude-a")
    assert model.anthropic_api_url == models.address == "https://api.anthropic.com"
    assert model.anthropic_proxy is None
    assert not [name for name in os.environ if name.upper().endswith("_PROXY")]


def test_what_the_class_does_not_take_prevents_the_start() -> None:
    with pytest.raises(ConfigError) as caught:
        ChatModels(Server("odd", "http://127.0.0.1:9", "", langchain="langchain_core_fakes:Nothing"))
    assert "[servers.odd]" in caught.value.detail


def test_a_class_that_cannot_be_made_says_so_without_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    models = ChatModels(Server("azure", "http://127.0.0.1:9", "k" * 20, langchain="azure_openai"))
    with pytest.raises(ConfigError) as caught:
        models.model("secret-name")
    assert caught.value.detail.startswith("[servers.azure] AzureChatOpenAI cannot be made (")
    assert "secret-name" not in caught.value.detail
    assert "k" * 20 not in caught.value.detail
