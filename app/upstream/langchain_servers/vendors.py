"""What is known of each package of chat models, beside what its class says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_core.language_models import BaseChatModel

LONGEST_TIMEOUT = 3600
"""Seconds. Our deadlines are shorter; an SDK's own, of one or two minutes, is not to cut them."""


@dataclass(frozen=True)
class Vendor:
    address: str | None = None
    """Of servers without a `base_url`: stated, so that no variable of the SDK's decides it."""
    no_tool: Any = None
    """How it is told to call no tool. None: it cannot be told."""
    passes_addresses_on: bool = False
    """Its servers fetch an image by its address. Other classes do that here, in this network."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Where the class has a default that would be sent, or decide, in place of ours."""
    with_key: Mapping[str, Any] = field(default_factory=dict)
    """Further ones where the policy names a key. Else the environment decides all, also where."""
    clients: tuple[str, ...] = ()
    """Members of a model that hold connections of its own alone, to be closed with it."""


ANTHROPIC, GOOGLE, OPENAI = "langchain_anthropic", "langchain_google_genai", "langchain_openai"
UNKNOWN = Vendor()
VENDORS = {
    ANTHROPIC: Vendor("https://api.anthropic.com", no_tool={"type": "none"}, passes_addresses_on=True),
    "langchain_aws": Vendor(arguments={"timeout": LONGEST_TIMEOUT}, clients=("client", "bedrock_client")),
    GOOGLE: Vendor(
        "https://generativelanguage.googleapis.com",
        no_tool="none",
        arguments={"temperature": None},
        with_key={"vertexai": False},
    ),
    "langchain_mistralai": Vendor(
        "https://api.mistral.ai/v1",
        no_tool="none",
        passes_addresses_on=True,
        arguments={"timeout": LONGEST_TIMEOUT},
        clients=("async_client", "client"),
    ),
    OPENAI: Vendor(no_tool="none", passes_addresses_on=True),
}


def package_of(kind: type) -> str:
    return kind.__module__.partition(".")[0]


def vendor_of(kind: type[BaseChatModel]) -> Vendor:
    """Classes of other packages may be derived from OpenAI's, and speak its protocol."""
    return VENDORS.get(package_of(kind)) or (VENDORS[OPENAI] if OPENAI in map(package_of, kind.__mro__) else UNKNOWN)
