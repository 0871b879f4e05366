"""What is refused in a /v1 body: some parameters, too many or too long messages, many tokens."""

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
"""Other servers' names for `max_tokens` and `n`, which such a server obeys instead."""
TOKEN_CAPS = frozenset({"max_tokens", "max_completion_tokens", "max_output_tokens"})
"""Each endpoint caps its own of these. The others are refused, because a server may obey them."""
OTHER_MODELS = frozenset(
    {"models", "fallbacks", "context_window_fallbacks", "content_policy_fallbacks", "route", "provider", "custom_llm_provider"}
    | {"api_base", "base_url", "api_key", "extra_body", "extra_headers", "extra_query"}
)
"""Parameters of gateways (OpenRouter, LiteLLM) that reach other models or servers."""
OTHERS_SLOTS = frozenset({"id_slot", "cache_prompt", "n_cache_reuse", "slot_id"})
"""Parameters of llama.cpp that let a caller find out what another caller has asked."""
REFUSED = UNCAPPED | OTHER_MODELS | OTHERS_SLOTS
FOREIGN_KEYS = frozenset({"file_id", "vector_store_ids", "item_reference"})
"""They name content on the server. It may be another caller's: all callers share one key there."""
TOOL_TYPES = frozenset({"function", "custom", "web_search", "web_search_preview"})
"""The tools of /v1/responses. Others reach files, containers and servers that no record holds."""
NO_TEXT = frozenset({"image_url", "file_data", "input_audio"})
"""Images and files do not count as text: the cap on bytes limits them."""
NAMES = frozenset({"role", "type", "id", "call_id", "status", "detail"})
"""They name a part of a message, and do not count as text up to NAME_LENGTH characters."""
NAME_LENGTH = 100
MAX_CHOICES = 128


def verify_params(
    endpoint: Endpoint, members: Mapping[str, Any], refused: frozenset[str], allowed: frozenset[str] | None
) -> None:
    """Raises InvalidParameter. *refused*: by the operator.

    *allowed*: the only parameters that the model's server may be given; None for any.
    """
    other_caps = TOKEN_CAPS.difference(endpoint.token_caps)
    for name, value in members.items():
        is_refused = name in refused or name in REFUSED or name in other_caps
        is_beyond = name in endpoint.beyond_the_record and value is not False
        is_unknown = allowed is not None and name not in allowed
        if value is not None and (is_refused or is_beyond or is_unknown):
            raise _unsupported("This parameter is not allowed here.", shown(name))
    if endpoint.beyond_the_record and isinstance(tools := members.get("tools"), list):
        for number, tool in enumerate(tools):
            if isinstance(tool, dict) and str(tool.get("type")) not in TOOL_TYPES:
                raise _unsupported("This kind of tool is not allowed here.", f"tools[{number}].type")


def verify_messages(endpoint: Endpoint, members: Mapping[str, Any], caps: Caps) -> None:
    """Raises InvalidParameter for messages that are missing, malformed, too many or too long.

    A list of tokens is limited by the cap on bytes only.
    """
    name = endpoint.messages
    messages = _verified_shape(endpoint, members.get(name))
    if isinstance(messages, str):
        _verify_message(name, messages, caps)
    elif all(type(message) is int for message in messages):
        return
    elif len(messages) > caps.messages:
        detail = f"{name} has more than the {caps.messages} entries that you may send."
        raise InvalidParameter(detail, param=name, reason="array_above_max_length")
    else:
        for number, message in enumerate(messages):
            place = f"{name}[{number}]"
            if endpoint.beyond_the_record and _is_untyped_reference(message):
                raise _foreign(place)
            _verify_message(place, message, caps)
    _verify_message("instructions", members.get("instructions"), caps)


def cap_tokens(endpoint: Endpoint, params: dict[str, Any], caps: Caps, wants_max_completion_tokens: bool) -> None:
    """Make sure that all choices together are no longer than the caller's cap.

    Where *params* name no length, the cap is added. A server that knows `max_tokens` only gets
    that, too, where the caller used the newer name. Raises InvalidParameter.
    """
    if not endpoint.token_caps:
        return
    choices = 1
    if endpoint.wants_objects and params.get("n") is not None:
        choices = _verify_count(params["n"], "n", min(MAX_CHOICES, caps.tokens))
    most = caps.tokens // choices
    named = {name: _verify_count(params[name], name, most) for name in endpoint.token_caps if params.get(name) is not None}
    honoured = endpoint.token_caps[-1 if wants_max_completion_tokens else 0]
    if named and (wants_max_completion_tokens or honoured in named):
        return  # OpenAI takes the older name, too
    params[honoured] = min(named.values(), default=most)


def read_flag(members: Mapping[str, Any], name: str) -> bool:
    """Raises InvalidParameter for anything but true, false and null."""
    value = members.get(name)
    if not isinstance(value, bool | None):
        raise wrong_type(name, "true or false")
    return bool(value)


def wrong_type(name: str, wanted: str) -> InvalidParameter:
    return InvalidParameter(f"{name} is not {wanted}.", param=name, reason="invalid_type")


def shown(name: str) -> str:
    """A member's name as a body and a record may show it: short, without lone surrogates."""
    return name[:100].encode("utf-8", "backslashreplace").decode()


def _verified_shape(endpoint: Endpoint, messages: Any) -> str | list[Any]:
    """A list, of objects where the endpoint wants them; elsewhere also a string. Not empty."""
    name = endpoint.messages
    if messages is None:
        raise InvalidParameter(f"The member {name} is missing.", param=name, reason="missing_required_parameter")
    if not isinstance(messages, list) and (endpoint.wants_objects or not isinstance(messages, str)):
        raise wrong_type(name, "a list of messages")
    if not messages:
        reason = "empty_string" if isinstance(messages, str) else "empty_array"
        raise InvalidParameter(f"{name} is empty.", param=name, reason=reason)
    if endpoint.wants_objects and not all(isinstance(message, dict) for message in messages):
        raise wrong_type(name, "a list of objects")
    return messages


def _verify_message(place: str, message: Any, caps: Caps) -> None:
    """Raises InvalidParameter if *message* has too much text, or names foreign content."""
    length = 0
    pending: list[tuple[Any, bool]] = [(message, True)]  # a value, and whether its text counts
    while pending:
        value, counts = pending.pop()
        if isinstance(value, str):
            length += len(value) if counts else 0
        elif isinstance(value, list):
            pending.extend((item, counts) for item in value)
        elif isinstance(value, dict):
            if _names_foreign_content(value):
                raise _foreign(place)
            pending.extend((item, counts and _is_text(key, item)) for key, item in value.items())
    if length > caps.message_chars:
        detail = f"{place} is longer than the {caps.message_chars} characters that you may send in one."
        raise InvalidParameter(detail, param=place, reason="string_above_max_length")


def _is_text(key: str, value: Any) -> bool:
    is_name = key in NAMES and isinstance(value, str) and len(value) <= NAME_LENGTH
    return not is_name and key not in NO_TEXT


def _names_foreign_content(value: dict[str, Any]) -> bool:
    audio = value.get("audio")  # an earlier answer, which the server keeps under an id
    names_audio = isinstance(audio, dict) and "id" in audio
    return names_audio or not FOREIGN_KEYS.isdisjoint(value) or str(value.get("type")) in FOREIGN_KEYS


def _is_untyped_reference(message: Any) -> bool:
    """An item_reference of /v1/responses, whose `type` may be left out."""
    return isinstance(message, dict) and "id" in message and not (message.get("type") or message.get("role"))


def _foreign(place: str) -> InvalidParameter:
    return _unsupported(f"{place} names content on the model's server that no record here holds.", place)


def _unsupported(detail: str, param: str) -> InvalidParameter:
    return InvalidParameter(detail, param=param, reason="unsupported_parameter")


def _verify_count(value: Any, name: str, most: int) -> int:
    if type(value) is not int:
        raise wrong_type(name, "a whole number")
    if value < 1:
        raise InvalidParameter(f"{name} must be 1 or more.", param=name, reason="integer_below_min_value")
    if value > most:
        detail = f"{name} is at most {most} for you here (all choices together)."
        raise InvalidParameter(detail, param=name, reason="integer_above_max_value")
    return value
