"""From the catalogue to the model of /ask, the requests of /v1, and the servers behind both."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..assistant.v1_requests import V1Requests
from ..catalogue.models import Catalogue, ModelEntry, Server
from ..errors import ConfigError
from ..settings import Settings
from ..upstream.client import Upstream
from ..upstream.embedded import PARAMS, EmbeddedAddress
from ..upstream.langchain import LanguageModel

EMBEDDED_NOTE = "embedded: for trying the service out, not for its answers"


@dataclass(frozen=True, slots=True)
class Models:
    """What answers. Its servers open their connections at first use."""

    language_model: LanguageModel
    v1_requests: V1Requests
    upstreams: tuple[Upstream, ...]
    note: str
    """The model of /ask, as `/readyz` names it."""

    async def aclose(self) -> None:
        for upstream in self.upstreams:
            await upstream.aclose()


def open_models(settings: Settings, catalogue: Catalogue, embedded: EmbeddedAddress | None) -> Models:
    """*embedded*: where the embedded model listens, if it answers. Raises ConfigError."""
    catalogue = _answering(settings, catalogue, embedded)
    servers = {entry.server.name: entry.server for entry in catalogue.models.values()}
    upstreams = {
        name: Upstream(api_key=server.api_key, base_url=server.base_url, stream_usage=server.stream_usage)
        for name, server in servers.items()
    }
    entry = catalogue.models[embedded.model if embedded else settings.llm_model]
    language_model = LanguageModel(
        upstreams[entry.server.name],
        model=entry.model,
        alias=entry.alias,
        base_url=entry.server.base_url,
        temperature=settings.llm_temperature,
        max_tokens=settings.llm_max_tokens,
        system_prompt=settings.system_prompt,
    )
    note = f"{entry.alias} ({EMBEDDED_NOTE})" if embedded else entry.alias
    return Models(language_model, V1Requests(catalogue, upstreams), tuple(upstreams.values()), note)


def _answering(settings: Settings, catalogue: Catalogue, embedded: EmbeddedAddress | None) -> Catalogue:
    """The operator's catalogue, or the embedded model alone."""
    if embedded is None:
        if settings.is_embedded:
            raise ConfigError(
                "The embedded model is started by python -m app serve; or set OPENAI_API_KEY, OPENAI_BASE_URL or MODELS_FILE."
            )
        return catalogue
    server = Server("embedded", embedded.base_url, embedded.api_key, params=PARAMS)
    entry = ModelEntry(embedded.model, embedded.model, server, endpoints=frozenset({"chat", "responses"}))
    return replace(catalogue, models={entry.alias: entry})
