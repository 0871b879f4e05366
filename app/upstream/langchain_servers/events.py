"""A streamed answer of LangChain's chat models, as the events of OpenAI's chat completions."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage

from ...errors import UpstreamError
from ...kit.event_stream import Event
from ...kit.foreign_json import dumps
from ..attempts import Attempts
from ..bounds import MAX_EVENT_BYTES, MAX_STREAM_BYTES
from ..errors import unusable
from ..protocol.chat_stream import DONE
from .answer import Answer
from .pieces import Pieces

CHUNK = "chat.completion.chunk"
UNENDED = "answer without an end"


class ChunkEvents:
    """See `AnswerEvents`. The server's own events are not known here, and so no digest of them."""

    def __init__(self, pieces: Pieces, answer: Answer, attempts: Attempts) -> None:
        self._pieces, self._answer, self._attempts = pieces, answer, attempts
        self._first: list[Event] = []
        self._has_begun = self._has_ended = False

    async def begin(self) -> list[Event]:
        while not self._first:
            self._first = await self.read() or []
        return self._first

    async def read(self) -> list[Event] | None:
        if self._first:
            first, self._first = self._first, []
            return first
        if self._has_ended:
            return None
        pieces = await self._pieces.next()
        if pieces is None:
            return self._end()
        return [event for piece in pieces if (event := self._event(piece)) is not None]

    @property
    def is_behind(self) -> bool:
        return self._pieces.is_behind

    def kept_bytes(self, is_whole: bool) -> int:
        return self._attempts.now.received

    def close(self) -> None:
        self._pieces.close()

    def finish(self) -> None:
        self._pieces.close()

    def _event(self, piece: AIMessage) -> Event | None:
        delta = self._answer.delta(piece)
        if not self._has_begun:
            self._has_begun, delta = True, {"role": "assistant", "content": "", **delta}
        return self._chunk([{"index": 0, "delta": delta, "finish_reason": None}]) if delta else None

    def _end(self) -> list[Event]:
        self._has_ended = True
        answer = self._answer
        if answer.finish_reason is None:
            raise unusable(b"", UNENDED)
        end = self._chunk([{"index": 0, "delta": {}, "finish_reason": answer.finish_reason}])
        usage = [self._chunk([], usage=answer.usage)] if answer.usage else []
        return [end, *usage, DONE]

    def _chunk(self, choices: list[dict[str, Any]], **more: Any) -> Event:
        data = dumps({**self._answer.envelope(CHUNK), "choices": choices, **more})
        self._attempts.now.received += len(data)
        if len(data) > MAX_EVENT_BYTES or self._attempts.now.received > MAX_STREAM_BYTES:
            raise UpstreamError
        return Event(b"", data)
