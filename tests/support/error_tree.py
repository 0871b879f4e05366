"""All errors of the application, found by importing every module of it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

from app.api.http_errors import InvalidTimeout
from app.cli.http_client import CallFailed
from app.errors import AppError, InsufficientScope, InvalidParameter, ModelNotFound
from app.limits.budgets.errors import BudgetSpent, ModelWithoutPrice
from app.limits.quota import Quota, QuotaExceeded
from app.upstream.errors import UpstreamRefused

from .modules import module_names

ARGUMENTS: dict[type[AppError], dict[str, Any]] = {
    BudgetSpent: {"detail": "The budget all/day/money is spent.", "budget_id": "all/day/money", "retry_after": 60.0},
    CallFailed: {"detail": "401 token_expired: The access token has expired."},
    InvalidTimeout: {"header": "n"},
    InsufficientScope: {"needed_role": "ai.playground.user"},
    InvalidParameter: {"param": "n", "what": "is too large.", "reason": "too_large"},
    ModelNotFound: {"model": "gpt-9", "is_known": False},
    ModelWithoutPrice: {"model": "gpt-9"},
    QuotaExceeded: {"quota": Quota(60, 0, 7)},
    UpstreamRefused: {"status": 400, "reason": "context_length_exceeded", "param": "messages"},
}
"""Required constructor arguments."""


def every_error_class() -> list[type[AppError]]:
    """AppError and all its subclasses in app/, by name."""
    for name in module_names():
        importlib.import_module(name)
    return sorted({one for one in _below(AppError) if one.__module__.startswith("app.")}, key=lambda one: one.__name__)


def example_of(kind: type[AppError]) -> AppError:
    return kind(**ARGUMENTS.get(kind, {}))


def _below(kind: type[AppError]) -> Iterator[type[AppError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _below(child)
