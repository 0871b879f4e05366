"""What is wrong with the words of a command: which argument, and what may stand there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from ..errors import AppError

MISSING = "MissingParameter"
"""typer exports no name for this error."""


class WrongUsage(AppError):
    code = "usage"


def usage_sentence(error: typer.TyperException) -> str:
    """Which argument is missing or wrong, and what it takes; else the parser's own words."""
    parameter = getattr(error, "param", None)
    if parameter is None:
        return error.format_message()
    sentence = error.format_message() if type(error).__name__ != MISSING else f"Missing {_name(parameter)}."
    low, high = getattr(parameter, "min", None), getattr(parameter, "max", None)
    if type(error).__name__ != MISSING and low is not None and high is not None:
        sentence = f"{_name(parameter)} takes a whole number from {low:,} to {high:,}."
    return f"{sentence} {parameter.help or ''}".strip()


def _name(parameter: Any) -> str:
    """As it is typed: --role (or its variable), CLIENT_ID."""
    name = parameter.opts[0]
    if not name.startswith("-"):
        return str(name).upper()
    return f"{name} (or {parameter.envvar})" if parameter.envvar else str(name)


def one_each(parameter: typer.CallbackParam, values: list[str] | None) -> list[str] | None:
    """*values* of an option that is repeated for each. Raises WrongUsage for several in one."""
    option = parameter.opts[0]
    for value in values or ():
        if len(parts := re.split(r"[,;\s]+", value.strip(",; "))) > 1:
            repeated = " ".join(f"{option} {shlex.quote(part)}" for part in parts)
            raise WrongUsage(f"Invalid value for {option}: repeat {option} for each, as in {repeated}.")
    return values


@contextmanager
def argument(name: str, *refusals: type[AppError]) -> Iterator[None]:
    """Where *refusals* say what *name* may be, put its name in front; the code stays."""
    try:
        yield
    except refusals as error:
        raise type(error)(f"Invalid value for {name}: {error.detail}") from error
