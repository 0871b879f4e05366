"""Clients that read and check the evidence while others ask; `audit verify` runs beside them."""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from contextlib import suppress
from typing import Self

from app.audit.format.merkle import leaf_hash
from app.audit.format.note import VerifierKey, verify_checkpoint
from app.audit.format.receipt import verify_receipt
from app.audit.format.record import EMPTY, LogEnd
from app.audit.format.tiles import Tile
from app.errors import VerificationFailed

from ..support.chain import check_chain
from ..support.service import Service
from .load import Load

PREV = re.compile(rb'"prev_hash":"([0-9a-f]{64})"')
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Readers:
    """`async with Readers(service, load, 16):` while a load runs. Raises at the end if something did not verify.

    Refused requests (503, a broken connection) are counted in `refused`; they are allowed while a fault lasts.
    """

    def __init__(self, service: Service, load: Load, clients: int) -> None:
        self._service, self._load, self._clients = service, load, clients
        self._stopped = False
        self.checked: Counter[str] = Counter()
        self.refused = 0

    async def __aenter__(self) -> Self:
        self._tasks: list[asyncio.Task[None]] = []
        if self._clients:
            secret = await asyncio.to_thread(self._service.add_client, "auditor", "ai.audit.reader")
            self._token = await asyncio.to_thread(self._service.token, "auditor", secret)
            folder = self._service.log.with_suffix(".tree")
            self._key = VerifierKey.parse((folder / "vkey").read_text())
            self._tasks = [asyncio.create_task(self._read()) for _ in range(self._clients)]
            self._tasks.append(asyncio.create_task(self._verify()))
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        self._stopped = True
        outcomes = await asyncio.gather(*self._tasks, return_exceptions=True)
        if kind is None:
            for outcome in outcomes:
                if isinstance(outcome, BaseException):
                    raise AssertionError(f"a reader got evidence that does not verify: {outcome!r}") from outcome

    async def _verify(self) -> None:
        while not self._stopped:
            verdict = await asyncio.to_thread(self._service.verify)
            assert verdict.get("ok"), verdict
            self.checked["whole logs"] += 1

    async def _read(self) -> None:
        connection: Connection | None = None
        while not self._stopped:
            try:
                if connection is None:
                    connection = await asyncio.open_connection("127.0.0.1", self._service.port)
                async with asyncio.timeout(60):
                    await self._read_once(connection)
            except VerificationFailed as error:
                raise AssertionError(error.detail) from error
            except (OSError, EOFError, TimeoutError):
                self.refused += 1
                if connection is not None:
                    connection[1].close()
                connection = None
                await asyncio.sleep(0.1)
        if connection is not None:
            connection[1].close()
            with suppress(OSError):
                await connection[1].wait_closed()

    async def _read_once(self, connection: Connection) -> None:
        """Read one of each: the checkpoint, one of its tiles, the receipt of an answer, a page of records."""
        note = await self._get(connection, "/audit/checkpoint")
        if note is None:
            return
        signed = verify_checkpoint(note, self._key)
        self.checked["heads"] += 1
        index = random.randrange((signed.size + 255) // 256)
        tile = Tile(0, index, min(256, signed.size - index * 256))
        hashes = await self._get(connection, f"/audit/tile/{tile.path()}")
        page = await self._get(connection, f"/audit/entries?from={index * 256}&limit=20")
        if hashes is not None and page is not None:
            self._check_page(page, hashes, index * 256)
        if self._load.answered:
            outcome = random.choice(self._load.outcomes)
            if outcome.status == 200:
                receipt = await self._get(connection, f"/audit/receipts/{outcome.seq}")
                if receipt is not None:
                    line = verify_receipt(receipt, self._key).line
                    assert line.endswith(f',"hash":"{outcome.hash}"}}'.encode()), (outcome, line)
                    self.checked["receipts"] += 1

    def _check_page(self, page: bytes, hashes: bytes, first: int) -> None:
        """Its lines are chained, and the tile has their hashes."""
        lines = page.splitlines(keepends=True)
        assert lines, f"no record from {first} on, though a tile of them was signed"
        prev = PREV.findall(lines[0])[-1].decode()
        verdict = check_chain(lines, start=LogEnd(0, first - 1, prev) if first else EMPTY)
        assert verdict.ok, verdict.findings
        width = min(len(lines), len(hashes) // 32)
        assert [leaf_hash(line[:-1]) for line in lines[:width]] == [hashes[at : at + 32] for at in range(0, 32 * width, 32)]
        self.checked["tiles and pages"] += 1

    async def _get(self, connection: Connection, path: str) -> bytes | None:
        reader, writer = connection
        lines = (f"GET {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {self._token}")
        writer.write("".join(f"{line}\r\n" for line in (*lines, "")).encode())
        header = (await reader.readuntil(b"\r\n\r\n")).lower()
        body = await reader.readexactly(int(header.split(b"content-length:")[1].split(b"\r\n")[0]))
        status = int(header[9:12])
        if status == 200:
            return body
        assert status == 503, (path, status, body)
        self.refused += 1
        await asyncio.sleep(0.1)
        return None

    def remarks(self) -> list[str]:
        if not self._clients:
            return []
        checked = ", ".join(f"{times:,} {what}" for what, times in self.checked.items())
        return [f"{self._clients} readers checked {checked} ({self.refused} refused)"]
