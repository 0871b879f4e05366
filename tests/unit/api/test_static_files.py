"""The files of the pages: whole, in pieces that the caller has to read, and nothing for a Range."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from app.api.static_files import PIECE_BYTES, PageFiles

MANY = b"bytes=" + b",".join(b"%d-%d" % (at, at) for at in range(0, 4000, 2))


async def _answer(folder: Path, *headers: tuple[bytes, bytes], method: str = "GET") -> list[Any]:
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.Event().wait()  # the caller stays

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": "/a.css", "root_path": "", "headers": [(b"host", b"x"), *headers]}
    await PageFiles(directory=str(folder))(scope, receive, send)
    return sent


def answer(folder: Path, *headers: tuple[bytes, bytes], method: str = "GET") -> tuple[int, dict[bytes, bytes], list[bytes]]:
    """Status, headers, and what was sent of the body."""
    start, *pieces = asyncio.run(_answer(folder, *headers, method=method))
    assert [piece.get("more_body", False) for piece in pieces] == [True] * (len(pieces) - 1) + [False]
    return start["status"], dict(start["headers"]), [piece.get("body", b"") for piece in pieces]


@pytest.mark.parametrize("asked", [b"bytes=0-1", b"bytes=9-", b"bytes=5-1", b"bytes=", b"x=0-1", b"\xff", MANY])
def test_a_file_is_answered_whole_whatever_part_is_asked_for(tmp_path: Path, asked: bytes) -> None:
    (tmp_path / "a.css").write_bytes(b"body{}")
    status, headers, pieces = answer(tmp_path, (b"range", asked))
    assert (status, b"".join(pieces)) == (200, b"body{}")
    assert (headers[b"content-type"], headers[b"content-length"]) == (b"text/css; charset=utf-8", b"6")
    assert b"accept-ranges" not in headers


def test_a_long_file_comes_in_pieces(tmp_path: Path) -> None:
    data = bytes(range(256)) * 1000
    (tmp_path / "a.css").write_bytes(data)
    _, headers, pieces = answer(tmp_path)
    assert (b"".join(pieces), max(map(len, pieces))) == (data, PIECE_BYTES)
    assert answer(tmp_path, method="HEAD")[1:] == (headers, [b""])


def test_what_the_caller_has_is_not_sent_again_and_a_new_file_is(tmp_path: Path) -> None:
    file = tmp_path / "a.css"
    file.write_bytes(b"old")
    tag = answer(tmp_path)[1][b"etag"]
    assert answer(tmp_path, (b"if-none-match", tag))[0] == 304
    file.write_bytes(b"newer")
    status, _, pieces = answer(tmp_path, (b"if-none-match", tag))
    assert (status, b"".join(pieces)) == (200, b"newer")
