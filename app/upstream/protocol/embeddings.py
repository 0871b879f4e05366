"""POST /embeddings: the record holds the number of vectors and a digest of the answer."""

from __future__ import annotations

from typing import Any

from ..completion import Completion
from .endpoint import Endpoint
from .members import read_usage, safe_model_name


class Embeddings(Endpoint):
    name, path, messages = "embeddings", "/embeddings", "input"
    answers_each = True

    def read(self, document: Any, model: str) -> Completion:
        vectors = document["data"]
        if document.get("error") or not isinstance(vectors, list) or not all("embedding" in vector for vector in vectors):
            raise TypeError
        usage = read_usage(document.get("usage"), "prompt_tokens", None)
        return Completion(None, safe_model_name(document, model), usage, answer={"vectors": len(vectors)})


EMBEDDINGS = Embeddings()
