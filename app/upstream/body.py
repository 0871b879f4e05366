"""The body of an answer as it arrives: hashed, then decoded within bounds."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from functools import cached_property

from ..kit.content_coding import MAGIC, Decoder, coding_of, is_read
from .answer import Answer
from .answer_memory import FREE_BYTES, AnswerMemory
from .attempts import Attempts
from .connection import CONNECTION_FAULTS, error_of_fault
from .errors import unusable

WORD = re.compile(r"[a-z0-9, -]{1,40}")
_CHARSET = re.compile(r";\s*charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)
FIRST_BYTES = tuple(magic[:1] for magic in MAGIC)


class Body:
    """A `read` that is cancelled loses nothing."""

    def __init__(self, answer: Answer, attempts: Attempts, limit: int) -> None:
        """*limit*: of the bytes, before and after decoding."""
        self._answer, self._attempts, self._limit = answer, attempts, limit
        label = answer.header(b"content-encoding").lower()
        self._is_deflate = label == "deflate"
        self.unread_coding = None if is_read(label) else label if WORD.fullmatch(label) else "unknown"
        """The label of a coding that is not read here. The body may be plain all the same."""
        self._start: bytes | None = b""  # until the coding is known
        self._decoder: Decoder | None = None
        self._decoded: Iterator[bytes] = iter(())
        self._has_ended = False
        self._raw_bytes = self._bytes = 0
        self.is_too_long = False
        """Whether more came than the limit. The rest is not read."""

    @property
    def bytes_read(self) -> int:
        """Decoded."""
        return self._bytes

    @property
    def is_decoded(self) -> bool:
        """Whether the bytes read are not those that were sent."""
        return self._decoder is not None

    @cached_property
    def charset(self) -> str | None:
        """In which the server says its text is."""
        label = _CHARSET.search(self._answer.header(b"content-type"))
        return label[1] if label else None

    async def read(self) -> bytes | None:
        """The next bytes, decoded; none yet if empty; None at the end. Raises UpstreamError."""
        if self._decoder is not None:
            await asyncio.sleep(0)  # a small piece may unfold for long: others have their turn
            if (piece := self._next_decoded()) is not None:
                return self._counted(piece)
        if self._has_ended or self.is_too_long:
            return None
        if not (piece := await self._arrived()):
            return self._end()
        self._attempts.add(piece)
        self._raw_bytes += len(piece)
        self.is_too_long = self._raw_bytes > self._limit
        if self._start is not None:
            piece = self._begin(self._start + piece)
        if self._decoder is None:
            return self._counted(piece)
        self._decoded = self._decoder.feed(piece)
        return b""

    async def read_all(self, memory: AnswerMemory | None = None) -> bytes:
        """Everything, or with `is_too_long` the beginning.

        Raises UpstreamError, and what *memory* raises.
        """
        pieces = []
        try:
            while (piece := await self.read()) is not None:
                pieces.append(piece)
                if self._decoder is None and self._start is None and self._answer.is_read:  # nearly always
                    self._has_ended = True
                    break
                if memory is not None and not memory.count and max(self._bytes, self._declared_bytes()) > FREE_BYTES:
                    await memory.take(self._expected_bytes())
        finally:
            self.take_rest()
        whole = b"".join(pieces)[: self._limit]
        if memory is not None:
            memory.shrink(len(whole))
        return whole

    def _declared_bytes(self) -> int:
        declared = self._answer.header(b"content-length")
        return int(declared) if declared.isdecimal() else 0

    def _expected_bytes(self) -> int:
        """What may come in all."""
        declared = self._declared_bytes()
        return min(declared, self._limit) if declared and self._decoder is None else self._limit

    def take_rest(self) -> None:
        """Hash what has arrived and will not be read."""
        if not self._has_ended and (rest := self._answer.take()):
            self._attempts.add(rest)

    async def _arrived(self) -> bytes:
        try:
            return await self._answer.read()
        except CONNECTION_FAULTS as fault:
            raise error_of_fault(fault, self._attempts.now) from None

    def _begin(self, start: bytes) -> bytes:
        """Find the coding. Returns what can be used now: nothing while it is not known."""
        if not (self._is_deflate or start.startswith(FIRST_BYTES)):  # nearly always
            self._start = None
            return start
        self._start = start
        if any(len(start) < len(magic) and magic.startswith(start) for magic in MAGIC):
            return b""
        coding = coding_of(start) or ("deflate" if self._is_deflate else None)
        self._start, self._decoder = None, Decoder(coding, is_liberal=True) if coding else None
        return start

    def _end(self) -> bytes | None:
        self._has_ended = True
        if self._decoder is not None:
            try:
                self._decoder.finish()
            except ValueError as error:
                raise unusable(b"", f"answer that {error}") from None
        start, self._start = self._start, None
        return start or None

    def _next_decoded(self) -> bytes | None:
        try:
            return next(self._decoded, None)
        except ValueError as error:
            raise unusable(b"", f"answer that {error}") from None

    def _counted(self, piece: bytes) -> bytes:
        self._bytes += len(piece)
        if self._bytes > self._limit:
            self.is_too_long, self._decoded = True, iter(())
        return piece
