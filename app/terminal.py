"""What the commands share: the --json option, and saying one thing in one of two ways."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def say(document: Any, as_json: bool, text: str) -> None:
    print(json.dumps(document) if as_json else text)
