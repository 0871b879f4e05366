"""A large answer, handed to the network piece by piece, as fast as the caller reads."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import Response
from starlette.types import Receive, Scope, Send

PIECE_BYTES = 256 * 1024


def json_response(content: bytes, headers: Mapping[str, str]) -> Response:
    if len(content) > PIECE_BYTES:
        return LargeResponse((memoryview(content), b""), headers)
    return Response(content, media_type="application/json", headers=headers)


class LargeResponse(Response):
    """JSON. What the caller has not read waits here, not in the buffer of their connection."""

    def __init__(self, pieces: tuple[memoryview, bytes], headers: Mapping[str, str]) -> None:
        length = sum(map(len, pieces))
        super().__init__(None, headers={**headers, "content-length": str(length)}, media_type="application/json")
        self._start, self._rest = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for at in range(0, len(self._start), PIECE_BYTES):
            await send({"type": "http.response.body", "body": self._start[at : at + PIECE_BYTES], "more_body": True})
        await send({"type": "http.response.body", "body": self._rest})
