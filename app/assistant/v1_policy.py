"""Which parameters a /v1 body may hold: none that would bypass the caps or the record."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from ..catalogue.values import NEVER_SERVER_SIDE
from ..upstream.protocol.endpoint import Endpoint
from .v1_refusals import shown, unsupported, wrong_type

UNCAPPED = frozenset(
    {"n_predict", "num_predict", "max_new_tokens", "max_length", "max_gen_len", "max_tokens_to_sample"}
    | {"n_cmpl", "best_of", "num_return_sequences"}
)
"""Other servers' names for `max_tokens` and `n`, which such a server obeys instead."""
TOKEN_CAPS = frozenset({"max_tokens", "max_completion_tokens", "max_output_tokens"})
"""Each endpoint caps its own of these. The others are refused, because a server may obey them."""
OTHER_MODELS = frozenset(
    {"models", "fallbacks", "context_window_fallbacks", "content_policy_fallbacks", "route", "provider", "custom_llm_provider"}
    | {"api_base", "base_url", "api_key", "extra_body", "extra_headers", "extra_query", "user_config"}
)
"""Parameters of gateways (OpenRouter, LiteLLM) that reach other models or servers."""
OTHERS_SLOTS = frozenset({"id_slot", "cache_prompt", "n_cache_reuse", "slot_id"})
"""Parameters of llama.cpp that let a caller find out what another caller has asked."""
REFUSED = UNCAPPED | OTHER_MODELS | OTHERS_SLOTS
PREVIOUS = "previous_response_id"
BEYOND = NEVER_SERVER_SIDE | {PREVIOUS}
"""They belong to /v1/responses. A gateway may obey them at other endpoints, too, and no record
holds what they name."""
READ = TOKEN_CAPS | {"model", "messages", "input", "prompt", "instructions", "system", "stream", "stream_options", "n"}
"""What this service reads, under these names alone."""
INSTEAD = {
    "background": "leave it out, the answer comes on this connection",
    PREVIOUS: "send the whole conversation in {} (Agents SDK: to_input_list() or a session; LangChain: "
    "use_previous_response_id=False), or ask the operator to allow it",
    "conversation": "send the whole conversation in {}",
    "prompt": "send its text in {}",
    **dict.fromkeys(OTHER_MODELS, "name one of your models in model"),
}
"""What to do about a parameter that is refused, where it is more than to leave it out. The braces
stand for the endpoint's member that holds what is asked."""


def verify_params(
    endpoint: Endpoint,
    members: Mapping[str, Any],
    refused: frozenset[str],
    allowed: frozenset[str] | None,
    server_side: Set[str] = frozenset(),
) -> None:
    """Raises InvalidParameter. *refused*: by the operator.

    *allowed*: the only parameters that the model's server may be given; None for any.
    *server_side*: what the operator lets servers keep.
    """
    other_caps = TOKEN_CAPS.difference(endpoint.token_caps)
    beyond = BEYOND - {endpoint.messages} if is_generated(endpoint) else frozenset[str]()
    for name, value in members.items():
        known = folded(name)
        is_refused = name in refused or known in refused or known in REFUSED or known in other_caps
        may_pass = value is False or (endpoint.keeps_answers and name in server_side)
        is_beyond = known in beyond and not may_pass
        is_unknown = allowed is not None and name not in allowed and name != endpoint.messages
        if value is not None and (is_refused or is_beyond or is_unknown):
            raise unsupported(shown(name), f"is not allowed here: {_instead(endpoint, known)}.")
        if known != name and known in READ:
            raise unsupported(shown(name), f"is not allowed here: write {known}.")


def is_generated(endpoint: Endpoint) -> bool:
    """Whether its server may call tools or go on with a conversation: for embeddings none does."""
    return endpoint.streams or endpoint.wants_objects


def folded(name: str) -> str:
    """*name* as those servers read it that ignore case, such as those written in Go."""
    return name if name.isascii() and name.islower() else name.casefold()


def _instead(endpoint: Endpoint, name: str) -> str:
    if endpoint.token_caps and name in UNCAPPED | TOKEN_CAPS and name not in endpoint.token_caps:
        return f"use {endpoint.token_caps[0]}"
    if name == PREVIOUS and not endpoint.keeps_answers:
        name = "conversation"
    return INSTEAD.get(name, "leave it out").format(endpoint.messages)


def read_previous(endpoint: Endpoint, members: Mapping[str, Any]) -> str | None:
    """The earlier response that a caller continues. Raises InvalidParameter for no id of one."""
    value = members.get(PREVIOUS) if endpoint.keeps_answers else None
    if not isinstance(value, str | None):
        raise wrong_type(PREVIOUS, "a string")
    return value


def read_flag(members: Mapping[str, Any], name: str) -> bool:
    """Raises InvalidParameter for anything but true, false and null."""
    value = members.get(name)
    if not isinstance(value, bool | None):
        raise wrong_type(name, "true or false")
    return bool(value)
