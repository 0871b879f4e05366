"""A caller on a bare socket that asks for a stream and leaves it at a planned moment in a planned way."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
import time
from dataclasses import dataclass
from typing import Any

ENDPOINTS = ("/v1/chat/completions", "/v1/responses", "/v1/messages", "/ask")
MOMENTS = {
    "before the first byte": 2,
    "in the head": 1,
    "between two pieces": 3,
    "within a piece": 3,
    "after the last word": 2,
    "at the end marker": 2,
    "at any time": 3,
    "unread": 2,
}
"""When the caller leaves, with the weight of each moment in the draw."""
WAYS = ("close", "reset", "half-close")
KEEP_ALIVE = b": keep-alive\n\n"
ENDS = (b"data: [DONE]\n\n", b"event: response.completed\n", b"event: message_stop\n", b"event: done\n")
SMALL_BUFFER = 4096


@dataclass(frozen=True)
class Plan:
    """*at*, from 0 to 1, is the position in the stream. After *longest* seconds the caller leaves anyway."""

    name: str
    endpoint: str
    moment: str
    way: str
    at: float
    longest: float

    @classmethod
    def draw(cls, name: str, endpoints: tuple[str, ...], longest: float, chance: random.Random) -> Plan:
        (moment,) = chance.choices(list(MOMENTS), list(MOMENTS.values()))
        return cls(
            name, chance.choice(endpoints), moment, chance.choice(WAYS), chance.random(), longest * chance.uniform(0.2, 1.0)
        )


def stream_body(endpoint: str, query: str, model: str = "gpt-4o-mini") -> dict[str, Any]:
    if endpoint == "/ask":
        return {"query": query}
    asked = {"input": query} if endpoint == "/v1/responses" else {"messages": [{"role": "user", "content": query}]}
    return {"model": model, "stream": True, **asked}


def stream_request(endpoint: str, token: str, name: str, body: dict[str, Any], version: str = "1.1", *more: str) -> bytes:
    """*name* is both the question and the request id by which its records are found."""
    data = json.dumps(body).encode()
    head = [f"POST {endpoint} HTTP/{version}", "Host: 127.0.0.1", f"Authorization: Bearer {token}", f"x-request-id: {name}"]
    head += ["Accept: text/event-stream", "Content-Type: application/json", f"Content-Length: {len(data)}", *more]
    return "\r\n".join([*head, "", ""]).encode() + data


class Caller:
    """One stream: `run` asks, reads and leaves. Afterwards the attributes hold what was read."""

    def __init__(self, plan: Plan, text: str, body: dict[str, Any]) -> None:
        """*text* is the complete answer."""
        self.plan, self.text, self.body = plan, text, body
        self.raw = b""
        self.left_at = 0.0
        """Wall clock time, comparable with the records."""
        self.left = 0.0
        """Monotonic time; 0 while the caller is connected."""
        self.asked = False
        self.broken_off = False
        """The service closed the connection."""
        self._loop = asyncio.get_running_loop()

    async def run(self, port: int, token: str, after: float) -> None:
        await asyncio.sleep(after)
        caller = socket.socket()
        try:
            caller.setblocking(False)
            if self.plan.moment == "unread":
                caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
            await self._loop.sock_connect(caller, ("127.0.0.1", port))
            request = stream_request(self.plan.endpoint, token, self.plan.name, self.body)
            self.asked = True
            await self._loop.sock_sendall(caller, request)
            try:
                async with asyncio.timeout(self.plan.longest):
                    await self._read(caller)
            except TimeoutError:
                pass
            await self._leave(caller)
        except ConnectionError:
            self.broken_off = True
            self._note_leaving()
        finally:
            caller.close()

    async def _read(self, caller: socket.socket) -> None:
        """Read until the planned moment."""
        match self.plan.moment:
            case "unread":
                await asyncio.sleep(self.plan.longest)
            case "before the first byte":
                await asyncio.sleep(0.3 * self.plan.longest * self.plan.at**3)
            case "in the head":
                await self._take(caller, 1 + int(400 * self.plan.at))
            case "between two pieces" | "within a piece":
                words = int(self.plan.at * len(self.text))
                while len(self.words()) <= words and await self._more(caller):
                    pass
                if self.plan.moment == "within a piece":
                    await self._take(caller, 1 + int(60 * self.plan.at))
            case "after the last word":
                while len(self.words()) < len(self.text) and await self._more(caller):
                    pass
            case "at the end marker":
                while not any(end in self.raw for end in ENDS) and await self._more(caller):
                    pass
            case _:
                while await self._more(caller):
                    pass

    async def _more(self, caller: socket.socket, most: int = 65536) -> bool:
        """Read once; False at the end. Unlike `loop.sock_recv` it loses no data when it is cancelled."""
        await asyncio.sleep(0)
        while True:
            try:
                data = caller.recv(most)
            except BlockingIOError:
                await self._readable(caller)
            else:
                self.raw += data
                self.broken_off = not data
                return bool(data)

    async def _readable(self, caller: socket.socket) -> None:
        ready = asyncio.Event()
        self._loop.add_reader(caller, ready.set)
        try:
            await ready.wait()
        finally:
            self._loop.remove_reader(caller)

    async def _take(self, caller: socket.socket, number: int) -> None:
        """Read exactly *number* bytes."""
        wanted = len(self.raw) + number
        while len(self.raw) < wanted and await self._more(caller, wanted - len(self.raw)):
            pass

    async def _leave(self, caller: socket.socket) -> None:
        if self.plan.way == "reset":
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._note_leaving()
        if self.plan.way == "half-close":
            caller.shutdown(socket.SHUT_WR)
            if self.plan.moment != "unread":
                try:
                    async with asyncio.timeout(0.2 * self.plan.at):
                        while await self._more(caller):
                            pass
                except (TimeoutError, ConnectionError):
                    pass

    def _note_leaving(self) -> None:
        self.left_at, self.left = time.time(), time.monotonic()

    # --- what was received -----------------------------------------------------------------------------

    @property
    def status(self) -> int:
        """0 if no status line was received."""
        return int(self.raw[9:12]) if len(self.raw) >= 12 else 0

    @property
    def head_came(self) -> bool:
        return b"\r\n\r\n" in self.raw

    def header(self, name: str) -> str | None:
        lines = self.raw.partition(b"\r\n\r\n")[0].decode().lower().split("\r\n")
        return next((line.partition(": ")[2] for line in lines if line.startswith(f"{name}: ")), None)

    def given(self) -> bytes:
        """The received part of the stream without chunk framing and comments, as a record counts it."""
        if self.status != 200:
            return b""
        given = unchunked(self.raw.partition(b"\r\n\r\n")[2]).replace(KEEP_ALIVE, b"")
        whole, end, rest = given.rpartition(b"\n\n")
        return whole + end + (b"" if KEEP_ALIVE.startswith(rest) else rest)

    def words(self) -> str:
        """The text of all complete events received."""
        return text_in(self.plan.endpoint, self.given())

    def receipt(self) -> dict[str, Any] | None:
        """The receipt at the end of the stream, if it was received."""
        for document in reversed(documents_in(self.given())):
            if "receipt" in document:
                return dict(document["receipt"])
        return None


def unchunked(data: bytes) -> bytes:
    """The content of a chunked body, which may be incomplete (RFC 9112, section 7.1)."""
    pieces, place = [], 0
    while (end := data.find(b"\r\n", place)) >= 0:
        size = int(data[place:end], 16)
        pieces.append(data[end + 2 : end + 2 + size])
        place = end + 2 + size + 2
    return b"".join(pieces)


def documents_in(given: bytes) -> list[dict[str, Any]]:
    """The JSON documents of all complete events."""
    events = given.split(b"\n\n")[:-1]
    data = [line[6:] for event in events for line in event.split(b"\n") if line.startswith(b"data: ")]
    return [json.loads(one) for one in data if one != b"[DONE]"]


def text_in(endpoint: str, given: bytes) -> str:
    pieces = []
    for document in documents_in(given):
        if endpoint == "/ask":
            pieces.append(document.get("text", ""))
        elif endpoint == "/v1/responses":
            pieces.append(document["delta"] if document.get("type") == "response.output_text.delta" else "")
        elif endpoint == "/v1/messages":
            pieces.append(document["delta"]["text"] if document.get("type") == "content_block_delta" else "")
        else:
            pieces += [choice["delta"].get("content") or "" for choice in document.get("choices", ()) if choice["index"] == 0]
    return "".join(pieces)
