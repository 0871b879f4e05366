"""One test of a whole table: as `pytest.mark.parametrize`, for checks so short that a test for each row costs more."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import pytest


def for_each(names: str | tuple[str, ...], rows: Iterable[Any], ids: Any = None) -> Callable[[Callable[..., None]], Any]:
    """Runs the test for all *rows*, and fails with every row that failed. Its other arguments are fixtures of all rows."""
    words = [one.strip() for one in names.split(",")] if isinstance(names, str) else list(names)
    table = [_values(row) if len(words) > 1 or _is_param(row) else (row,) for row in rows]

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(test)

        @wraps(test)
        def whole(**fixtures: Any) -> None:
            assert table, "the table has no rows"
            failed: list[Exception] = []
            for row in table:
                values = dict(zip(words, row, strict=True))
                try:
                    test(**fixtures, **values)
                except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - raised below, with those of the other rows
                    found = error if isinstance(error, Exception) else AssertionError(str(error))
                    found.add_note("the row: " + ", ".join(f"{name}={value!r:.300}" for name, value in values.items()))
                    failed.append(found)
            if failed:
                raise ExceptionGroup(f"{len(failed)} of {len(table)} rows", failed)

        others = [one for name, one in signature.parameters.items() if name not in words]
        whole.__signature__ = signature.replace(parameters=others)  # type: ignore[attr-defined]  # what pytest reads
        return whole

    return decorate


def _is_param(row: Any) -> bool:
    return hasattr(row, "marks")


def _values(row: Any) -> tuple[Any, ...]:
    return tuple(row.values if _is_param(row) else row)
