"""Where a provider's class is, without importing it."""

from __future__ import annotations

import pytest

from app.errors import ConfigError
from app.upstream.langchain_servers.installed import place_of


@pytest.mark.parametrize(
    ("provider", "place"),
    [
        ("anthropic", ("langchain_anthropic", "")),
        ("openai", ("langchain_openai", "ChatOpenAI")),
        ("langchain_openai:AzureChatOpenAI", ("langchain_openai", "AzureChatOpenAI")),
    ],
)
def test_a_provider_names_a_module_and_maybe_a_class(provider: str, place: tuple[str, str]) -> None:
    assert place_of("claude", provider) == place


@pytest.mark.parametrize("provider", ["", "Anthropic", "os.path:join", "a:b:c", "sk-ant-planted"])
def test_a_name_of_another_form_is_refused_without_being_repeated(provider: str) -> None:
    with pytest.raises(ConfigError) as caught:
        place_of("claude", provider)
    assert caught.value.detail == "[servers.claude] langchain takes a name such as anthropic, or MODULE:CLASS."


def test_what_is_not_installed_is_named_with_its_package() -> None:
    with pytest.raises(ConfigError, match=r"bedrock_converse. needs the package langchain-aws, which is not installed"):
        place_of("claude", "bedrock_converse")
