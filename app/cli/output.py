"""What the commands share: the --json option, and saying one thing in one of two ways."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def say(document: Any, as_json: bool, text: str) -> None:
    print(json.dumps(document) if as_json else text)


def one_line(record: dict[str, Any]) -> str:
    """A record as one terminal line; control characters of its texts are escaped, so that no record paints the screen."""
    details = record.get("details")
    if not isinstance(details, dict):
        return printable(str(record))
    said = details.get("query") or details.get("answer") or details.get("code") or details.get("client_id") or ""
    head = (
        f"{record.get('seq')!s:>6}  {record.get('timestamp')}  {record.get('action')!s:<16}  {record.get('user_id') or '-'!s:<12}"
    )
    return printable(f"{head}  {str(record.get('request_id'))[:8]}  {str(said)[:100]}").rstrip()


def printable(text: str) -> str:
    """*text* with its control characters escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


Url = Annotated[str, typer.Option(help="Where the service is.", envvar="SECURE_AI_URL")]


LOCAL_URL = "http://127.0.0.1:8000"
