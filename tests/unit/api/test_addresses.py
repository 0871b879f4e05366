"""A caller who asked for an address that is not learns which there are."""

from __future__ import annotations

from typing import Any

import pytest

from app.api.addresses import nothing_at
from app.errors import NotFound

PATHS: dict[str, dict[str, Any]] = {
    "/ask": {"post": {}},
    "/v1/chat/completions": {"post": {}},
    "/v1/models": {"get": {}},
    "/v1/models/{model}": {"get": {}},
    "/livez": {"get": {}},
}
V1 = "At /v1 there are POST /v1/chat/completions, GET /v1/models, GET /v1/models/{model}."


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/chat", "/v1/v1/chat/completions", "/v1/files"])
def test_those_that_begin_alike_are_named(path: str) -> None:
    assert nothing_at(path, PATHS).detail == f"{NotFound.detail} {V1}"


@pytest.mark.parametrize("path", ["", "/", "/chat/completions", "/v2/models", "/V1/models"])
def test_elsewhere_those_that_take_a_post(path: str) -> None:
    assert nothing_at(path, PATHS).detail == f"{NotFound.detail} There are POST /ask, POST /v1/chat/completions."


def test_without_any_there_is_only_the_sentence() -> None:
    assert nothing_at("/x", {}).detail == NotFound.detail
