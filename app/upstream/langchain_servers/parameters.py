"""What of OpenAI's chat completions LangChain's chat models carry; everything else is refused."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from langchain_core.language_models import BaseChatModel

from ...errors import InvalidParameter
from ...kit.secret_look import masked
from .providers import names_of
from .vendors import vendor_of

SETTINGS = frozenset(
    {"temperature", "top_p", "top_k", "seed", "presence_penalty", "frequency_penalty", "logit_bias", "reasoning_effort"}
    | {"service_tier", "max_tokens"}
)
"""They mean the same wherever a class has them. Its other fields are the operator's."""
HANDLED = frozenset({"model", "messages", "stream", "stream_options", "stop", "tools", "tool_choice", "response_format"})
NEUTRAL: Mapping[str, Any] = {
    "n": 1,
    "store": False,
    "logprobs": False,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "service_tier": "auto",
    "parallel_tool_calls": True,
    "response_format": {"type": "text"},
}
"""What holds anyway: clients send these, and nothing is lost without them."""
MESSAGE = frozenset({"role", "content", "name", "tool_calls", "tool_call_id"})
UNREAD = frozenset({"reasoning_content"})
"""Of earlier answers, which clients send back whole. No class reads it."""
CHOICES = ("auto", "none", "required")
PARTS = frozenset({"text", "image_url", "input_audio", "file"})
"""Of a message's content. LangChain knows more, and some of its classes fetch what those name."""


class Parameters:
    """Of one class."""

    def __init__(self, kind: type[BaseChatModel]) -> None:
        self.settings = SETTINGS & names_of(kind).keys()
        takes_parallel = "parallel_tool_calls" in inspect.signature(kind.bind_tools).parameters
        self._carried = HANDLED | self.settings | ({"parallel_tool_calls"} if takes_parallel else frozenset())
        newer = {"max_completion_tokens"} if "max_tokens" in self.settings else frozenset()
        self._vendor = vendor_of(kind)
        self.names = self._carried | NEUTRAL.keys() | newer
        """The only ones that a body may hold."""

    def verify(self, members: Mapping[str, Any], *, takes_schemas: bool) -> None:
        """Raises InvalidParameter. *takes_schemas*: whether the model answers by a JSON schema."""
        for name in NEUTRAL.keys() & members.keys() - self._carried:
            if members[name] not in (None, NEUTRAL[name]):
                raise _not_carried(name)
        self._verify_format(members.get("response_format"), takes_schemas)
        tools = members.get("tools") or []
        if not isinstance(tools, list):
            raise InvalidParameter("tools", "is not a list.", reason="invalid_type")
        for place, tool in enumerate(tools):
            if not isinstance(tool, dict) or tool.get("type") != "function":
                raise _not_carried(f"tools[{place}].type")
        choice = members.get("tool_choice")
        if choice is not None and choice not in CHOICES and tool_named(choice) is None:
            raise _not_carried("tool_choice")
        if choice == "none" and tools and self._vendor.no_tool is None:
            raise _not_carried("tool_choice")
        for place, message in enumerate(members["messages"]):
            for name in message.keys() - MESSAGE - UNREAD:
                if message[name] not in (None, "", [], {}):
                    raise _not_carried(f"messages[{place}].{masked(name, 100)}")
            content = message.get("content")
            for number, part in enumerate(content if isinstance(content, list) else ()):
                self._verify_part(f"messages[{place}].content[{number}]", part)

    def _verify_part(self, place: str, part: Any) -> None:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in PARTS:
            raise _not_carried(f"{place}.type")
        if others := part.keys() - {"type", kind, "cache_control"}:
            raise _not_carried(f"{place}.{masked(min(others), 100)}")
        held = part.get(kind)
        named = (held.get("url") or held.get("file_data")) if isinstance(held, dict) else held
        is_data = kind == "text" or named is None or (isinstance(named, str) and named[:5].lower() == "data:")
        if not is_data and not self._vendor.passes_addresses_on:
            what = "names an address, which is not fetched here: send the content itself as a data: URL."
            raise InvalidParameter(f"{place}.{kind}", what, reason="unsupported_parameter")

    def _verify_format(self, wanted: Any, takes_schemas: bool) -> None:
        if wanted in (None, NEUTRAL["response_format"]):
            return
        if not takes_schemas or not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
            raise _not_carried("response_format")


def tool_named(choice: Any) -> str | None:
    """The function that *choice* names, if it does."""
    function = choice.get("function") if isinstance(choice, dict) and choice.get("type") == "function" else None
    name = function.get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) else None


def _not_carried(name: str) -> InvalidParameter:
    what = "is not allowed here: this model's server speaks another protocol, which has no such thing. Leave it out."
    return InvalidParameter(name, what, reason="unsupported_parameter")
