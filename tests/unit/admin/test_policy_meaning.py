"""What a policy means, as data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.admin.policy_meaning import meaning_of, most_of, roles_of
from app.catalogue.budgets import Budget

from ...support.policies import read

POLICY = """
currency = "EUR"
[servers.lab]
base_url = "http://127.0.0.1:9/v1"
[servers.spare]
base_url = "http://127.0.0.1:10/v1"
[models.small]
servers = ["lab", { name = "spare", weight = 2 }]
fallback = ["large"]
[models.large]
server = "lab"
roles = ["team.research"]
context_tokens = 100
[caps."team.trainee"]
requests_per_minute = 5
tokens_per_minute = 1000
[server_side]
"team.agents" = ["mcp"]
[prices.small]
input = 0.1
output = 0.2
[[budgets]]
role = "team.pot"
money = 1.50
per = "day"
[[budgets]]
principal = "*"
tokens = 20000
per = "month"
"""


@pytest.fixture
def meaning(tmp_path: Path) -> dict[str, Any]:
    return meaning_of(read(tmp_path / "policy.toml", POLICY))


def test_each_model_says_who_may_use_it_and_what_it_costs(meaning: dict[str, Any]) -> None:
    small, large = meaning["models"]
    assert (small["model"], small["for"], small["fallback"]) == ("small", ["everyone"], ["large"])
    assert small["price"] == {"input": "0.1", "output": "0.2"}
    assert [(one["server"], one["weight"]) for one in small["servers"]] == [("lab", 1), ("spare", 2)]
    assert (large["for"], large["price"], large["context_tokens"]) == (["team.research"], None, 100)


def test_everyone_and_each_role_has_models_and_caps(meaning: dict[str, Any]) -> None:
    who = {row["who"]: row for row in meaning["who"]}
    assert list(who) == ["everyone", "team.agents", "team.pot", "team.research", "team.trainee"]
    assert (who["everyone"]["models"], who["team.research"]["models"]) == (["small"], ["small", "large"])
    assert (who["everyone"]["requests_per_minute"], who["team.trainee"]["requests_per_minute"]) == (60, 5)
    assert (who["everyone"]["tokens_per_minute"], who["team.trainee"]["tokens_per_minute"]) == (None, 1000)
    assert who["team.agents"]["server_side"] == ["mcp"]


def test_each_budget_says_whose_it_is(meaning: dict[str, Any]) -> None:
    pot, each = meaning["budgets"]
    assert (pot["for"], pot["money"], pot["per"]) == ("all with team.pot together", "1.5", "day")
    assert (each["for"], each["tokens"]) == ("each principal", 20000)
    assert meaning["currency"] == "EUR"


def test_the_roles_are_those_that_the_policy_names(tmp_path: Path) -> None:
    assert roles_of(read(tmp_path / "p.toml", POLICY)) == ["team.agents", "team.pot", "team.research", "team.trainee"]


def test_an_amount_has_its_currency_or_says_that_it_is_in_tokens() -> None:
    assert most_of(Budget("x", "day", money=1_500_000_000), "EUR") == "1.5 EUR a day"
    assert most_of(Budget("x", "minute", tokens=200_000), "EUR") == "200,000 tokens a minute"
