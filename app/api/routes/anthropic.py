"""/v1/messages: Anthropic's addresses and bodies: one of its clients needs a base URL and a key."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Request, Response

from ...upstream.protocol.count_tokens import COUNT_TOKENS
from ...upstream.protocol.messages import MESSAGES
from ..dependencies import Asker, Reader, ServicesDep
from ..schemas import AnthropicErrorBody
from ..v1_answers import answer_v1, v1_route

router = APIRouter(prefix="/v1", tags=["anthropic"])
route = partial(v1_route, router, AnthropicErrorBody)


@route(MESSAGES, "Anthropic's messages, streaming included")
async def messages(principal: Asker, services: ServicesDep, request: Request) -> Response:
    """The upstream's answer with one more member: `receipt`.

    In a stream it is in the last event, `message_stop`. The token may come as `x-api-key`, too.
    """
    return await answer_v1(MESSAGES, principal, services, request)


@route(COUNT_TOKENS, "How many tokens Anthropic's messages would be")
async def count_tokens(principal: Reader, services: ServicesDep, request: Request) -> Response:
    """The upstream's count with one more member: `receipt`."""
    return await answer_v1(COUNT_TOKENS, principal, services, request)
