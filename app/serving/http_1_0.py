"""No chunks for HTTP/1.0, which does not know them (RFC 9112, section 6.1); uvicorn sends some.

Beside http_protocol.py the only file that depends on uvicorn's internals.
"""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class _Endless(int):
    """A length that is never reached: the body ends with the connection (RFC 9112, section 6.3)."""

    def __lt__(self, other: object) -> bool:
        return False

    def __ne__(self, other: object) -> bool:
        return False

    def __isub__(self, other: object) -> _Endless:
        return self


def unchunked(cycle: RequestResponseCycle, send: Any) -> Any:
    """A `send` for *cycle*, whose answer ends with the connection if its length is unknown."""

    async def send_plainly(message: Any) -> None:
        if message["type"] == "http.response.start" and not any(name == b"content-length" for name, _ in message["headers"]):
            cycle.chunked_encoding, cycle.expected_content_length = False, _Endless()
        await send(message)

    return send_plainly
