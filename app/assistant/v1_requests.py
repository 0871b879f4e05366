"""From a parsed /v1 body to the body that goes upstream: the model's own name, the caps, and nothing else changed.

What cannot pass is refused by name (`policy.py`); nothing is dropped. The record's `messages` and `params` are what is sent: the
SHA-256 of the compact JSON of `{<messages member>: messages, **params}` is `upstream_sha256`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from ..catalogue.models import Catalogue, ModelEntry
from ..errors import InvalidInput, InvalidParameter, ModelNotFound
from ..security.models import Principal
from ..upstream.call import PreparedCall
from ..upstream.client import Upstream
from ..upstream.protocol.chat import CHAT
from ..upstream.protocol.endpoint import Endpoint
from .v1_policy import cap_tokens, flag, verify_messages, verify_params, wrong


class V1Requests:
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

    def prepare_v1(self, endpoint: Endpoint, members: Any, principal: Principal) -> PreparedCall:
        """Raises InvalidParameter, InvalidInput, ModelNotFound. Takes a second for a body of many megabytes."""
        if not isinstance(members, dict):
            raise InvalidInput(f'Send one JSON object: {{"model": "…", "{endpoint.messages}": …}}.')
        alias = members.get("model")
        if alias is None:
            raise InvalidParameter("The member model is missing.", param="model", reason="missing_required_parameter")
        if not isinstance(alias, str):
            raise wrong("model", "a string")
        entry = self.entry(alias, principal, endpoint.name)
        caps, upstream = self.catalogue.caps_for(principal.roles), self._upstreams[entry.server.name]
        verify_params(endpoint, members, self.catalogue.refused_params, entry.server.params)
        verify_messages(endpoint, members, caps)
        stream = flag(members, "stream")
        if stream and not endpoint.streams:
            raise InvalidParameter("This endpoint does not stream.", param="stream", reason="unsupported_parameter")

        params = {name: value for name, value in members.items() if name != endpoint.messages}
        params["model"] = entry.model
        cap_tokens(endpoint, params, caps, upstream.wants_max_completion_tokens)
        wants_usage = not (stream and endpoint.usage_is_asked_for) or _ask_for_usage(params, upstream)
        body = _encode({endpoint.messages: members[endpoint.messages], **params})
        asked = {"endpoint": f"/v1{endpoint.path}", "messages": members[endpoint.messages], "params": params}
        return PreparedCall(upstream, endpoint, alias, body, hashlib.sha256(body).hexdigest(), asked, stream, wants_usage)


def _ask_for_usage(params: dict[str, Any], upstream: Upstream) -> bool:
    """Whether the caller asked for a usage chunk; the record wants one in any case."""
    options = params.get("stream_options")
    if not isinstance(options, dict | None):
        raise wrong("stream_options", "an object")
    wanted = flag(options or {}, "include_usage")
    if upstream.stream_usage and not wanted:
        params["stream_options"] = {**(options or {}), "include_usage": True}
    return wanted


def _encode(members: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps([[members]])[2:-2]  # the record holds it two levels deeper
    except orjson.JSONEncodeError:
        raise InvalidInput("The body holds a lone surrogate, a number beyond 64 bits, or is nested too deeply.") from None
