"""Preflights of browsers: answered for a listed origin, refused with an error of ours for others."""

from __future__ import annotations

import pytest
from fastapi import FastAPI, Response
from starlette.types import Message

from app.api.cors import Cors, add_cors
from app.api.http_errors import CrossOriginRefused

from ...support.http_request import run, scope_of

ASKED = {"origin": "https://a.example", "access-control-request-method": "POST"}


def preflight(**headers: str) -> Message:
    """The first message that answers it."""
    app, messages = FastAPI(), list[Message]()
    add_cors(app, ["https://a.example"])

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        messages.append(message)

    (middleware,) = app.user_middleware
    cors = Cors(Response(), *middleware.args, **middleware.kwargs)  # type: ignore[arg-type]  # a ParamSpec
    asked = ASKED | {name.replace("_", "-"): value for name, value in headers.items()}
    run(cors(scope_of(method="OPTIONS", headers=asked), receive, send))
    return messages[0]


@pytest.mark.parametrize("sent", ["authorization", "x-stainless-lang, idempotency-key"])
def test_a_preflight_of_a_listed_origin_is_answered(sent: str) -> None:
    assert preflight(access_control_request_headers=sent)["status"] == 200


@pytest.mark.parametrize(
    "refused",
    [
        {"origin": "https://b.example"},
        {"access_control_request_method": "DELETE"},
        {"access_control_request_headers": "x-planted"},
    ],
)
def test_a_refused_preflight_is_an_error_of_ours(refused: dict[str, str]) -> None:
    with pytest.raises(CrossOriginRefused):
        preflight(**refused)
