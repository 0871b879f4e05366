"""The file of a password is refused where nothing would read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.settings.limits import LimitSettings

URL = "postgresql://u@db.example/budgets"


@pytest.mark.parametrize("url", [None, "sqlite+aiosqlite:///budgets.sqlite3"])
def test_a_store_in_a_file_needs_no_password(url: str | None) -> None:
    with pytest.raises(ValueError, match="BUDGETS_PASSWORD_FILE is set, but BUDGETS_URL names no server"):
        LimitSettings(budgets_url=url, budgets_password_file=Path("password"))


def test_a_store_on_a_server_may_have_its_own() -> None:
    found = LimitSettings(budgets_url=URL, budgets_password_file=Path("password"))
    assert (found.budgets_url, found.budgets_password_file) == (URL, Path("password"))
    assert URL not in repr(found), "it may hold a password"
