"""How a request at /v1 is answered, plain or streamed, whichever endpoint it is for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from ..assistant.v1_refusals import shown
from ..catalogue.values import API_VERSION
from ..errors import InvalidParameter
from ..security.models import Principal
from ..upstream.event_source import EVENT_STREAM
from ..upstream.protocol.count_tokens import COUNT_TOKENS
from ..upstream.protocol.endpoint import Endpoint
from ..upstream.protocol.messages import MESSAGES
from ..upstream.protocol.responses import RESPONSES
from ..wiring.services import Services
from .asked_timeout import asked_timeout
from .asserted_user import origin_with_claims
from .bodies import disconnect_watch, read_json
from .large_response import PIECE_BYTES, LargeResponse
from .receipts import RECEIPT_HEADERS, call_headers, pieces_with_receipt, receipt_headers, served_headers, with_receipt
from .responses_stream import ResponsesStreamSink
from .streams import EventStream, MessagesStreamSink, V1StreamSink

Route = TypeVar("Route", bound=Callable[..., Any])
QUERY = {"openai": frozenset({API_VERSION}), "anthropic": frozenset({API_VERSION, "beta"})}
"""What an address may carry, because SDKs add it. It has no effect here."""
PASSED_ON = {"openai": (), "anthropic": ("anthropic-version", "anthropic-beta")}
"""Headers that belong to the protocol, as the body does: the model's server gets them, too."""
OBJECTS = {"type": "array", "items": {"type": "object"}, "minItems": 1}
TEXTS = {"anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "items": {}, "minItems": 1}]}
HEADER = re.compile(r"[\x20-\x7e]{1,2000}")
SINKS: dict[str, type[V1StreamSink]] = {RESPONSES.path: ResponsesStreamSink, MESSAGES.path: MessagesStreamSink}


async def answer_v1(endpoint: Endpoint, principal: Principal, services: Services, request: Request) -> Response:
    """(5) The body, and then the answer. Raises the errors of `read_json`, and those of asking."""
    assistant = services.assistant
    requests = assistant.v1_requests  # a reload replaces it; this request keeps the one it began with
    caps = services.caps_for(principal)
    for name in request.query_params:
        if name not in QUERY[endpoint.protocol]:
            what = "is not allowed in the address: send parameters in the body."
            raise InvalidParameter(shown(name), what, reason="unknown_parameter")
    headers, timeout = _headers_of(endpoint, request), asked_timeout(request)
    body = await read_json(request, caps.body_bytes)
    origin = await origin_with_claims(request, principal, body.document, is_read=endpoint is COUNT_TOKENS)
    if timeout is not None:
        origin = replace(origin, timeout_seconds=timeout)
    if body.is_large:
        call = await asyncio.to_thread(requests.prepare_v1, endpoint, body.document, principal, headers)
    else:
        call = requests.prepare_v1(endpoint, body.document, principal, headers)
    if call.is_stream:
        return EventStream(
            request,
            partial(SINKS.get(endpoint.path, V1StreamSink), call=call),
            lambda sink, disconnected: assistant.stream(principal, call, origin, sink, disconnected),
        )
    with disconnect_watch(request) as disconnected:
        answer = await assistant.complete(principal, call, origin, disconnected)
    asked_model = answer.call.asked_model
    headers = receipt_headers(answer.receipt) | call_headers(answer.call) | served_headers(answer.served)
    if len(answer.raw) > PIECE_BYTES:
        return LargeResponse(pieces_with_receipt(answer.raw, answer.members, answer.receipt, asked_model), headers)
    content = with_receipt(answer.raw, answer.members, answer.receipt, asked_model)
    return Response(content, media_type="application/json", headers=headers)


def _headers_of(endpoint: Endpoint, request: Request) -> dict[str, str]:
    headers = {}
    for name in PASSED_ON[endpoint.protocol]:
        if values := request.headers.getlist(name):
            headers[name] = ",".join(values)
            if not HEADER.fullmatch(headers[name]):
                raise InvalidParameter(name, "is not 1 to 2,000 printable ASCII characters.")
    return headers


# --- routes and their descriptions ----------------------------------------------------------------


def v1_route(router: APIRouter, errors: type[BaseModel], endpoint: Endpoint, summary: str) -> Callable[[Route], Route]:
    """Makes a function the route of *endpoint*. *errors*: the body of a refusal."""
    media = {"application/json": {"schema": {"type": "object"}}, **({EVENT_STREAM: {}} if endpoint.streams else {})}
    return router.post(
        endpoint.path,
        summary=summary,
        response_class=Response,
        responses={200: {"content": media, "headers": RECEIPT_HEADERS}, **refusals(errors)},
        openapi_extra=body_schema(endpoint),
    )


def body_schema(endpoint: Endpoint) -> dict[str, Any]:
    """The members that this service reads; all others pass through."""
    asked = OBJECTS if endpoint.wants_objects else TEXTS
    members: dict[str, Any] = {"model": {"type": "string"}, endpoint.messages: asked}
    members |= {name: {"type": ["integer", "null"], "minimum": 1} for name in endpoint.token_caps}
    if endpoint.streams:
        members["stream"] = {"type": ["boolean", "null"], "default": False}
    schema = {"type": "object", "required": ["model", endpoint.messages], "properties": members, "additionalProperties": True}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def refusals(body: type[BaseModel], *statuses: int) -> dict[int | str, dict[str, Any]]:
    """*body* for each of the statuses; without any, for those of a question."""
    return {status: {"model": body} for status in statuses or (400, 401, 403, 404, 413, 415, 429, 502, 503, 504)}
