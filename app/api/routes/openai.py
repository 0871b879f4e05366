"""/v1: OpenAI's addresses and bodies: an OpenAI client needs only a base URL and a token."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from ...assistant.v1_refusals import shown
from ...catalogue.models import Catalogue, ModelEntry
from ...catalogue.values import API_VERSION
from ...errors import InvalidParameter
from ...security.models import Principal
from ...upstream.protocol.chat import CHAT
from ...upstream.protocol.embeddings import EMBEDDINGS
from ...upstream.protocol.endpoint import Endpoint
from ...upstream.protocol.responses import RESPONSES
from ...wiring.services import Services
from ..bodies import disconnect_watch, read_json
from ..context import request_context
from ..dependencies import Asker, ServicesDep
from ..receipts import receipt_headers, with_receipt
from ..responses_stream import ResponsesStreamSink
from ..schemas import OpenAIErrorBody
from ..streams import EventStream, V1StreamSink

router = APIRouter(prefix="/v1", tags=["openai"])
ERROR: dict[str, Any] = {"model": OpenAIErrorBody}
REFUSALS: dict[int | str, dict[str, Any]] = dict.fromkeys((400, 401, 403, 404, 413, 415, 429, 502, 503, 504), ERROR)
MODEL_REFUSALS: dict[int | str, dict[str, Any]] = dict.fromkeys((401, 403, 404, 429, 503), ERROR)


def body_schema(endpoint: Endpoint, asked: dict[str, Any]) -> dict[str, Any]:
    """The members that this service reads; all others pass through."""
    members: dict[str, Any] = {"model": {"type": "string"}, endpoint.messages: asked}
    members |= {name: {"type": "integer", "minimum": 1} for name in endpoint.token_caps}
    if endpoint.streams:
        members["stream"] = {"type": "boolean", "default": False}
    schema = {"type": "object", "required": ["model", endpoint.messages], "properties": members, "additionalProperties": True}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


TEXTS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {}}]}


@router.post(
    "/chat/completions",
    summary="OpenAI's chat completions, streaming included",
    responses=REFUSALS,
    openapi_extra=body_schema(CHAT, {"type": "array", "items": {"type": "object"}, "minItems": 1}),
)
async def chat_completions(principal: Asker, services: ServicesDep, request: Request) -> Response:
    """The upstream's answer with one more member: `receipt`.

    In a stream it is in the last chunk before `[DONE]`.
    """
    return await _asked(CHAT, principal, services, request)


@router.post(
    "/responses",
    summary="OpenAI's responses, streaming included",
    responses=REFUSALS,
    openapi_extra=body_schema(RESPONSES, TEXTS),
)
async def responses(principal: Asker, services: ServicesDep, request: Request) -> Response:
    """The upstream's answer with one more member: `receipt`.

    In a stream it is in the event that ends the response. Refused, because no record could hold
    what they name: `background`, `previous_response_id`, `conversation`, `prompt`.
    """
    return await _asked(RESPONSES, principal, services, request)


@router.post(
    "/embeddings",
    summary="OpenAI's embeddings",
    responses=REFUSALS,
    openapi_extra=body_schema(EMBEDDINGS, TEXTS),
)
async def embeddings(principal: Asker, services: ServicesDep, request: Request) -> Response:
    """The upstream's answer with one more member: `receipt`.

    The record holds the digest of the vectors.
    """
    return await _asked(EMBEDDINGS, principal, services, request)


@router.get("/models", summary="The models that you may use", responses=MODEL_REFUSALS)
async def models(principal: Asker, services: ServicesDep) -> Response:
    """From the configuration: no upstream is asked."""
    catalogue = services.assistant.v1_requests.catalogue
    data = [_model_body(catalogue, entry) for entry in catalogue.visible_to(principal.roles)]
    return Response(orjson.dumps({"object": "list", "data": data}), media_type="application/json")


@router.get("/models/{model:path}", summary="One of them", responses=MODEL_REFUSALS)
async def model(principal: Asker, services: ServicesDep, request: Request, model: str) -> Response:
    requests = services.assistant.v1_requests
    body = _model_body(requests.catalogue, requests.entry(model, principal))
    return Response(orjson.dumps(body), media_type="application/json")


async def _asked(endpoint: Endpoint, principal: Principal, services: Services, request: Request) -> Response:
    assistant, origin = services.assistant, request_context(request).origin
    requests = assistant.v1_requests  # a reload replaces it; this request keeps the one it began with
    caps = requests.catalogue.caps_for(principal.roles)
    for name in request.query_params:
        if name != API_VERSION:
            what = "is not allowed in the address: send parameters in the body."
            raise InvalidParameter(shown(name), what, reason="unknown_parameter")
    body = await read_json(request, caps.body_bytes)
    if body.is_large:
        call = await asyncio.to_thread(requests.prepare_v1, endpoint, body.document, principal)
    else:
        call = requests.prepare_v1(endpoint, body.document, principal)
    if call.is_stream:
        return EventStream(
            request,
            partial(ResponsesStreamSink if endpoint is RESPONSES else V1StreamSink, model=call.model),
            lambda sink, disconnected: assistant.stream(principal, call, origin, sink, disconnected),
        )
    with disconnect_watch(request) as disconnected:
        answer = await assistant.complete(principal, call, origin, disconnected)
    content = with_receipt(answer.raw, answer.members, answer.receipt)
    return Response(content, media_type="application/json", headers=receipt_headers(answer.receipt))


def _model_body(catalogue: Catalogue, entry: ModelEntry) -> dict[str, Any]:
    return {"id": entry.alias, "object": "model", "created": catalogue.created, "owned_by": entry.server.name}
