"""Peer (b): a bare Starlette application that only forwards a chat request. No authentication, no limit, no record.

The HTTP client is aiohttp, one session, no limit on connections: the fastest of those that people know.
`python -m bench.forwarder PORT UPSTREAM_URL` serves it as `app serve` serves ours: uvicorn, uvloop, httptools, one worker,
no access log.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator

import aiohttp
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route


def create_forwarder(upstream: str) -> Starlette:
    """*upstream* is the base URL, ending in `/v1`."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, aiohttp.ClientSession]]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            yield {"session": session}

    async def chat(request: Request) -> Response:
        body = await request.body()
        headers = {"content-type": "application/json"}
        session: aiohttp.ClientSession = request.state.session
        answer = await session.post(f"{upstream}/chat/completions", data=body, headers=headers)
        if answer.content_type == "text/event-stream":
            return StreamingResponse(_pieces_of(answer), answer.status, media_type="text/event-stream")
        async with answer:
            return Response(await answer.read(), answer.status, media_type="application/json")

    async def ready(request: Request) -> Response:
        return Response(b"ok")

    routes = [Route("/v1/chat/completions", chat, methods=["POST"]), Route("/readyz", ready)]
    return Starlette(routes=routes, lifespan=lifespan)


async def _pieces_of(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    async with answer:
        async for piece in answer.content.iter_any():
            yield piece


if __name__ == "__main__":
    uvicorn.run(
        create_forwarder(sys.argv[2]),
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
