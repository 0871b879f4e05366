"""POST /embeddings: vectors, of which the record holds the number, and the digest of what was delivered."""

from __future__ import annotations

from typing import Any

from ..completion import Completion
from .endpoint import model_name, read_usage


class Embeddings:
    name, path, messages = "embeddings", "/embeddings", "input"
    token_caps: tuple[str, ...] = ()
    streams = wants_objects = usage_is_asked_for = False
    beyond_the_record: frozenset[str] = frozenset()

    def read(self, document: Any, model: str) -> Completion:
        vectors = document["data"]
        if document.get("error") or not isinstance(vectors, list) or not all("embedding" in vector for vector in vectors):
            raise TypeError
        usage = read_usage(document.get("usage"), "prompt_tokens", None)
        return Completion(None, model_name(document, model), usage, answer={"vectors": len(vectors)})

    def reader(self, model: str, wants_usage: bool) -> Any:
        raise AssertionError("embeddings do not stream: the door refuses it")


EMBEDDINGS = Embeddings()
