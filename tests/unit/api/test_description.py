"""What the OpenAPI description says of all addresses, besides what each route says of itself."""

from __future__ import annotations

import re
from typing import Any

import pytest

from app.api.description import described
from app.api.error_bodies import STATUS
from app.api.schemas import SAYABLE, read_ask
from app.errors import InvalidRequest
from app.main import create_app
from app.settings import load_settings


@pytest.fixture(scope="module")
def description(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("described"))
        return described(create_app(load_settings(secret_key="s" * 43, openai_base_url="http://127.0.0.1:9/v1")))


def test_every_address_names_what_is_refused_before_a_route_is_found(description: dict[str, Any]) -> None:
    for path, methods in description["paths"].items():
        for operation in methods.values():
            answers = operation["responses"]
            assert {"200", "400", "408", "431", "503"} <= set(answers), path
            assert {int(status) for status in answers} - {200} <= {*STATUS.values(), 431}, path
            kinds = {tuple(answers[status]["content"]) for status in answers if status[0] == "4"}
            assert len(kinds) == 1, path
            assert all("x-request-id" in answer["headers"] for answer in answers.values()), path


def test_nothing_of_fastapis_own_validation_is_described(description: dict[str, Any]) -> None:
    assert "ValidationError" not in str(description)
    assert "422" not in description["paths"]["/audit/entries/{seq}"]["get"]["responses"]


def test_limits_are_described_where_there_is_a_principal(description: dict[str, Any]) -> None:
    guarded, open_to_all = (description["paths"][path]["get"] for path in ("/v1/models", "/audit/checkpoint"))
    assert "RateLimit" in guarded["responses"]["200"]["headers"]
    assert "RateLimit" not in open_to_all["responses"]["200"]["headers"]


@pytest.mark.parametrize(
    "query", ["x", " x", "\n\tx\n", "\x00x", "x\x00", " ", "\x1c\x85\u2028\u3000", "\ufeff", "\u200b", "ж\n"]
)
def test_the_pattern_of_a_query_is_what_the_code_takes(query: str) -> None:
    try:
        read_ask({"query": query})
        taken = True
    except InvalidRequest:
        taken = False
    assert bool(re.search(SAYABLE, query)) == taken
