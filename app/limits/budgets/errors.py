"""Why a question is refused because of a budget."""

from __future__ import annotations

from datetime import datetime

from ...errors import AppError, InvalidInput, Unavailable
from ...kit.moments import iso


class BudgetSpent(AppError):
    """It would not fit into the budget *budget_id*."""

    code = "insufficient_quota"
    detail = "The budget is spent."

    def __init__(self, detail: str, budget_id: str, *, retry_after: float | None) -> None:
        super().__init__(detail, retry_after=retry_after)
        self.budget_id = budget_id


class BudgetsUnavailable(Unavailable):
    code = "budgets_unavailable"
    detail = "The budgets cannot be looked up now, and nothing is asked without them. Try again later."


class ModelWithoutPrice(InvalidInput):
    code = "model_without_price"
    detail = "The model has no price here, so no budget in money can count it."

    def __init__(self, model: str) -> None:
        super().__init__(
            f"The model {model} has no price here, and a budget in money applies to you: "
            "use another model, or ask the operator for a price."
        )
        self.model = model


def spent_sentence(budget_id: str, is_whole: bool, is_reserved: bool, begins_anew: datetime) -> str:
    """*is_whole*: it needs more than all of it; *is_reserved*: others have reserved it."""
    if is_whole:
        return f"This question may take more than the whole budget {budget_id}: ask for fewer tokens, or send less."
    if is_reserved:
        return f"The rest of the budget {budget_id} is reserved for questions in progress: ask again in a moment."
    return f"The budget {budget_id} is spent. It starts again at {iso(begins_anew)}."
