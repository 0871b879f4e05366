"""`breaker`: which servers are not asked for a while, because they failed again and again."""

from __future__ import annotations

import asyncio
import math
from dataclasses import asdict
from typing import Annotated

import typer

from ..admin import breakers as admin
from .output import Json, say

breaker = typer.Typer(add_completion=False, no_args_is_help=True)


@breaker.command("list")
def breaker_list(as_json: Json = False) -> None:
    """Show the breaker of each server of the service that runs here."""
    found = admin.list_breakers()
    lines = [f"{one.server:<24} {_state(one)}" for one in found]
    say([asdict(one) for one in found], as_json, "\n".join(lines) or "No service runs here, or its log is another one.")


@breaker.command("close")
def breaker_close(
    server: Annotated[str, typer.Argument(metavar="SERVER", help="A server of the policy file.")], as_json: Json = False
) -> None:
    """Ask a server again at once. The log records it."""
    asyncio.run(admin.close_breaker(server))
    say({"server": server, "is_open": False}, as_json, f"The breaker of {server} is closed.")


def _state(one: admin.BreakerState) -> str:
    if not one.is_open:
        return f"closed ({one.failures} failures in a row)"
    return f"open, for {math.ceil(one.seconds_left)} s more" if one.seconds_left else "open, until the next question is answered"
