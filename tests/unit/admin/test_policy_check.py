"""A policy file is checked without keys and settings: what is wrong in it, and what is easily overlooked."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.admin.policy_check import check_policy

from ...support.policies import LAB, SMALL

PATH = Path("policy.toml")
PRICE = "[prices.small]\ninput = 1\noutput = 1\n"


@pytest.fixture(autouse=True)
def settings(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_MODEL", "small")


def notes(text: str) -> list[str]:
    PATH.write_text(text)
    checked = check_policy(PATH)
    assert checked.problems == ()
    return list(checked.notes)


def budget(most: str, scope: str = "") -> str:
    return f"[[budgets]]\n{scope}\n{most}\nper = 'day'\n"


def test_what_the_service_would_refuse_is_told_in_its_sentences() -> None:
    PATH.write_text(LAB + SMALL + "rolls = []\nfallback = ['x']")
    checked = check_policy(PATH)
    assert checked.catalogue is None
    assert checked.problems == ("Policy file policy.toml: [models.small] rolls is unknown: policy.example.toml shows all keys.",)


def test_a_file_without_anything_odd_has_no_notes() -> None:
    assert notes(LAB + SMALL) == []


def test_a_key_that_is_missing_here_is_no_fault_of_the_file() -> None:
    (note,) = notes(LAB + "api_key_env = 'NO_SUCH_KEY'\n" + SMALL)
    assert note.startswith("[servers.lab] api_key_env names an environment variable that is not set, or empty")


def test_what_would_stop_the_start_here_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_MODEL", "large")
    assert notes(LAB + SMALL)[0].startswith("LLM_MODEL, which /ask uses, is no model of the policy file")


def test_without_settings_their_defaults_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SECRET_KEY")
    said, ask = notes(LAB + SMALL)
    assert said == "The settings of this folder cannot be used: their defaults count here."
    assert ask.startswith("LLM_MODEL")


@pytest.mark.parametrize("scope", ["", "principal = 'alice'", "model = 'small'", "role = 'a.b'"])
def test_a_model_without_a_price_under_a_budget_in_money_is_told(scope: str) -> None:
    text = LAB + SMALL + "context_tokens = 9\nmax_output_tokens = 1\n" + budget("money = 1", scope)
    (note,) = notes(text)
    assert note.startswith("small has no price: it is refused to everyone who has a budget in money (")
    assert notes(text + PRICE) == []


def test_a_budget_in_money_for_another_model_needs_no_price() -> None:
    other = "[models.other]\nserver = 'lab'\ncontext_tokens = 9\nmax_output_tokens = 1\n[prices.other]\ninput = 1\noutput = 1\n"
    assert notes(LAB + SMALL + other + budget("money = 1", "model = 'other'")) == []


def test_a_fallback_that_not_everyone_may_use_is_told() -> None:
    other = "fallback = ['other']\n[models.other]\nserver = 'lab'\nroles = ['a.b']\n"
    assert notes(LAB + SMALL + other) == ["small falls back to other only for a.b: others may not use it."]
    assert notes(LAB + SMALL + "roles = ['a.b']\n" + other) == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            "",
            "a question without an answer after 2.5 s goes to a second server, too, and the first good answer counts. It may",
        ),
        ("timeout_seconds = 2.5\n", "hedge_after_seconds is not less than its timeout: no second server is ever asked."),
        (
            "[retries]\nshare = 0\n",
            "hedge_after_seconds has no effect for long: [retries] share is 0, and a hedge takes from that.",
        ),
    ],
)
def test_what_hedging_costs_or_prevents_it_is_told(more: str, said: str) -> None:
    both = "[servers.spare]\nbase_url = 'http://127.0.0.1:2/v1'\n[models.small]\nservers = ['lab', 'spare']\n"
    (note,) = notes(LAB + both + "hedge_after_seconds = 2.5\n" + more)
    assert note.startswith(f"small: {said}")


def test_a_fallback_without_an_endpoint_in_common_is_told() -> None:
    other = "endpoints = ['chat']\nfallback = ['other']\n[models.other]\nserver = 'lab'\nendpoints = ['embeddings']\n"
    assert notes(LAB + SMALL + other) == ["small never falls back to other: they have no endpoint in common."]


def test_a_budget_that_no_question_fits_into_is_told() -> None:
    text = LAB + SMALL + "context_tokens = 500000\nmax_output_tokens = 1000\n"
    (note,) = notes(text + budget("tokens = 999"))
    assert "reserves 1,000 tokens for its answer, more than all of all/day/tokens: it is always refused" in note
    assert notes(text + "default_output_tokens = 999\n" + budget("tokens = 999")) == []
    (note,) = notes(text + PRICE + budget("money = 0.000999"))
    assert "all/day/money" in note
    assert notes(text + PRICE + budget("money = 0.001")) == []


def test_a_model_without_a_context_under_a_budget_is_told() -> None:
    (note,) = notes(LAB + SMALL + "max_output_tokens = 1\n" + budget("tokens = 10"))
    assert note == "small has no context_tokens: where a budget counts, an image or file by its address is refused."


def test_prices_without_a_budget_refuse_nothing() -> None:
    assert notes(LAB + SMALL + PRICE) == ["There are prices, and no budget in money: nothing is refused for what it costs."]
