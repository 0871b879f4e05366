"""From settings to the catalogue: the models of the policy file, or without one LLM_MODEL alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..catalogue.caps import Caps
from ..catalogue.models import Catalogue, ModelEntry, Server
from ..catalogue.policy_file import read_policy
from ..errors import ConfigError
from ..settings import Settings, read_environment
from ..upstream.langchain_servers.installed import place_of

LANGCHAIN_SERVERS = "app.upstream.langchain_servers.server"


def read_catalogue(settings: Settings) -> Catalogue:
    """The models that the operator offers, with the keys of their servers.

    Read once and given to every worker, so that all have the same even if the file changes.
    Raises ConfigError with one sentence for each problem.
    """
    caps = caps_of(settings)
    refused = frozenset(settings.v1_refused_params)
    if settings.policy_path is None:
        key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else ""
        entry = ModelEntry(settings.llm_model, settings.llm_model, Server("default", settings.openai_base_url, key))
        return Catalogue({entry.name: entry}, caps, {}, refused, server_side=frozenset(settings.v1_server_side))
    catalogue = read_policy(settings.policy_path, read_environment(), caps, refused)
    verify_ask_model(catalogue, settings.llm_model, settings.policy_path)
    modules_of(catalogue)
    return replace(catalogue, server_side=frozenset(settings.v1_server_side))


def modules_of(catalogue: Catalogue) -> tuple[str, ...]:
    """What has to be imported for its servers. Raises ConfigError for what is not installed."""
    servers = {served.server for entry in catalogue.models.values() for served in entry.servers}
    found = {place_of(server.name, server.langchain)[0] for server in servers if server.langchain is not None}
    return (LANGCHAIN_SERVERS, *sorted(found)) if found else ()


def verify_ask_model(catalogue: Catalogue, name: str, path: Path) -> None:
    """*path*: of the policy file. Raises ConfigError."""
    chat = [model for model, entry in catalogue.models.items() if "chat" in entry.endpoints]
    if name not in chat:
        what = f"set it to one, such as {chat[0]}" if chat else f"add one to {path}"
        raise ConfigError(f"LLM_MODEL, which /ask uses, is no model of the policy file with the endpoint chat: {what}.")


def caps_of(settings: Settings) -> Caps:
    """Of everyone without a role that has caps of its own."""
    return Caps(
        body_bytes=settings.v1_max_body_bytes,
        messages=settings.v1_max_messages,
        message_chars=settings.v1_max_message_chars,
        max_output_tokens=settings.v1_max_tokens,
        default_output_tokens=settings.v1_default_tokens or 0,
        clamps=settings.v1_over_cap == "clamp",
        requests_per_minute=settings.rate_limit,
        timeout_seconds=settings.llm_timeout_seconds,
        stream_timeout_seconds=settings.llm_stream_timeout_seconds,
    )
