"""A refusal says which budget, why, and what to do."""

from __future__ import annotations

from datetime import UTC, datetime

from app.limits.budgets.errors import BudgetSpent, BudgetsUnavailable, ModelWithoutPrice, spent_sentence

MIDNIGHT = datetime(2026, 11, 27, tzinfo=UTC)


def test_a_sentence_for_each_reason() -> None:
    assert "more than the whole budget all/day/money" in spent_sentence("all/day/money", True, False, MIDNIGHT)
    assert "questions in progress" in spent_sentence("all/day/money", False, True, MIDNIGHT)
    assert spent_sentence("all/day/money", False, False, MIDNIGHT).endswith("It starts again at 2026-11-27T00:00:00Z.")


def test_codes_are_stable() -> None:
    spent = BudgetSpent("The budget is spent.", "all/day/money", retry_after=5)
    assert (spent.code, spent.budget_id, spent.retry_after) == ("insufficient_quota", "all/day/money", 5)
    assert BudgetsUnavailable(retry_after=1).code == "budgets_unavailable"
    missing = ModelWithoutPrice("fast")
    assert (missing.code, missing.model) == ("model_without_price", "fast")
    assert "fast" in missing.detail
