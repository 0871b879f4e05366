"""OpenAI's Python SDK sees the same of an answer through the service as straight from the model's server."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from ..support.answer_shapes import Shape, shapes
from ..support.fake_openai import FakeOpenAI
from ..support.paths import ROOT
from ..support.sdk import MESSAGES, MODEL, QUESTION, client_of
from ..support.service import Service

SHAPES = list(shapes())
DOCUMENTED = " ".join((ROOT / "docs/explanation/streaming.md").read_text().split())


@pytest.fixture(scope="module")
def direct(fake: FakeOpenAI) -> Iterator[OpenAI]:
    with OpenAI(base_url=fake.base_url, api_key="k", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def through(service: Service, token: str) -> Iterator[OpenAI]:
    with client_of(service, token, max_retries=0) as client:
        yield client


def seen(client: OpenAI, shape: Shape) -> dict[str, Any]:
    """What a program sees: the whole documents without the receipt, and how it ended."""
    chat: Any = lambda **more: client.chat.completions.create(model=MODEL, messages=MESSAGES, **more)  # noqa: E731
    responses: Any = lambda **more: client.responses.create(model=MODEL, input=QUESTION, **more)  # noqa: E731
    ask: Callable[..., Any] = chat if shape.endpoint == "chat" else responses
    usage = {"stream_options": {"include_usage": True}} if shape.endpoint == "chat" else {}
    documents: list[Any] = []
    error: BaseException | None = None
    try:
        if shape.is_stream:
            documents.extend(ask(stream=True, **usage))
        else:
            documents.append(ask())
    except (openai.APIError, ValueError) as raised:
        error = raised
    return {
        "documents": [plain(document) for document in documents],
        "error": None if error is None else (type(error).__name__, getattr(error, "code", None)),
    }


def plain(document: Any) -> Any:
    if hasattr(document, "to_dict"):
        document = document.to_dict(warnings=False)
    if isinstance(document, dict):
        document.pop("receipt", None)
    return json.loads(json.dumps(document))


def is_receipt_only(document: Any) -> bool:
    """Where the server gave no finish_reason, a chunk without choices carries the receipt."""
    return isinstance(document, dict) and document.get("choices") == [] and not document.get("usage")


@pytest.mark.parametrize("shape", SHAPES, ids=lambda one: f"{one.endpoint} {'stream' if one.is_stream else 'plain'}: {one.name}")
def test_an_sdk_sees_the_same_or_the_difference_is_documented(
    fake: FakeOpenAI, direct: OpenAI, through: OpenAI, shape: Shape
) -> None:
    if shape.is_stream:
        fake.set(script=[piece.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape") for piece in shape.pieces])
    else:
        fake.set(body=shape.pieces[0])
    straight, served = seen(direct, shape), seen(through, shape)
    if served["documents"] and served["documents"] != straight["documents"] and is_receipt_only(served["documents"][-1]):
        served["documents"].pop()
    if shape.difference is None:
        assert served == straight
    else:
        assert served != straight, "there is no difference to document"
        assert shape.difference in DOCUMENTED


def test_there_are_forty_shapes_without_a_difference_and_more() -> None:
    assert Counter(shape.difference is None for shape in SHAPES)[True] >= 40
