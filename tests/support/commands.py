"""Commands in this process, and what stands in for the work that they call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from typer.testing import CliRunner

from app.cli.main import app

Run = Callable[..., int]
"""Runs `python -m app …` in this process; returns its exit status."""


def run(*arguments: str) -> str:
    """What the command prints on stdout. It must succeed."""
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def returning(value: object, calls: list[tuple[object, ...]] | None = None) -> Callable[..., Any]:
    """Returns *value* whenever it is awaited; *calls* gets what it was given."""

    async def work(*arguments: object, **options: object) -> object:
        if calls is not None:
            calls.append((*arguments, *options.values()))
        return value

    return work
