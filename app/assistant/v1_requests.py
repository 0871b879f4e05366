"""From a parsed /v1 body to the body that goes upstream: only the model's name and caps change.

What may not pass is refused by name (`v1_policy.py`, `v1_reach.py`, `v1_messages.py`); nothing is
dropped. The record holds what is sent: `upstream_sha256` is the SHA-256 of
`{<messages member>: messages, **params}` as compact JSON, with what `clamped` says was sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import orjson

from ..catalogue.caps import Caps
from ..catalogue.models import Catalogue, ModelEntry, ServedBy
from ..errors import InvalidInput, ModelNotFound
from ..security.models import Principal
from ..upstream.call import PreparedCall
from ..upstream.errors import ProtocolNotServed
from ..upstream.model_server import NO_HEADERS, ModelServer
from ..upstream.protocol.chat import CHAT
from ..upstream.protocol.endpoint import Endpoint
from .choices import choose, timeouts_of
from .upper_bound import TermsInForce, claim_on
from .v1_messages import verify_messages
from .v1_policy import PREVIOUS, is_generated, read_flag, read_previous, verify_params
from .v1_reach import verify_reach
from .v1_refusals import missing, unsupported, wrong_type
from .v1_tokens import cap_tokens


class V1Requests:
    """Prepares what callers of /v1 ask, within what the operator's catalogue allows them."""

    def __init__(self, catalogue: Catalogue, upstreams: Mapping[str, ModelServer]) -> None:
        """*upstreams*: by the names of the catalogue's servers."""
        self.catalogue = catalogue
        self.terms = TermsInForce(catalogue)
        self.upstreams = upstreams

    def verify_may_use(self, name: str, principal: Principal) -> ModelEntry:
        """Raises ModelNotFound if *principal* may not chat with the model, ProtocolNotServed."""
        entry = self.entry(name, principal, CHAT.name)
        self._upstream_of(entry.servers[0], CHAT)
        return entry

    def entry(self, name: str, principal: Principal, endpoint: str | None = None) -> ModelEntry:
        """The model that *principal* may use at *endpoint* (None: at any), by its name or an alias.

        Raises ModelNotFound.
        """
        catalogue = self.catalogue
        entry = catalogue.model_for(name, principal.roles, endpoint)
        if entry is None:
            raise ModelNotFound(name, is_known=name in catalogue.models or name in catalogue.aliases)
        return entry

    def _upstream_of(self, served: ServedBy, endpoint: Endpoint) -> ModelServer:
        """Raises ProtocolNotServed if it is known not to serve *endpoint*."""
        upstream = self.upstreams[served.server.name]
        if not upstream.serves(endpoint):
            raise ProtocolNotServed()
        return upstream

    def prepare_v1(
        self, endpoint: Endpoint, members: Any, principal: Principal, headers: Mapping[str, str] = NO_HEADERS
    ) -> PreparedCall:
        """The call for the parsed body *members*. Takes a second for a body of many megabytes.

        *headers*: those that the server gets, too. Raises InvalidParameter, InvalidInput,
        ModelNotFound, ProtocolNotServed, ModelWithoutPrice.
        """
        if not isinstance(members, dict):
            raise InvalidInput(f'Send one JSON object: {{"model": "…", "{endpoint.messages}": …}}.')
        entry = self.entry(_asked_model(members), principal, endpoint.name)
        return choose(
            entry,
            self.upstreams,
            partial(self._call, endpoint, members, principal, headers),
            partial(self.entry, principal=principal, endpoint=endpoint.name),
        )

    def _call(
        self,
        endpoint: Endpoint,
        members: Mapping[str, Any],
        principal: Principal,
        headers: Mapping[str, str],
        entry: ModelEntry,
        served: ServedBy,
    ) -> PreparedCall:
        """The call for one model at one of its servers."""
        caps, upstream = self.catalogue.caps_for(principal.roles, principal.client_roles), self._upstream_of(served, endpoint)
        server_side = self.catalogue.server_side_for(principal.roles)
        verify_params(endpoint, members, self.catalogue.refused_params, upstream.params, server_side)
        is_stream = _verify_messages(endpoint, members, caps, server_side)
        upstream.verify(members, served.model)
        messages = members[endpoint.messages]
        params = {name: value for name, value in members.items() if name != endpoint.messages}
        params["model"] = served.model
        terms = self.terms.of(principal, entry, endpoint)
        limit = entry.output_limit(caps, needs_default=terms is not None)
        clamped = cap_tokens(endpoint, params, limit, upstream.token_param, messages)
        wants_usage = not (is_stream and endpoint.usage_is_asked_for) or _ask_for_usage(params, upstream)
        sent = {endpoint.messages: messages, **params, **({clamped.name: clamped.sent} if clamped else {})}
        body = _encode(sent)
        more = {"headers": dict(headers)} if headers else {}
        timeout, own_timeout = timeouts_of(entry, caps)
        may_continue = endpoint.keeps_answers and PREVIOUS in server_side
        return PreparedCall(
            upstream,
            endpoint,
            entry.name,
            body,
            upstream.digests(body),
            {"endpoint": f"/v1{endpoint.path}", "messages": messages, "params": params, **more},
            timeout,
            caps.stream_timeout_seconds,
            is_stream,
            wants_usage,
            headers=headers,
            asked_model=None if members["model"] == entry.name else members["model"],
            clamped=clamped,
            may_continue=may_continue,
            previous_response_id=read_previous(endpoint, members),
            policy=self.catalogue.short_sha256,
            token_rates=entry.token_rates(principal.user_id, caps),
            own_seconds=own_timeout,
            hedge_after_seconds=None if may_continue else entry.hedge_after_seconds,
            retries=self.catalogue.retries,
            claim=claim_on(terms, entry, endpoint, sent, body) if terms else None,
        )


def _verify_messages(endpoint: Endpoint, members: Mapping[str, Any], caps: Caps, server_side: frozenset[str]) -> bool:
    """What is asked, and what it reaches. Returns whether it asks for a stream."""
    are_plain = verify_messages(endpoint, members, caps, server_side)
    if is_generated(endpoint):
        verify_reach(endpoint, members, server_side, are_plain=are_plain)
    is_stream = read_flag(members, "stream")
    if is_stream and not endpoint.streams:
        raise unsupported("stream", "is not allowed here: this endpoint does not stream.")
    return is_stream


def _asked_model(members: Mapping[str, Any]) -> str:
    name = members.get("model")
    if name is None:
        raise missing("model", "name one of your models")
    if not isinstance(name, str):
        raise wrong_type("model", "a string")
    return name


def _ask_for_usage(params: dict[str, Any], upstream: ModelServer) -> bool:
    """Ask for a usage chunk, which the record needs. Returns whether the caller wants it, too."""
    options = params.get("stream_options")
    if not isinstance(options, dict | None):
        raise wrong_type("stream_options", "an object")
    wanted = read_flag(options or {}, "include_usage")
    if upstream.stream_usage and not wanted:
        params["stream_options"] = {**(options or {}), "include_usage": True}
    return wanted


def _encode(members: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps([[members]])[2:-2]  # the record holds it two levels deeper: it must fit there
    except orjson.JSONEncodeError:
        raise InvalidInput("The body holds a lone surrogate, a number beyond 64 bits, or is nested too deeply.") from None
