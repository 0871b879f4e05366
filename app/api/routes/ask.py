"""POST /ask: the simple door."""

from __future__ import annotations

import asyncio

import orjson
from fastapi import APIRouter, Request, Response

from ..dependencies import AskedQuestion, Asker, ServicesDep, until_hung_up
from ..schemas import AskRequest, AskResponse, ProblemBody, answer_body

router = APIRouter(tags=["ask"])
PROBLEM = {"content": {"application/problem+json": {"schema": ProblemBody.model_json_schema()}}}


@router.post(
    "/ask",
    summary="Ask the model one question",
    response_model=AskResponse,
    responses=dict.fromkeys((400, 401, 403, 413, 415, 422, 429, 502, 503, 504), PROBLEM),
    # The body is read by the last dependency, after every check of who asks; so its schema is declared here.
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": AskRequest.model_json_schema()}}}
    },
)
async def ask(principal: Asker, question: AskedQuestion, services: ServicesDep, request: Request) -> Response:
    """The answer, with the receipt of its record: keep it, and check the log against it later."""
    hung_up = asyncio.create_task(until_hung_up(request))
    try:
        answer = await services.assistant.ask(principal, question, hung_up)
    finally:
        hung_up.cancel()
    receipt = {"x-audit-seq": str(answer.receipt.seq), "x-audit-hash": answer.receipt.hash}
    return Response(orjson.dumps(answer_body(answer)), media_type="application/json", headers=receipt)
