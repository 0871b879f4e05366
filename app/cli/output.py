"""What all commands share: the options --json and --url, and how records and texts are printed."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Url = Annotated[str, typer.Option(envvar="SECURE_AI_URL", help="The address of the service.")]
LOCAL_URL = "http://127.0.0.1:8000"
MAX_SUMMARY_CHARS = 100


def say(document: Any, as_json: bool, text: str) -> None:
    """Print *document* as one line of JSON, or *text* for people."""
    print(json.dumps(document) if as_json else text)


def receipt_name(seq: int, digest: str) -> str:
    """SEQ:HASH, as `audit verify --receipt` takes it."""
    return f"{seq}:{digest}"


def one_line(record: dict[str, Any]) -> str:
    """A record as one printable line: its columns, then the beginning of its text."""
    details = record.get("details")
    if not isinstance(details, dict):
        return printable(str(record))
    summary = details.get("query") or details.get("answer") or details.get("code") or details.get("client_id") or ""
    columns = (
        f"{record.get('seq')!s:>6}",
        str(record.get("timestamp")),
        f"{record.get('action')!s:<16}",
        f"{record.get('user_id') or '-'!s:<12}",
        str(record.get("request_id"))[:8],
        str(summary)[:MAX_SUMMARY_CHARS],
    )
    return printable("  ".join(columns)).rstrip()


def printable(text: str) -> str:
    """*text* with control characters escaped, newlines too: it cannot control the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def printable_lines(text: str) -> str:
    """`printable`, but newlines stay."""
    return "\n".join(printable(line) for line in text.split("\n"))
