"""What is known of the packages of chat models."""

from __future__ import annotations

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import GenericFakeChatModel
from langchain_openai import ChatOpenAI

from app.upstream.langchain_servers.vendors import OPENAI, UNKNOWN, VENDORS, vendor_of


def test_a_vendor_is_known_by_the_package_of_its_class() -> None:
    assert vendor_of(ChatAnthropic) is VENDORS["langchain_anthropic"]
    assert vendor_of(GenericFakeChatModel) is UNKNOWN


def test_classes_derived_from_openais_speak_its_protocol() -> None:
    derived = type("ChatOther", (ChatOpenAI,), {"__module__": "langchain_other.chat_models"})
    assert vendor_of(derived) is VENDORS[OPENAI]


@pytest.mark.parametrize("name", VENDORS)
def test_an_address_is_one_over_tls(name: str) -> None:
    address = VENDORS[name].address
    assert address is None or address.startswith("https://")
