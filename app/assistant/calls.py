"""From a parsed /v1 body to the body that goes upstream: the model's own name, the caps, and nothing else changed.

What cannot pass is refused by name; nothing is dropped. The record's `messages` and `params` are what is sent: the SHA-256 of
the compact JSON of `{<messages member>: messages, **params}` is `upstream_sha256`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from ..catalogue import Caps, Catalogue, ModelEntry
from ..errors import InvalidInput, InvalidParameter, ModelNotFound
from ..security.models import Principal
from .models import Call
from .protocol.chat import CHAT
from .protocol.dialect import Dialect, texts_of
from .upstream import Upstream

BEYOND_THE_RECORD = frozenset({"background", "previous_response_id", "conversation", "prompt"})
"""Of /v1/responses: with one of these the server would use, or do later, what no record of this service holds."""
MAX_CHOICES = 128


class Calls:
    """Prepares what callers of /v1 ask, within what the operator's catalogue allows them."""

    def __init__(self, catalogue: Catalogue, upstreams: Mapping[str, Upstream]) -> None:
        """*upstreams* by the names of the catalogue's servers."""
        self.catalogue = catalogue
        self._upstreams = upstreams

    def verify_may_use(self, alias: str, principal: Principal) -> None:
        """Raises ModelNotFound."""
        self.entry(alias, principal, CHAT.name)

    def entry(self, alias: str, principal: Principal, endpoint: str | None = None) -> ModelEntry:
        """Raises ModelNotFound."""
        entry = self.catalogue.model_for(alias, principal.roles, endpoint)
        if entry is None:
            raise ModelNotFound(alias, is_known=alias in self.catalogue.models)
        return entry

    def prepare(self, dialect: Dialect, members: Any, principal: Principal) -> Call:
        """Raises InvalidParameter, InvalidInput, ModelNotFound."""
        if not isinstance(members, dict):
            raise InvalidInput(f'Send one JSON object: {{"model": "…", "{dialect.messages}": …}}.')
        alias = members.get("model")
        if not isinstance(alias, str):
            raise _missing("model") if alias is None else _wrong("model", "a string")
        entry = self.entry(alias, principal, dialect.name)
        caps = self.catalogue.caps_for(principal.roles)
        self._refuse_params(dialect, members)
        _check_messages(dialect, members.get(dialect.messages), caps)
        stream = _flag(members, "stream")
        if stream and not dialect.streams:
            raise InvalidParameter("This endpoint does not stream.", param="stream", reason="unsupported_parameter")

        upstream = self._upstreams[entry.server.name]
        params = {name: value for name, value in members.items() if name != dialect.messages}
        params["model"] = entry.model
        _cap_tokens(dialect, params, caps, upstream)
        wants_usage = True
        if stream and dialect.name == "chat":
            wants_usage = _ask_for_usage(params, upstream)
        body = _encode({dialect.messages: members[dialect.messages], **params})
        asked = {"endpoint": f"/v1{dialect.path}", "messages": members[dialect.messages], "params": params}
        return Call(upstream, dialect, alias, body, hashlib.sha256(body).hexdigest(), asked, stream, wants_usage)

    def _refuse_params(self, dialect: Dialect, members: Mapping[str, Any]) -> None:
        refused = self.catalogue.refused_params
        if dialect.name == "responses":
            refused = refused | BEYOND_THE_RECORD
        for name in members:
            if name in refused and members[name] not in (None, False):
                raise InvalidParameter(f"{name} is not allowed here.", param=name, reason="unsupported_parameter")


def _check_messages(dialect: Dialect, messages: Any, caps: Caps) -> None:
    name = dialect.messages
    if messages is None:
        raise _missing(name)
    if not isinstance(messages, list) and (dialect.name == "chat" or not isinstance(messages, str)):
        raise _wrong(name, "a list of messages")
    if not messages:
        raise InvalidParameter(f"{name} is empty.", param=name, reason="empty_array")
    if dialect.name == "chat" and not all(isinstance(message, dict) for message in messages):
        raise _wrong(name, "a list of objects")
    if isinstance(messages[0], int):
        return  # tokens, which the cap on bytes bounds
    if isinstance(messages, list) and len(messages) > caps.messages:
        detail = f"{name} has more than the {caps.messages} entries that you may send."
        raise InvalidParameter(detail, param=name, reason="array_above_max_length")
    for number, texts in enumerate(texts_of(messages)):
        if sum(map(len, texts)) > caps.message_chars:
            detail = f"{name}[{number}] is longer than the {caps.message_chars} characters that you may send in one."
            raise InvalidParameter(detail, param=f"{name}[{number}]", reason="string_above_max_length")


def _cap_tokens(dialect: Dialect, params: dict[str, Any], caps: Caps, upstream: Upstream) -> None:
    """No answer is longer than the caller's cap, all choices together; where he names no length, the cap is named for him."""
    if not dialect.token_caps:
        return
    choices = 1
    if dialect.name == "chat" and params.get("n") is not None:
        choices = _count(params["n"], "n", min(MAX_CHOICES, caps.tokens))
    named = [name for name in dialect.token_caps if params.get(name) is not None]
    for name in named:
        _count(params[name], name, caps.tokens // choices)
    if not named:
        name = dialect.token_caps[-1 if upstream.wants_max_completion_tokens else 0]
        params[name] = caps.tokens // choices


def _ask_for_usage(params: dict[str, Any], upstream: Upstream) -> bool:
    """Whether the caller asked for a usage chunk; the record wants one in any case."""
    options = params.get("stream_options")
    if not isinstance(options, dict | None):
        raise _wrong("stream_options", "an object")
    wanted = _flag(options or {}, "include_usage")
    if upstream.stream_usage and not wanted:
        params["stream_options"] = {**(options or {}), "include_usage": True}
    return wanted


def _count(value: Any, name: str, most: int) -> int:
    if type(value) is not int:
        raise _wrong(name, "a whole number")
    if value < 1:
        raise InvalidParameter(f"{name} is from 1 on.", param=name, reason="integer_below_min_value")
    if value > most:
        detail = f"{name} is at most {most} for you here (all choices together)."
        raise InvalidParameter(detail, param=name, reason="integer_above_max_value")
    return value


def _flag(members: Mapping[str, Any], name: str) -> bool:
    value = members.get(name)
    if not isinstance(value, bool | None):
        raise _wrong(name, "true or false")
    return bool(value)


def _encode(members: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(members)
    except orjson.JSONEncodeError:
        raise InvalidInput("The body holds a lone surrogate, a number beyond 64 bits, or is nested too deeply.") from None


def _missing(name: str) -> InvalidParameter:
    return InvalidParameter(f"The member {name} is missing.", param=name, reason="missing_required_parameter")


def _wrong(name: str, wanted: str) -> InvalidParameter:
    return InvalidParameter(f"{name} is not {wanted}.", param=name, reason="invalid_type")
