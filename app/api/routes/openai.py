"""/v1: OpenAI's addresses and bodies: an OpenAI client needs only a base URL and a token."""

from __future__ import annotations

from functools import partial
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from ...catalogue.caps import Caps
from ...catalogue.models import Catalogue, ModelEntry
from ...kit.moments import iso, moment
from ...upstream.protocol.chat import CHAT
from ...upstream.protocol.completions import COMPLETIONS
from ...upstream.protocol.embeddings import EMBEDDINGS
from ...upstream.protocol.responses import RESPONSES
from ..context import error_style_of
from ..dependencies import Asker, Reader, ServicesDep
from ..error_bodies import ErrorStyle
from ..schemas import OpenAIErrorBody
from ..v1_answers import answer_v1, refusals, v1_route

router = APIRouter(prefix="/v1", tags=["openai"])
route = partial(v1_route, router, OpenAIErrorBody)
MODEL_REFUSALS = refusals(OpenAIErrorBody, 401, 403, 404, 429, 503)


@route(CHAT, "OpenAI's chat completions, streaming included")
async def chat_completions(principal: Asker, services: ServicesDep, request: Request) -> Response:
    """The upstream's answer with one more member: `receipt`.

    In a stream it is in the last chunk before `[DONE]`.
    """
    return await answer_v1(CHAT, principal, services, request)


@route(RESPONSES, "OpenAI's responses, streaming included")
async def responses(principal: Asker, services: ServicesDep, request: Request) -> Response:
    """The upstream's answer with one more member: `receipt`.

    In a stream it is in the event that ends the response. Refused, because no record could hold
    what they name: `background`, `conversation`, `prompt`; `previous_response_id` unless allowed.
    """
    return await answer_v1(RESPONSES, principal, services, request)


@route(EMBEDDINGS, "OpenAI's embeddings")
async def embeddings(principal: Asker, services: ServicesDep, request: Request) -> Response:
    """The upstream's answer with one more member: `receipt`.

    The record holds the digest of the vectors.
    """
    return await answer_v1(EMBEDDINGS, principal, services, request)


@route(COMPLETIONS, "OpenAI's older completions, streaming included")
async def completions(principal: Asker, services: ServicesDep, request: Request) -> Response:
    """The upstream's answer with one more member: `receipt`.

    In a stream it is in the last chunk before `[DONE]`.
    """
    return await answer_v1(COMPLETIONS, principal, services, request)


@router.get("/models", summary="The models that you may use", responses=MODEL_REFUSALS)
async def models(principal: Reader, services: ServicesDep, request: Request) -> Response:
    """From the configuration: no upstream is asked.

    `kind` says whether a model chats or embeds. One page, in OpenAI's and in Anthropic's form.
    """
    catalogue, caps = services.assistant.v1_requests.catalogue, services.caps_for(principal)
    entries, style = catalogue.visible_to(principal.roles), error_style_of(request)
    data = [_model_body(catalogue, entry, caps, style) for entry in entries]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
    return Response(orjson.dumps({"object": "list", "data": data, "has_more": False, **ends}), media_type="application/json")


@router.get("/models/{model:path}", summary="One of them", responses=MODEL_REFUSALS)
async def model(principal: Reader, services: ServicesDep, request: Request, model: str) -> Response:
    requests = services.assistant.v1_requests
    entry, style = requests.entry(model, principal), error_style_of(request)
    body = _model_body(requests.catalogue, entry, services.caps_for(principal), style)
    return Response(orjson.dumps(body), media_type="application/json")


def _model_body(catalogue: Catalogue, entry: ModelEntry, caps: Caps, style: ErrorStyle) -> dict[str, Any]:
    """OpenAI's members, Anthropic's, ours, those of front ends: docs/reference/http-api.md."""
    kind, type_ = ("embeddings", "embedding") if entry.is_embedder else ("chat", "chat")
    body = {
        "id": entry.name,
        "object": "model",
        "created": catalogue.created,
        "owned_by": entry.server.name,
        "display_name": entry.name,
        "created_at": iso(moment(catalogue.created)),
        "lifecycle": "active",
        "kind": kind,
        "type": "model" if style == "anthropic" else type_,
    }
    if entry.context_tokens:
        body |= {"context_length": entry.context_tokens, "max_input_tokens": entry.context_tokens}
    if entry.is_embedder:
        return body | {"info": {"meta": {"hidden": True}}}
    most = entry.output_limit(caps).most
    aliases = {"aliases": entry.aliases} if entry.aliases else {}
    return body | {"max_output_tokens": most, "max_tokens": most} | aliases
