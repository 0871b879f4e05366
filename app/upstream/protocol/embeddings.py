"""POST /embeddings: the record holds the number of vectors and a digest of the answer."""

from __future__ import annotations

from typing import Any, NoReturn

from ...catalogue.models import ProtocolName
from ..completion import Completion
from .members import read_usage, safe_model_name


class Embeddings:
    name, path, messages = "embeddings", "/embeddings", "input"
    protocol: ProtocolName = "openai"
    token_caps: tuple[str, ...] = ()
    streams = wants_objects = usage_is_asked_for = False
    answers_each = True
    beyond_the_record: frozenset[str] = frozenset()

    def read(self, document: Any, model: str) -> Completion:
        vectors = document["data"]
        if document.get("error") or not isinstance(vectors, list) or not all("embedding" in vector for vector in vectors):
            raise TypeError
        usage = read_usage(document.get("usage"), "prompt_tokens", None)
        return Completion(None, safe_model_name(document, model), usage, answer={"vectors": len(vectors)})

    def reader(self, model: str, wants_usage: bool) -> NoReturn:
        raise AssertionError("embeddings do not stream: such a request is refused")


EMBEDDINGS = Embeddings()
