"""Files of the service's own pages, from memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.staticfiles import NotModifiedResponse, StaticFiles
from starlette.types import Receive, Scope, Send

PIECE_BYTES = 1 << 16


class PageFiles(StaticFiles):
    """Files of a release: they are few, and do not change.

    Starlette reads a file again for each answer, in threads: many who ask and do not read kept a
    worker busy. A Range is ignored, as a server may (RFC 9110, section 14.2).
    """

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        described = FileResponse(full_path, stat_result=stat_result)
        if self.is_not_modified(described.headers, Headers(scope=scope)):
            return NotModifiedResponse(described.headers)
        return _Pieces(_pieces_of(os.fspath(full_path), stat_result.st_mtime_ns), status_code, described)


class _Pieces(Response):
    """Sends *pieces*, which all who ask share, as fast as the caller reads them."""

    def __init__(self, pieces: Sequence[bytes], status: int, described: FileResponse) -> None:
        super().__init__(status_code=status)
        self.raw_headers = [header for header in described.raw_headers if header[0] != b"accept-ranges"]
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for piece in self._pieces if scope["method"] == "GET" else ():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


@cache
def _pieces_of(path: str, _changed: int) -> list[bytes]:
    data = Path(path).read_bytes()
    return [data[at : at + PIECE_BYTES] for at in range(0, len(data), PIECE_BYTES)]
