"""Anthropic's Python SDK sees the same of an answer through the service as straight from the model's server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic

from ..support.anthropic_sdk import ask
from ..support.fake_openai import FakeOpenAI
from ..support.message_shapes import SHAPES, Shape
from ..support.paths import ROOT
from ..support.service import Service

DOCUMENTED = " ".join((ROOT / "docs/explanation/streaming.md").read_text().split())


@pytest.fixture(scope="module")
def direct(fake: FakeOpenAI) -> Iterator[Anthropic]:
    with Anthropic(base_url=fake.base_url.removesuffix("/v1"), api_key="k", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def through(service: Service, token: str) -> Iterator[Anthropic]:
    with Anthropic(base_url=service.url, api_key=token, max_retries=0) as client:
        yield client


def seen(client: Anthropic, shape: Shape) -> dict[str, Any]:
    """What a program sees: the whole documents without the receipt, and how it ended."""
    documents: list[Any] = []
    error: BaseException | None = None
    try:
        if shape.is_stream:
            documents.extend(ask(client, stream=True))
        else:
            documents.append(ask(client))
    except (anthropic.APIError, ValueError) as raised:
        error = raised
    told = None if error is None else (type(error).__name__, getattr(error, "type", None), getattr(error, "error_code", None))
    return {"documents": [plain(document) for document in documents], "error": told}


def plain(document: Any) -> Any:
    document = document.to_dict(warnings=False) if hasattr(document, "to_dict") else document
    if isinstance(document, dict):
        document.pop("receipt", None)
    return json.loads(json.dumps(document))


@pytest.mark.parametrize("shape", SHAPES, ids=lambda one: f"{'stream' if one.is_stream else 'plain'}: {one.name}")
def test_an_sdk_sees_the_same_or_the_difference_is_documented(
    fake: FakeOpenAI, direct: Anthropic, through: Anthropic, shape: Shape
) -> None:
    if shape.is_stream:
        fake.set(script=[piece.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape") for piece in shape.pieces])
    else:
        fake.set(body=shape.pieces[0])
    straight, served = seen(direct, shape), seen(through, shape)
    if shape.difference is None:
        assert served == straight
        assert served["documents"] or served["error"], "nothing was seen"
    else:
        assert served != straight, "there is no difference to document"
        assert shape.difference in DOCUMENTED
