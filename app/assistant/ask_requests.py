"""From a query at /ask to the body that goes upstream, at each server that may answer it."""

from __future__ import annotations

from typing import Any, Protocol

from ..catalogue.models import ModelEntry, ServedBy
from ..security.models import Principal
from ..upstream.call import PreparedCall
from ..upstream.model_server import ModelServer
from ..upstream.protocol.chat import CHAT
from .choices import choose, timeouts_of
from .upper_bound import claim_on
from .v1_requests import V1Requests


class Model(Protocol):
    """What /ask needs of a language model. app.upstream.language_model has the real one."""

    name: str
    """The name that callers know."""
    upstream: ModelServer
    max_tokens: int
    """What every body asks for at most."""

    @property
    def chain(self) -> Any:
        """LangChain's `prompt | model | parser`."""

    def build_body(self, query: str, *, stream: bool = False) -> bytes:
        """The exact body that is sent for *query*. Raises InvalidRequest for a lone surrogate."""

    def at(self, entry: ModelEntry, served: ServedBy, upstream: ModelServer, most: int | None = None) -> Model:
        """The same for the model *entry*, at one of its servers, with its ceiling or *most*."""


def prepare_ask(model: Model, requests: V1Requests, query: str, principal: Principal, *, stream: bool) -> PreparedCall:
    """Raises ModelNotFound, ProtocolNotServed, InvalidRequest, ModelWithoutPrice."""
    entry = requests.verify_may_use(model.name, principal)
    catalogue = requests.catalogue
    caps = catalogue.caps_for(principal.roles, principal.client_roles)
    most = None if caps is catalogue.caps else caps.max_output_tokens  # else it is the setting's, for /v1

    def call_of(model: Model, entry: ModelEntry) -> PreparedCall:
        body = model.build_body(query, stream=stream)
        seconds, own = timeouts_of(entry, caps)
        terms = requests.terms.of(principal, entry, CHAT)
        sent = {CHAT.messages: [], CHAT.token_caps[0]: model.max_tokens} if terms else {}
        return PreparedCall(
            model.upstream,
            CHAT,
            model.name,
            body,
            model.upstream.digests(body),
            {"query": query},
            seconds,
            caps.stream_timeout_seconds,
            wants_text=True,
            own_seconds=own,
            hedge_after_seconds=entry.hedge_after_seconds,
            policy=catalogue.short_sha256,
            token_rates=entry.token_rates(principal.user_id, caps),
            retries=catalogue.retries,
            claim=claim_on(terms, entry, CHAT, sent, body) if terms else None,
        )

    def make(entry: ModelEntry, served: ServedBy) -> PreparedCall:
        return call_of(model.at(entry, served, requests.upstreams[served.server.name], most), entry)

    def entry_of(name: str) -> ModelEntry:
        return requests.verify_may_use(name, principal)

    if len(entry.servers) == 1 and not entry.fallback:  # nearly always
        return call_of(model.at(entry, entry.servers[0], model.upstream, most), entry)
    return choose(entry, requests.upstreams, make, entry_of)
