"""What a Range does to the files of the pages: nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from app.api.static_files import WholeFiles

MANY = b"bytes=" + b",".join(b"%d-%d" % (at, at) for at in range(0, 4000, 2))


@pytest.mark.parametrize("asked", [b"bytes=0-1", b"bytes=9-", b"bytes=5-1", b"bytes=", b"x=0-1", b"\xff", MANY])
def test_a_file_is_answered_whole_whatever_part_is_asked_for(tmp_path: Path, asked: bytes) -> None:
    (tmp_path / "a.css").write_bytes(b"body{}")
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.Event().wait()  # the caller stays

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"x"), (b"range", asked)]
    scope = {"type": "http", "method": "GET", "path": "/a.css", "root_path": "", "headers": headers}
    asyncio.run(WholeFiles(directory=str(tmp_path))(scope, receive, send))
    assert sent[0]["status"] == 200
    assert b"".join(message.get("body", b"") for message in sent) == b"body{}"
