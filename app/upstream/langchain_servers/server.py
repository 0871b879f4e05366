"""One server that is asked by LangChain's chat models, behind the face of all servers.

An answer is always read as a stream: so a plain one, too, ends as soon as nobody waits for it. The
chat model decides the bytes that are sent; records name `via` and a digest of the messages.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import orjson

from ...catalogue.models import Server
from ...errors import AppError, ConfigError
from ...kit.foreign_json import dumps
from ..answer_memory import AnswerMemory
from ..attempts import Attempts
from ..bounds import MAX_RESPONSE_BYTES
from ..completion import Reply
from ..errors import Reading, unusable
from ..fair_slots import FairSlots
from ..model_server import NO_HEADERS
from ..pool import CONNECTIONS
from ..protocol.chat import CHAT
from ..protocol.endpoint import Endpoint
from ..protocol.merging import Message
from ..protocol.plain_answer import read_plain
from ..resilience.bearable import BearableSlots
from ..resilience.breaker import Breaker
from ..turns import Turns, is_heavy
from .answer import Answer
from .chat_models import ChatModels
from .errors import error_of
from .events import UNENDED, ChunkEvents
from .parameters import Parameters
from .pieces import Pieces, ended
from .question import ask
from .sending import Sending

VIA = "langchain"


class LangChainServer:
    """Serves chat completions, and /ask. See `ModelServer`."""

    stream_usage = True
    params: frozenset[str] | None
    token_param: str | None = "max_tokens"  # noqa: S105 - a name
    retries_idle_close = False

    def __init__(
        self,
        server: Server,
        turns: Turns | None = None,
        *,
        models: Iterable[str] = (),
        slots: int = CONNECTIONS,
        breaker: Breaker | None = None,
    ) -> None:
        """Imports what asks the server. *models*: those to be tried now. Raises ConfigError."""
        self._models = ChatModels(server)
        self._parameters = Parameters(self._models.kind)
        if self.token_param not in self._parameters.settings:
            kind = self._models.kind.__name__
            raise ConfigError(
                f"[servers.{server.name}] {kind} takes no {self.token_param}, so no ceiling and no budget would hold."
            )
        own = self._parameters.names
        self.params = own if server.params is None else own & server.params
        self.address = self._models.address or f"langchain:{server.langchain}"
        self.name, self.breaker = server.name, breaker or Breaker(server.name)
        self.slots: FairSlots = BearableSlots(slots)
        self.turns = turns or Turns()
        self._readings: set[asyncio.Task[None]] = set()
        for name in models:
            self._models.model(name)

    def serves(self, endpoint: Endpoint) -> bool:
        return endpoint is CHAT

    def verify(self, members: Mapping[str, Any], model: str) -> None:
        profile: Mapping[str, Any] = self._models.model(model).profile or {}
        self._parameters.verify(members, takes_schemas=bool(profile.get("structured_output")))

    def digests(self, body: bytes) -> dict[str, str | None]:
        messages = orjson.dumps(orjson.loads(body)[CHAT.messages])
        return {"upstream_sha256": None, "via": VIA, "messages_sha256": hashlib.sha256(messages).hexdigest()}

    async def complete(
        self,
        endpoint: Endpoint,
        body: bytes,
        model: str,
        *,
        wants_text: bool = False,
        attempts: Attempts | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
        memory: AnswerMemory | None = None,
        is_fresh: bool = False,
    ) -> Reply:
        attempts, memory, message = attempts or Attempts(), memory or AnswerMemory(), Message()
        pieces, answer = self._ask(body, attempts)
        try:
            while (arrived := await pieces.next()) is not None:
                for delta in filter(None, map(answer.delta, arrived)):
                    message.add(delta)
                    attempts.now.received += len(dumps(delta))
                if attempts.now.received > MAX_RESPONSE_BYTES:
                    raise unusable(b"", f"answer of more than {MAX_RESPONSE_BYTES} bytes")
                memory.reach(attempts.now.received)
        finally:
            pieces.close()
        if answer.finish_reason is None:
            raise unusable(b"", UNENDED)
        raw = dumps(_document(answer, message))
        read = partial(read_plain, endpoint, raw, model, wants_text=wants_text)
        with Reading(raw):
            return await self.turns.work(read) if is_heavy(raw) else read()

    async def open_stream(
        self,
        endpoint: Endpoint,
        body: bytes,
        attempts: Attempts | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
        *,
        is_fresh: bool = False,
    ) -> ChunkEvents:
        attempts = attempts or Attempts()
        events = ChunkEvents(*self._ask(body, attempts), attempts)
        try:
            await events.begin()
        except BaseException:
            events.close()
            raise
        return events

    async def aclose(self) -> None:
        self.breaker.close()
        await ended(self._readings)
        await self._models.aclose()

    def _ask(self, body: bytes, attempts: Attempts) -> tuple[Pieces, Answer]:
        members, now = orjson.loads(body), attempts.now
        model, sending = self._models.model(members["model"]), Sending()

        def error_of_asking(error: Exception) -> AppError:
            now.is_sent = sending.may_have
            made = error_of(error, body, now)
            if pieces.has_begun:  # the server has generated, whatever it says in the end
                now.is_sent, now.status = True, 200
            return made

        fields = {name: self._models.names[name] for name in self._parameters.settings}
        try:
            asked = ask(model, fields, members, sending)
        except Exception as error:  # noqa: BLE001 - whatever a class raises for what it cannot convert
            raise error_of(error, body, now) from None
        now.is_sent = True  # as far as we know
        pieces = Pieces(asked, error_of_asking)
        self._readings.add(pieces.reading)
        pieces.reading.add_done_callback(self._readings.discard)
        return pieces, Answer(members["model"])


def _document(answer: Answer, message: Message) -> dict[str, Any]:
    said = message.plain()
    calls = [{name: value for name, value in call.items() if name != "index"} for call in said.get("tool_calls", ())]
    spoken = {"role": "assistant", "content": None if calls else "", **said, **({"tool_calls": calls} if calls else {})}
    choice = {"index": 0, "message": spoken, "logprobs": None, "finish_reason": answer.finish_reason}
    usage = {"usage": answer.usage} if answer.usage else {}
    return {**answer.envelope("chat.completion"), "choices": [choice], **usage}
