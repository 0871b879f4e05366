"""The answers that the load generator gets, and their faults: one JSON document or a stream of events."""

from __future__ import annotations

import math
from typing import Any

import orjson

from .job import Job


class Document:
    """One JSON document."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._pieces: list[bytes] = []

    def feed(self, now: float, piece: bytes) -> None:
        self._pieces.append(piece)

    def problem(self) -> str | None:
        """Why a 200 is not a valid answer; None if it is."""
        try:
            document = orjson.loads(b"".join(self._pieces))
            answer = document["answer"] if self._job.chat is None else document["choices"][0]["message"]["content"]
            if self._job.receipt and not _is_receipt(document["receipt"]):
                return "200 with an invalid receipt"
        except (orjson.JSONDecodeError, LookupError, TypeError):
            return "200 without an answer, or without its receipt"
        return None if isinstance(answer, str) and answer else "200 with an empty answer"


class Stream:
    """Server-sent events in OpenAI's shapes, read as they arrive to get the time of the first text."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._rest = b""
        self._last: bytes | None = None
        self._receipt: Any = None
        self._finish_reason: object = None
        self._texts = 0
        self._fault: str | None = None
        self.first_text = math.nan
        """When the first text arrived."""

    def feed(self, now: float, piece: bytes) -> None:
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            if line.startswith(b"data: "):
                self._last = line[6:].rstrip(b"\r")
                if self._last != b"[DONE]":
                    self._read(now, self._last)

    def problem(self) -> str | None:
        """Why a 200 is not a complete answer; None if it is."""
        if self._fault is not None:
            return self._fault
        if self._texts != self._job.chunks:
            return f"a stream of {self._texts} content chunks"
        if self._finish_reason is None:
            return "a stream without a finish reason"
        if self._job.receipt and not _is_receipt(self._receipt):
            return "a stream whose last chunk has no receipt"
        return None if self._last == b"[DONE]" else "a stream without [DONE]"

    def _read(self, now: float, data: bytes) -> None:
        try:
            chunk = orjson.loads(data)
            if "error" in chunk:
                self._fault = "a stream with an error in it"
            self._receipt = chunk.get("receipt")  # only the receipt of the last chunk counts
            for choice in chunk.get("choices", ()):
                self._finish_reason = choice.get("finish_reason") or self._finish_reason
                if choice["delta"].get("content"):
                    self._texts += 1
                    if self._texts == 1:
                        self.first_text = now
        except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError):
            self._fault = "a stream that cannot be read"


Answer = Document | Stream


def answer_to(job: Job) -> Answer:
    return Stream(job) if job.chunks else Document(job)


def _is_receipt(receipt: Any) -> bool:
    return isinstance(receipt["seq"], int) and len(receipt["hash"]) == 64 if isinstance(receipt, dict) else False
