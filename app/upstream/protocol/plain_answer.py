"""A plain answer of a model's server: read, checked, and ready for the caller and the record."""

from __future__ import annotations

from dataclasses import replace

from ...kit.foreign_json import dumps, json_as_utf8, loads, repeats_a_member, storable
from ...kit.strict_json import verify_depth
from ..completion import Reply, verify_usable
from .endpoint import Endpoint
from .members import replace_model_path


def read_plain(endpoint: Endpoint, raw: bytes, model: str, *, wants_text: bool, charset: str | None = None) -> Reply:
    """Read *raw*, a whole answer. *model* names the model if the server does not.

    *charset*: the one that the server names, if it is not UTF-8. The reply is in UTF-8. Raises what
    `MALFORMED` lists if it is no answer.
    """
    try:
        document = loads(raw)
    except ValueError:
        raw = json_as_utf8(raw, charset)
        document = loads(raw)
    verify_depth(document, raw)
    completion = endpoint.read(document, model)
    answer = storable(completion.answer)
    if endpoint.streams and repeats_a_member(document, raw):  # the record of embeddings has no texts
        answer = {"read_as": answer, "raw": raw.decode()}
    if answer is not completion.answer or completion.other:
        completion = replace(completion, answer=answer, other=storable(completion.other))
    verify_usable(completion, wants_text=wants_text)
    if replace_model_path(document, model):
        raw = dumps(document)
    return Reply(raw, document, completion)
