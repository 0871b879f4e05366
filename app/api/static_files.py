"""Files of the service's own pages, served whole."""

from __future__ import annotations

from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send


class WholeFiles(StaticFiles):
    """A Range is ignored, as a server may (RFC 9110, section 14.2): the files are small.

    Starlette answers 400 and 416 as plain text without a code, and a file in thousands of parts.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [header for header in scope["headers"] if header[0] != b"range"]
        await super().__call__({**scope, "headers": headers}, receive, send)
