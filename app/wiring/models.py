"""From the catalogue to the model of /ask, the requests of /v1, and the servers behind both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from ..assistant.v1_requests import V1Requests
from ..catalogue.models import ENDPOINTS, Catalogue, ModelEntry, Server
from ..errors import ConfigError
from ..kit.command import command
from ..settings import Settings
from ..upstream.client import Upstream
from ..upstream.embedded import PARAMS, SLOT_TOKENS, EmbeddedAddress
from ..upstream.language_model import LanguageModel
from ..upstream.model_server import ModelServer
from ..upstream.pool import CONNECTIONS
from ..upstream.turns import Turns
from .breakers import Breakers, own_breaker

EMBEDDED_NOTE = "embedded: for trying the service out, not for its answers"


@dataclass(frozen=True, slots=True)
class Models:
    """What answers. Its servers open their connections at first use."""

    language_model: LanguageModel
    v1_requests: V1Requests
    upstreams: Mapping[Server, ModelServer]
    note: str
    """The model of /ask, as `/readyz` names it."""


def open_models(
    settings: Settings,
    catalogue: Catalogue,
    embedded: EmbeddedAddress | None,
    opened: Mapping[Server, ModelServer] = MappingProxyType({}),
    breakers: Breakers = own_breaker,
) -> Models:
    """*embedded*: where the embedded model listens, if it answers. Raises ConfigError.

    *opened*: servers that are in use already, and keep their connections.
    """
    catalogue = _answering(settings, catalogue, embedded)
    servers = dict.fromkeys(served.server for entry in catalogue.models.values() for served in entry.servers)
    turns = next((upstream.turns for upstream in opened.values()), None) or Turns()
    slots = embedded.max_waiting if embedded else CONNECTIONS
    upstreams: dict[Server, ModelServer] = {}
    for server in servers:
        upstreams[server] = found = opened.get(server) or _open_server(server, catalogue, turns, slots, breakers)
        found.breaker.rules = catalogue.breaker
    entry = catalogue.models[embedded.model if embedded else settings.llm_model]
    language_model = LanguageModel(
        upstreams[entry.server],
        model=entry.model,
        alias=entry.name,
        base_url=entry.server.base_url,
        temperature=settings.temperature,
        max_tokens=settings.llm_max_tokens,
        system_prompt=settings.system_prompt,
    )
    note = f"{entry.name} ({EMBEDDED_NOTE})" if embedded else entry.name
    by_name = {server.name: upstream for server, upstream in upstreams.items()}
    return Models(language_model, V1Requests(catalogue, by_name), upstreams, note)


def _open_server(server: Server, catalogue: Catalogue, turns: Turns, slots: int, breakers: Breakers) -> ModelServer:
    breaker = breakers(server.name, catalogue.breaker)
    if server.langchain is None:
        return Upstream(server, turns, slots=slots, breaker=breaker)
    from ..upstream.langchain_servers.server import LangChainServer  # late: it takes a second, and 60 MB

    served = [one for entry in catalogue.models.values() for one in entry.servers if one.server == server]
    return LangChainServer(server, turns, models={one.model for one in served}, slots=slots, breaker=breaker)


def _answering(settings: Settings, catalogue: Catalogue, embedded: EmbeddedAddress | None) -> Catalogue:
    """The operator's catalogue, or the embedded model alone."""
    if embedded is None:
        if settings.is_embedded:
            raise ConfigError(
                f"The embedded model is started by {command('serve')}; or set OPENAI_API_KEY, OPENAI_BASE_URL or POLICY_FILE."
            )
        return catalogue
    server = Server("embedded", embedded.base_url, embedded.api_key, params=PARAMS, token_param="max_tokens")  # noqa: S106 - a name
    endpoints = frozenset(ENDPOINTS) - {"embeddings"}
    entry = ModelEntry(embedded.model, embedded.model, server, endpoints=endpoints, context_tokens=SLOT_TOKENS)
    return replace(catalogue, models={entry.name: entry})
