"""The page of the API; its description is made once, however often it is asked for."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.api.routes.docs import add_docs, router

from ....support.http_request import run


def test_the_description_is_made_once_and_names_no_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    app = FastAPI(openapi_url=None, servers=[{"url": "."}])
    made: list[dict[str, Any]] = []
    describe = app.openapi
    monkeypatch.setattr(app, "openapi", lambda: made.append(describe()) or made[-1])  # type: ignore[func-returns-value]
    add_docs(app)

    async def ask(root_path: str) -> bytes:
        transport = httpx.ASGITransport(app, root_path=root_path)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return (await client.get(root_path + "/openapi.json")).content

    first, second = run(ask("")), run(ask("/ai"))
    assert b'"servers":[{"url":"."}]' in first
    assert (first == second, len(made)) == (True, 1)


def test_the_page_and_its_script_are_what_they_say() -> None:
    app = FastAPI(openapi_url=None)
    app.include_router(router)

    async def ask(path: str) -> str:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            answer = await client.get(path)
        assert answer.status_code == 200
        return answer.headers["content-type"]

    assert run(ask("/docs")) == "text/html; charset=utf-8"
    assert run(ask("/docs/start.js")) == "text/javascript; charset=utf-8"
