"""Prices that a list knows, as tables to paste: of the provider that the server belongs to, and the dearest where they differ."""

from __future__ import annotations

import sys
import tomllib
from decimal import Decimal
from pathlib import Path

import pytest

from app.admin.known_prices import missing_prices
from app.catalogue.tables import PriceTable
from app.errors import ConfigError

from ...support.policies import read

genai_prices = pytest.importorskip("genai_prices", reason="the extra `prices` is not installed")

POLICY = """
[servers.openai]
api_key_env = "KEY"
[servers.claude]
langchain = "anthropic"
[servers.lab]
base_url = "http://127.0.0.1:9/v1"
[models.mini]
server = "openai"
model = "gpt-4o-mini"
[models."a b"]
server = "claude"
model = "claude-sonnet-4-5"
[models.priced]
server = "openai"
[models.gpt-4o]
server = "lab"
[prices.priced]
input = 1
output = 1
"""


@pytest.fixture
def found(tmp_path: Path) -> dict[str, str | None]:
    catalogue = read(tmp_path / "policy.toml", POLICY.replace('"a b"', '"a/b"'), KEY="sk-planted")
    return dict(missing_prices(catalogue))


def test_each_model_without_a_price_gets_a_table_that_can_be_read(found: dict[str, str | None]) -> None:
    assert list(found) == ["mini", "a/b", "gpt-4o"]
    for text in filter(None, found.values()):
        (table,) = tomllib.loads(text, parse_float=Decimal)["prices"].values()
        price = PriceTable.model_validate(table).price()
        assert 0 < price.cached_input < price.input < price.output
    assert str(found["a/b"]).startswith('[prices."a/b"]\n')


def test_the_dearest_of_several_prices_is_given(found: dict[str, str | None]) -> None:
    """claude-sonnet-4-5 costs more for questions of more than 200,000 tokens."""
    table = tomllib.loads(str(found["a/b"]), parse_float=Decimal)["prices"]["a/b"]
    long = genai_prices.Usage(input_tokens=10**6, output_tokens=10**6)
    price = genai_prices.calc_price(long, "claude-sonnet-4-5", provider_id="anthropic")
    assert (table["input"], table["output"]) == (price.input_price, price.output_price)


def test_a_model_of_an_unknown_server_has_no_price_whatever_its_name(found: dict[str, str | None]) -> None:
    assert found["gpt-4o"] is None


def test_a_list_that_is_not_installed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    with pytest.raises(ConfigError, match="install the extra `prices`"):
        list(missing_prices(read(tmp_path / "policy.toml", POLICY.replace('"a b"', '"a/b"'), KEY="sk-planted")))
