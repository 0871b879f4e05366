"""From a provider to its class."""

from __future__ import annotations

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI

from app.errors import ConfigError
from app.upstream.langchain_servers.providers import load, names_of


def test_the_only_chat_model_of_a_package_is_found() -> None:
    assert load("claude", "anthropic") is ChatAnthropic
    assert load("other", "langchain_openai:ChatOpenAI") is load("other", "openai") is ChatOpenAI


@pytest.mark.parametrize("provider", ["json:JSONDecoder", "langchain_openai:Nothing", "json"])
def test_what_is_no_chat_model_is_refused(provider: str) -> None:
    with pytest.raises(ConfigError, match=r"finds 0 chat models|needs the package"):
        load("claude", provider)


def test_a_class_takes_its_fields_and_their_aliases() -> None:
    names = names_of(ChatAnthropic)
    assert (names["base_url"], names["api_key"]) == ("anthropic_api_url", "anthropic_api_key")
    assert names["temperature"] == "temperature"
    assert names_of(ChatOpenAI)["max_completion_tokens"] == "max_tokens"
