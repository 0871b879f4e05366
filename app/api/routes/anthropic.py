"""/v1/messages: Anthropic's addresses and bodies: one of its clients needs a base URL and a key."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from ...upstream.protocol.count_tokens import COUNT_TOKENS
from ...upstream.protocol.messages import MESSAGES
from ..dependencies import Asker, Reader, ServicesDep
from ..schemas import AnthropicErrorBody
from ..v1_answers import answer_v1, body_schema, refusals

router = APIRouter(prefix="/v1", tags=["anthropic"])
REFUSALS = refusals(AnthropicErrorBody)
ASKED: dict[str, Any] = {"type": "array", "items": {"type": "object"}, "minItems": 1}


@router.post(
    "/messages",
    summary="Anthropic's messages, streaming included",
    responses=REFUSALS,
    openapi_extra=body_schema(MESSAGES, ASKED),
)
async def messages(principal: Asker, services: ServicesDep, request: Request) -> Response:
    """The upstream's answer with one more member: `receipt`.

    In a stream it is in the last event, `message_stop`. The token may come as `x-api-key`, too.
    """
    return await answer_v1(MESSAGES, principal, services, request)


@router.post(
    "/messages/count_tokens",
    summary="How many tokens Anthropic's messages would be",
    responses=REFUSALS,
    openapi_extra=body_schema(COUNT_TOKENS, ASKED),
)
async def count_tokens(principal: Reader, services: ServicesDep, request: Request) -> Response:
    """The upstream's count with one more member: `receipt`."""
    return await answer_v1(COUNT_TOKENS, principal, services, request)
