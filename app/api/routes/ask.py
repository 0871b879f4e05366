"""POST /ask: one question, one answer."""

from __future__ import annotations

import re
from functools import partial

from fastapi import APIRouter, Request, Response

from ...kit.foreign_json import dumps
from ...upstream.event_source import EVENT_STREAM
from ..bodies import AskedQuestion, disconnect_watch
from ..dependencies import Asker, ServicesDep
from ..large_response import json_response
from ..receipts import RECEIPT_HEADERS, receipt_headers, served_headers
from ..schemas import PROBLEM, AskRequest, AskResponse, answer_body
from ..streams import AskStreamSink, EventStream

router = APIRouter(tags=["ask"])


@router.post(
    "/ask",
    summary="Ask the model one question",
    response_model=AskResponse,
    responses={
        200: {"content": {EVENT_STREAM: {}}, "headers": RECEIPT_HEADERS},
        **dict.fromkeys((400, 401, 403, 413, 415, 422, 429, 502, 503, 504), PROBLEM),
    },
    # The last dependency reads the body, after every check of the caller: its schema stands here.
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": AskRequest.model_json_schema()}}}
    },
)
async def ask(principal: Asker, question: AskedQuestion, services: ServicesDep, request: Request) -> Response:
    """The answer, with the receipt of its record. Keep it, and check the log against it later.

    With `Accept: text/event-stream` the answer comes as events: `delta` (`{"text"}`), then `done`
    (all members but `answer`), or `error`.
    """
    assistant = services.assistant
    if wants_events(request.headers.get("accept", "")):
        call = assistant.prepare_ask(question, principal, stream=True)
        return EventStream(
            request,
            partial(AskStreamSink, call=call),
            lambda sink, disconnected: assistant.stream(principal, call, question.origin, sink, disconnected),
        )
    with disconnect_watch(request) as disconnected:
        answer = await assistant.ask(principal, question, disconnected)
    return json_response(dumps(answer_body(answer)), receipt_headers(answer.receipt) | served_headers(answer.served))


def wants_events(accept: str) -> bool:
    """Whether *accept* names server-sent events and does not prefer JSON (RFC 9110, 12.5.1)."""
    weights = {"application/json": 0.0, EVENT_STREAM: 0.0}
    for part in accept.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        if name in weights:
            weights[name] = next((_weight(one[2:]) for one in parameters if one.startswith("q=")), 1.0)
    return weights[EVENT_STREAM] > 0 and weights[EVENT_STREAM] >= weights["application/json"]


def _weight(text: str) -> float:
    return float(text) if re.fullmatch(r"[01](\.[0-9]{0,3})?", text) else 0.0
