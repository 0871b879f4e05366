"""What of a /v1 body is refused: parameters by name, more than a role may send, more tokens than it may have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..catalogue.models import Caps
from ..errors import InvalidParameter
from ..upstream.protocol.endpoint import Endpoint

UNCAPPED = frozenset(
    {"n_predict", "num_predict", "max_new_tokens", "max_length", "max_gen_len", "max_tokens_to_sample"}
    | {"n_cmpl", "best_of", "num_return_sequences"}
)
"""Other servers' names for what `max_tokens` and `n` say; they would win over them."""
TOKEN_CAPS = frozenset({"max_tokens", "max_completion_tokens", "max_output_tokens"})
"""Each endpoint has its own of these; a server may obey another's too, which nobody has capped."""
OTHER_MODELS = frozenset(
    {"models", "fallbacks", "context_window_fallbacks", "content_policy_fallbacks", "route", "provider", "custom_llm_provider"}
    | {"api_base", "base_url", "api_key", "extra_body", "extra_headers", "extra_query"}
)
"""Of gateways (OpenRouter, LiteLLM): with them a caller would reach other models, or other servers, than those he may use."""
OTHERS_SLOTS = frozenset({"id_slot", "cache_prompt", "n_cache_reuse", "slot_id"})
"""llama.cpp's: with them a caller can find out what another has asked."""
REFUSED = UNCAPPED | OTHER_MODELS | OTHERS_SLOTS
FOREIGN_KEYS = frozenset({"file_id", "vector_store_ids", "item_reference"})
"""Name what somebody, maybe not this caller, has put on the server under the one key that all callers share."""
TOOL_TYPES = frozenset({"function", "custom", "web_search", "web_search_preview"})
"""Of /v1/responses. Others reach files, containers and servers that no record holds."""
NO_TEXT = frozenset({"image_url", "file_data", "input_audio"})
NAMES = frozenset({"role", "type", "id", "call_id", "status", "detail"})
NAME_LENGTH = 100
"""Of what merely names a part of a message, and does not count as its text."""
MAX_CHOICES = 128


def verify_params(
    endpoint: Endpoint, members: Mapping[str, Any], refused: frozenset[str], allowed: frozenset[str] | None
) -> None:
    """Raises InvalidParameter. *allowed*: the only parameters that the model's server may be given; None for any."""
    caps = frozenset(endpoint.token_caps)
    for name, value in members.items():
        is_refused = name in refused or name in REFUSED or name in TOKEN_CAPS - caps
        is_beyond = name in endpoint.beyond_the_record and value is not False
        is_strange = allowed is not None and name not in allowed
        if value is not None and (is_refused or is_beyond or is_strange):
            raise InvalidParameter("This parameter is not allowed here.", param=shown(name), reason="unsupported_parameter")
    if endpoint.beyond_the_record and isinstance(tools := members.get("tools"), list):
        for number, tool in enumerate(tools):
            if isinstance(tool, dict) and str(tool.get("type")) not in TOOL_TYPES:
                param = f"tools[{number}].type"
                raise InvalidParameter("This kind of tool is not allowed here.", param=param, reason="unsupported_parameter")


def verify_messages(endpoint: Endpoint, members: Mapping[str, Any], caps: Caps) -> None:
    """Raises InvalidParameter for too many, too long ones, or none."""
    name = endpoint.messages
    messages = members.get(name)
    if messages is None:
        raise InvalidParameter(f"The member {name} is missing.", param=name, reason="missing_required_parameter")
    if not isinstance(messages, list) and (endpoint.wants_objects or not isinstance(messages, str)):
        raise wrong(name, "a list of messages")
    if not messages:
        reason = "empty_string" if isinstance(messages, str) else "empty_array"
        raise InvalidParameter(f"{name} is empty.", param=name, reason=reason)
    if endpoint.wants_objects and not all(isinstance(message, dict) for message in messages):
        raise wrong(name, "a list of objects")
    if isinstance(messages, list) and all(type(message) is int for message in messages):
        return  # tokens, which the cap on bytes bounds
    if isinstance(messages, list) and len(messages) > caps.messages:
        detail = f"{name} has more than the {caps.messages} entries that you may send."
        raise InvalidParameter(detail, param=name, reason="array_above_max_length")
    if isinstance(messages, str):
        _verify_message(name, messages, caps)
    else:
        for number, message in enumerate(messages):
            if (
                endpoint.beyond_the_record
                and isinstance(message, dict)
                and "id" in message
                and not (message.get("type") or message.get("role"))
            ):
                raise _foreign(f"{name}[{number}]")  # an item_reference, whose type may be left out
            _verify_message(f"{name}[{number}]", message, caps)
    _verify_message("instructions", members.get("instructions"), caps)


def cap_tokens(endpoint: Endpoint, params: dict[str, Any], caps: Caps, wants_max_completion_tokens: bool) -> None:
    """No answer is longer than the caller's cap, all choices together; where he names no length, the cap is named for him.

    And for servers that know `max_tokens` only, what he says by its newer name is said by the older one too.
    """
    if not endpoint.token_caps:
        return
    choices = 1
    if endpoint.wants_objects and params.get("n") is not None:
        choices = _count(params["n"], "n", min(MAX_CHOICES, caps.tokens))
    said = [name for name in endpoint.token_caps if params.get(name) is not None]
    named = {name: _count(params[name], name, caps.tokens // choices) for name in said}
    wanted = endpoint.token_caps[-1 if wants_max_completion_tokens else 0]
    if wanted not in named and not (named and wants_max_completion_tokens):
        params[wanted] = min(named.values(), default=caps.tokens // choices)


def flag(members: Mapping[str, Any], name: str) -> bool:
    """Raises InvalidParameter for anything but true, false and null."""
    value = members.get(name)
    if not isinstance(value, bool | None):
        raise wrong(name, "true or false")
    return bool(value)


def wrong(name: str, wanted: str) -> InvalidParameter:
    return InvalidParameter(f"{name} is not {wanted}.", param=name, reason="invalid_type")


def _verify_message(name: str, message: Any, caps: Caps) -> None:
    """All its texts count, but for images and files, which the cap on bytes bounds, and what merely names its parts."""
    length = 0
    stack: list[tuple[Any, bool]] = [(message, True)]
    while stack:
        value, counts = stack.pop()
        if isinstance(value, str):
            length += len(value) if counts else 0
        elif isinstance(value, list):
            stack.extend((item, counts) for item in value)
        elif isinstance(value, dict):
            if not FOREIGN_KEYS.isdisjoint(value) or str(value.get("type")) in FOREIGN_KEYS or _names_audio(value.get("audio")):
                raise _foreign(name)
            for key, item in value.items():
                is_name = key in NAMES and isinstance(item, str) and len(item) <= NAME_LENGTH
                stack.append((item, counts and not is_name and key not in NO_TEXT))
    if length > caps.message_chars:
        detail = f"{name} is longer than the {caps.message_chars} characters that you may send in one."
        raise InvalidParameter(detail, param=name, reason="string_above_max_length")


def _names_audio(value: Any) -> bool:
    """What was said before, kept on the server under an id."""
    return isinstance(value, dict) and "id" in value


def _foreign(name: str) -> InvalidParameter:
    detail = f"{name} names what was put on the model's server before, which no record here holds."
    return InvalidParameter(detail, param=name, reason="unsupported_parameter")


def _count(value: Any, name: str, most: int) -> int:
    if type(value) is not int:
        raise wrong(name, "a whole number")
    if value < 1:
        raise InvalidParameter(f"{name} is from 1 on.", param=name, reason="integer_below_min_value")
    if value > most:
        detail = f"{name} is at most {most} for you here (all choices together)."
        raise InvalidParameter(detail, param=name, reason="integer_above_max_value")
    return value


def shown(name: str) -> str:
    """A member's name as a body and a record may show it."""
    return name[:100].encode("utf-8", "backslashreplace").decode()
